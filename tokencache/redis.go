package tokencache

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fleettoken/fleettoken/quota"
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

// Error says it in one line.
func (e *RedisError) Error() string {
	if e.Kind == RedisConfiguration {
		return fmt.Sprintf("Redis refuses; check its address, user, password, TLS and ACL: %v", e.Err)
	}
	return fmt.Sprintf("Redis does not answer: %v", e.Err)
}

// Unwrap returns what the Redis client said.
func (e *RedisError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrRedis].
func (e *RedisError) Is(target error) bool { return target == ErrRedis }

// redisError wraps an error of the Redis client by its kind.
func redisError(err error) *RedisError {
	if known, ok := errors.AsType[*RedisError](err); ok {
		return known
	}
	kind := redisKind(err)
	// A server that does not know a command repeats what came with it, and that
	// may be a password.
	if said, _, repeats := strings.Cut(err.Error(), ", with args beginning with"); repeats {
		err = errors.New(said)
	}
	return &RedisError{Kind: kind, Err: err}
}

// redisError wraps an error of this cache's Redis client. One that knows the way
// in a Cluster gets MOVED too often only while a slot is moved, or a node has
// taken over: that passes.
func (c *Cache) redisError(err error) *RedisError {
	e := redisError(err)
	if _, ok := c.rdb.(*redis.ClusterClient); ok && e.Kind == RedisConfiguration && strings.Contains(e.Err.Error(), "MOVED ") {
		return &RedisError{Kind: RedisTransient, Err: e.Err}
	}
	return e
}

// lookAround lets a client of a Cluster see whether another node has taken over
// from one that does not answer. By itself it looks but once a minute.
func (c *Cache) lookAround(ctx context.Context) {
	if cluster, ok := c.rdb.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx) // in the background, one at a time
	}
}

func redisKind(err error) RedisKind {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	if errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &record) {
		return RedisConfiguration
	}
	text := err.Error()
	for _, sign := range []string{"NOAUTH", "WRONGPASS", "NOPERM", "unknown command", "CROSSSLOT", "MOVED ", "DENIED ", "no such host",
		"invalid password", "invalid username-password", "DB index is out of range", "first record does not look like a TLS handshake",
		"cluster support disabled", "can't run this command", "can't access at least one of the keys", "unauthenticated", "HTTP/1."} {
		if strings.Contains(text, sign) {
			return RedisConfiguration
		}
	}
	return RedisTransient
}

// NewRedisClient returns a client with the options that we recommend, where
// opts leaves them at zero. A Cache works with any client, and bounds every call
// itself; with these options a call that is bounded is also given up, and a
// replica at rest costs Redis less:
//
//   - deadlines of contexts are heeded, dials and replies wait a second, and one
//     retry is enough; by default a Redis that swallows packets is dialled
//     twenty times, for a hundred seconds;
//   - connections are few and kept, and have small buffers;
//   - the handshake leaves out what only Redis Enterprise answers, and a cluster
//     client does not download the list of all commands (90 kB each).
//
// It is a client of one node, of a Cluster (several addresses, or
// IsClusterMode), or of what Sentinels watch (MasterName).
func NewRedisClient(opts *redis.UniversalOptions) redis.UniversalClient {
	o := *opts
	o.ContextTimeoutEnabled = true
	o.DialTimeout = cmp.Or(o.DialTimeout, time.Second)
	o.DialerRetries = cmp.Or(o.DialerRetries, 1)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, time.Second)
	o.MaxRetries = cmp.Or(o.MaxRetries, 1)
	o.PoolSize = cmp.Or(o.PoolSize, 4)
	o.PipelinePoolSize = cmp.Or(o.PipelinePoolSize, -1)
	o.ConnMaxIdleTime = cmp.Or(o.ConnMaxIdleTime, -1)
	o.ReadBufferSize = cmp.Or(o.ReadBufferSize, 8<<10)
	o.WriteBufferSize = cmp.Or(o.WriteBufferSize, 4<<10)
	o.DisableIdentity = true
	if o.MaintNotificationsConfig == nil {
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	if o.MasterName == "" && (len(o.Addrs) > 1 || o.IsClusterMode) {
		cluster := o.Cluster()
		cluster.DisableRoutingPolicies = true
		return redis.NewClusterClient(cluster)
	}
	return redis.NewUniversalClient(&o)
}

// maxStuck is how many calls to Redis may be left behind. A client that ignores
// its context goes on dialling for minutes; no more goroutines are given to it
// until it is through.
const maxStuck = 8

// call asks Redis, and returns when it answers, when ctx ends, or when the
// cache's timeout does, whatever the client's own options say.
func call[T any](ctx context.Context, c *Cache, f func(context.Context) (T, error)) (T, error) {
	var none T
	if c.stuck.Load() >= maxStuck {
		return none, redisError(errors.New("earlier calls have not returned yet"))
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.redisTimeout)
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	var alone atomic.Bool // one of the two sides has gone
	go func() {
		defer cancel() // after the result is there to be received
		value, err := f(ctx)
		results <- result{value, err}
		if alone.Swap(true) {
			c.stuck.Add(-1)
			if late, ok := any(value).(io.Closer); ok && err == nil {
				_ = late.Close() // the caller has left
			}
		}
	}()
	r := result{err: fmt.Errorf("no answer within %v", c.redisTimeout)}
	select {
	case r = <-results:
	case <-ctx.Done():
		select {
		case r = <-results:
		default:
			if alone.Swap(true) { // it came in at the same time
				r = <-results
				break
			}
			c.stuck.Add(1)
			if caller.Err() != nil {
				r.err = fmt.Errorf("no answer yet when the caller left: %w", context.Cause(caller))
			}
		}
	}
	if r.err != nil && !errors.Is(r.err, quota.ErrDenied) {
		c.lookAround(ctx)
		return none, c.redisError(r.err)
	}
	return r.value, r.err
}
