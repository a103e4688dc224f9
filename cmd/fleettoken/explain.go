package main

import (
	"crypto/x509"
	"errors"
	"strings"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/fromenv"
)

// explain turns an error of the library into one for people who know this command and
// not the library: it adds the settings that the error is about.
func (c *config) explain(err error) *failure {
	if e, ok := errors.AsType[*tokencache.Error](err); ok {
		short := *e
		if refused, ok := errors.AsType[*tokencache.RequestError](err); ok {
			short.Err = refused // without the error of the caller's context, which is joined to it
		} else if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
			short.Err = denied
		}
		err = &short
	}
	return failed(errors.New(strings.TrimPrefix(err.Error(), "tokencache: ")), c.hints(err)...)
}

// hints returns what to do about an error of the library, in the names of settings.
func (c *config) hints(err error) []string {
	if e, ok := errors.AsType[*tokencache.RedisError](err); ok {
		return c.redisHints(e)
	}
	if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
		hints := []string{"'fleettoken status' shows the quota, what is blocked, and the last token requests"}
		if class := tokencache.ClassOf(err); class.Permanent() {
			hints = append([]string{"an earlier token request was refused; " + class.Advice() + c.in(class)}, hints...)
		}
		if denied.Reason == quota.ForcedSpent {
			hints = append(hints, "in an incident, 'fleettoken rotate --force' goes beyond that budget")
		}
		return hints
	}
	if errors.Is(err, tokencache.ErrEncryptionKey) {
		return []string{"the keys are in " + c.Setting("Options.EncryptionKeys") + "; without it they are derived from the client secret"}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return []string{"if the token endpoint has a certificate authority of its own, name its file in " + c.Setting("Options.RootCAs")}
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return []string{c.Setting("Credentials.TokenURL") + " must have the host name that the server's certificate is for"}
	}
	if failed, ok := errors.AsType[*tokencache.RequestError](err); ok {
		switch failed.Class {
		case tokencache.ClassUnreachable, tokencache.ClassNoAnswer:
			return []string{"check that the server can be reached from here" + c.in(failed.Class)}
		case tokencache.ClassMalformed:
			return []string{"check that it is a token endpoint" + c.in(failed.Class)}
		}
		if settings := c.settings(failed.Class); settings != "" {
			return []string{"it is about " + settings}
		}
	}
	return nil
}

// settings names the settings that a failed request may be about.
func (c *config) settings(class tokencache.Class) string {
	var names []string
	for _, field := range class.Fields() {
		names = append(names, c.Setting(field))
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// in is the same in parentheses, after a text.
func (c *config) in(class tokencache.Class) string {
	if settings := c.settings(class); settings != "" {
		return " (" + settings + ")"
	}
	return ""
}

// redisHints says where the address of Redis is from, and what settings an error is about.
func (c *config) redisHints(err *tokencache.RedisError) []string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return []string{"name the file of the certificate authority in " + fromenv.Prefix + "REDIS_CA_FILE"}
	}
	if err.Advice() == "" {
		hint := "check the address in " + c.redisFrom
		if c.Redis.TLSConfig != nil { // a Redis without TLS waits for more of the handshake, in silence
			hint += "; if this Redis does not use TLS, begin it with redis"
		}
		return []string{hint}
	}
	if c.redisFrom == "--redis" {
		return []string{"the address is from --redis; one with a password belongs into " + redisSetting + ", as redis://USER:PASSWORD@HOST, without --redis"}
	}
	return []string{"the address, the user name and the password of Redis are in " + redisSetting}
}
