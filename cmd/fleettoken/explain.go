package main

import (
	"crypto/x509"
	"errors"
	"strings"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
)

// explain turns an error of the library into one for people who know this
// command and not the library: with the names of settings, and with what to do.
func (c *config) explain(err error) *failure {
	if e, ok := errors.AsType[*tokencache.Error](err); ok {
		short := *e
		if refused, ok := errors.AsType[*tokencache.RequestError](err); ok {
			short.Err = refused // it says all, and not that somebody waited for it
		} else if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
			short.Err = denied
		}
		err = &short
	}
	text := strings.TrimPrefix(err.Error(), "tokencache: ")
	return failed(errors.New(c.names.Replace(text)), c.hints(err)...)
}

// hints returns what to do about an error of the library, where its text does
// not say.
func (c *config) hints(err error) []string {
	var hints []string
	for _, hint := range c.advice(err) {
		hints = append(hints, c.names.Replace(hint))
	}
	return hints
}

// advice returns the hints in the library's names.
func (c *config) advice(err error) []string {
	if e, ok := errors.AsType[*tokencache.RedisError](err); ok {
		return []string{redisHint(e, c.redisFrom, c.redis.TLSConfig != nil)}
	}
	if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
		hints := []string{"'fleettoken status' shows the quota, what is blocked, and the last token requests"}
		if advice := setRight(tokencache.Class(denied.Reason)); advice != "" {
			hints = append([]string{"an earlier token request was refused; " + advice}, hints...)
		}
		return hints
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return []string{"if the token endpoint has a certificate authority of its own, name its file in FLEETTOKEN_CA_FILE"}
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return []string{"Credentials.TokenURL must have the host name that the server's certificate is for"}
	}
	if failed, ok := errors.AsType[*tokencache.RequestError](err); ok {
		switch failed.Class {
		case tokencache.ClassUnreachable, tokencache.ClassNoAnswer:
			return []string{"check Credentials.TokenURL, and that its server can be reached from here"}
		case tokencache.ClassMalformed:
			return []string{"check that Credentials.TokenURL is that of a token endpoint"}
		}
	}
	return nil
}

// setRight says what a person has to put right after a token request of a class
// was refused. It is empty for the classes that pass by themselves.
func setRight(class tokencache.Class) string {
	switch class {
	case tokencache.ClassCredentials:
		return "check Credentials.ClientID and Credentials.ClientSecret"
	case tokencache.ClassAudience, tokencache.ClassGrant:
		return "check Credentials.Audience, and that the provider has granted it to this client"
	case tokencache.ClassClient:
		return "ask the provider to allow this client the client_credentials grant"
	case tokencache.ClassRequest:
		return "check Credentials.Audience, Organization, Scopes and Params"
	case tokencache.ClassEndpoint:
		return "check Credentials.TokenURL"
	}
	return ""
}

// redisHint reads the words of Redis and its client. They are for people, and
// there is no better way to tell these mistakes apart. The address is from a
// setting or a flag; secure says that it asks for TLS.
func redisHint(err *tokencache.RedisError, from string, secure bool) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "if the certificate is for another name, add ?tls_server_name=NAME to " + from
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "if Redis has a certificate authority of its own, name its file in FLEETTOKEN_REDIS_CA_FILE"
	}
	password := "write user and password into FLEETTOKEN_REDIS_URL: redis://USER:PASSWORD@HOST"
	if from == "--redis" { // others can see it
		password += ", and say --redis " + redisFromEnv
	}
	text := err.Error()
	for _, known := range []struct{ sign, hint string }{
		{"MOVED ", "this is a node of a Cluster: write redis+cluster:// in " + from},
		{"cluster support disabled", "this is no Cluster: write redis:// in " + from},
		{"unreachable: NOAUTH", "the Sentinels want a password: add ?sentinel_password=PASSWORD to FLEETTOKEN_REDIS_URL"},
		{"unreachable: WRONGPASS", "check sentinel_username and sentinel_password in FLEETTOKEN_REDIS_URL"},
		{"all sentinels", "check the addresses of the Sentinels and the name of the master in " + from},
		{"unknown command", "if this is a Sentinel, write redis+sentinel://HOST:26379/MASTER in " + from},
		{"NOAUTH", password},
		{"unauthenticated", password},
		{"WRONGPASS", "check user and password in FLEETTOKEN_REDIS_URL"},
		{"invalid password", "check the password in FLEETTOKEN_REDIS_URL"},
		{"NOPERM", "the user in FLEETTOKEN_REDIS_URL needs more rights"},
		{"DB index", "check the number of the database in " + from},
		{"READONLY", "this is a replica: " + from + " must lead to the master"},
		{": EOF", "if this Redis wants TLS, write rediss:// in " + from},
	} {
		if strings.Contains(text, known.sign) {
			return known.hint
		}
	}
	if secure { // a Redis without TLS waits for more of the handshake, in silence
		return "check the address in " + from + "; if this Redis does not speak TLS, begin it with redis"
	}
	return "check the address in " + from
}
