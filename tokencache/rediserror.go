package tokencache

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A RedisKind says what kind of trouble there is with Redis.
type RedisKind string

const (
	// RedisTransient passes by itself: a failover, a restart, a network.
	RedisTransient RedisKind = "transient"
	// RedisConfiguration calls for a person: a password, an ACL, TLS.
	RedisConfiguration RedisKind = "configuration"
)

// A RedisError means that Redis could not be asked, or refused. It never means that
// another replica holds the lease, nor that there is no token.
type RedisError struct {
	Kind RedisKind
	Err  error
}

// Error returns what happened and what to do about it, in one line.
func (e *RedisError) Error() string {
	text := "Redis does not answer"
	switch {
	case isReply(e.Err):
		text = "Redis refused"
	case e.Kind == RedisConfiguration:
		text = "Redis cannot be used as it is configured here"
	}
	text += fmt.Sprintf(": %v", e.Err)
	if advice := e.Advice(); advice != "" {
		text += "; " + advice
	}
	return text
}

// Advice says what to do. It is empty if the error says nothing more than that Redis
// cannot be reached.
func (e *RedisError) Advice() string { return signOf(e.Err).advice }

// Unwrap returns the error of the Redis client. It is [context.DeadlineExceeded] or
// [context.Canceled] only if the caller's own context ended.
func (e *RedisError) Unwrap() error {
	if _, left := errors.AsType[*callerLeft](e.Err); !left && ofContext(e.Err) {
		return nil
	}
	return e.Err
}

// callerLeft means that the caller's context ended before Redis answered.
type callerLeft struct{ cause error }

func (e *callerLeft) Error() string {
	return fmt.Sprintf("no answer yet when the caller left: %v", e.cause)
}
func (e *callerLeft) Unwrap() error { return e.cause }

// Is reports whether target is [ErrRedis].
func (e *RedisError) Is(target error) bool { return target == ErrRedis }

// redisError wraps an error of the Redis client.
func redisError(err error) *RedisError {
	if known, ok := errors.AsType[*RedisError](err); ok {
		return known
	}
	kind := signOf(err).kind
	// A server that does not know a command repeats its arguments, and one may be a
	// password.
	if before, _, repeats := strings.Cut(err.Error(), ", with args beginning with"); repeats {
		err = reply(before)
	}
	return &RedisError{Kind: kind, Err: err}
}

// redisError wraps an error of this cache's Redis client. A client of a Cluster follows
// MOVED. It returns one only while a slot is moved or a node has taken over, which
// passes.
func (h *host) redisError(err error) *RedisError {
	e := redisError(err)
	if _, ok := h.rdb.(*redis.ClusterClient); ok && e.Kind == RedisConfiguration && strings.Contains(e.Err.Error(), "MOVED ") {
		return &RedisError{Kind: RedisTransient, Err: e.Err}
	}
	return e
}

// reloadCluster lets a client of a Cluster find out whether another node has taken over
// from one that does not answer. By itself it does so once a minute.
func (h *host) reloadCluster(ctx context.Context) {
	if cluster, ok := h.rdb.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx) // in the background, one at a time
	}
}

// A reply is an error reply of Redis, of which a part was cut off.
type reply string

func (r reply) Error() string { return string(r) }

// RedisError marks it as an error reply, as [redis.Error] does.
func (r reply) RedisError() {}

// isReply reports whether an error is an error reply of Redis.
func isReply(err error) bool {
	replied, ok := errors.AsType[redis.Error](err)
	return ok && replied != redis.Nil
}

// A redisSign says what an error with a text in it means. The texts are those of Redis,
// of go-redis and of package net.
type redisSign struct {
	text   string
	kind   RedisKind
	advice string
}

const (
	namePassword  = "give the user name and the password of Redis"
	checkPassword = "check the user name and the password of Redis"
	closesAtOnce  = "if this goes on, the server closes connections at once, as Redis does in protected mode or with as many clients as it accepts: its log says why"
	otherRedis    = "this Redis, or a proxy before it, does not allow a command that is needed: tokencache/acl lists them"
	moreRights    = "the user of Redis needs more rights: see tokencache/acl"
)

// redisSigns are tried in order.
func redisSigns() []redisSign {
	const transient, configuration = RedisTransient, RedisConfiguration
	return []redisSign{
		{"MOVED ", configuration, "this server is a node of a Cluster: connect to it as one (redis+cluster:// in a URL)"},
		{"cluster support disabled", configuration, "this server is not in a Cluster: connect to it as a single node (redis:// in a URL)"},
		{"CROSSSLOT", configuration, "this Cluster has a proxy that does not keep the keys of one hash tag together: connect to the Cluster itself"},
		{"unreachable: NOAUTH", configuration, "the Sentinels require a password of their own (sentinel_password in a URL)"},
		{"unreachable: WRONGPASS", configuration, "check the user name and the password of the Sentinels (sentinel_username and sentinel_password in a URL)"},
		{"all sentinels", transient, "check the addresses of the Sentinels and the name of the master"},
		{"unknown command", configuration, "if this server is a Sentinel, connect through it to its master (redis+sentinel://HOST:26379/MASTER in a URL)"},
		{"NOAUTH", configuration, namePassword},
		{"unauthenticated", configuration, namePassword},
		{"WRONGPASS", configuration, checkPassword},
		{"invalid username-password", configuration, checkPassword},
		{"invalid password", configuration, checkPassword},
		{"NOPERM", configuration, moreRights},
		{"can't run this command", configuration, moreRights},
		{"can't access at least one of the keys", configuration, moreRights},
		{"DB index is out of range", configuration, "check the number of the database"},
		{"DENIED ", configuration, "this Redis is in protected mode: give it a password, or the address that it is to listen on"},
		{"HTTP/1.", configuration, "this server speaks HTTP: check the address of Redis"},
		{"no such host", configuration, "check the host in the address of Redis"},
		{"first record does not look like a TLS handshake", configuration, "this server does not use TLS: connect without it (redis:// in a URL)"},
		{"READONLY", transient, "this server is a replica: connect to the master"},
		{"OOM ", transient, "this Redis has no memory left: raise its maxmemory, or let it evict keys"},
		{"MISCONF", transient, "this Redis cannot save its data: its log says why"},
		{"max number of clients", transient, "this Redis has as many clients as it accepts: raise its maxclients"},
		{"unsupported command", configuration, otherRedis},
		{"command is not", configuration, otherRedis}, // allowed, or supported
		{"command not", configuration, otherRedis},
		{"broken pipe", transient, closesAtOnce},
		{"connection reset", transient, closesAtOnce},
		{"EOF", transient, "if this Redis requires TLS, connect with it (rediss:// in a URL)"},
	}
}

// signOf returns what an error means.
func signOf(err error) redisSign {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return redisSign{kind: RedisConfiguration, advice: "the certificate of Redis is for another name: connect by that name, or set it (tls_server_name in a URL)"}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return redisSign{kind: RedisConfiguration, advice: "trust the certificate authority that signed the certificate of Redis"}
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return redisSign{kind: RedisConfiguration, advice: "renew the certificate of Redis"}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return redisSign{kind: RedisConfiguration, advice: "this server does not use TLS: connect without it (redis:// in a URL)"}
	}
	text := err.Error()
	for _, sign := range redisSigns() {
		if strings.Contains(text, sign.text) {
			return sign
		}
	}
	return redisSign{kind: RedisTransient}
}
