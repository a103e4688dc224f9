// Package redisurl reads the address of a Redis: of a single node, of a Cluster,
// or of one that Sentinels watch.
//
//	redis://[USER:PASSWORD@]HOST[:PORT][/DB]
//	unix://[USER:PASSWORD@]/PATH[?db=DB]
//	redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST…]/MASTER[/DB]
//	redis+cluster://[USER:PASSWORD@]HOST[:PORT][,HOST…]
//
// With rediss in place of redis, the connections are encrypted. User and
// password are those of Redis; those of the Sentinels, if they want any, are the
// parameters sentinel_username and sentinel_password. Further parameters are the
// plain ones of go-redis: see [Parse].
//
// The first two are what go-redis reads, and it does the reading. For the others
// it has a dialect of its own, in which the same URL means different things to
// different functions; these are the ones that other clients have.
//
// No error holds any part of the address but its scheme: wherever a password was
// put by mistake, it is not printed.
package redisurl

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Parse returns the options of a client for raw.
//
// It knows the parameters client_name, protocol, max_retries, dial_timeout,
// read_timeout, write_timeout, pool_size and db, as go-redis documents them for
// redis.ParseURL; sentinel_username and sentinel_password; and tls_server_name,
// the name in the server's certificate if it is not the one in the URL. Not
// known is what would weaken TLS, or read from replicas, which lag behind.
func Parse(raw string) (*redis.UniversalOptions, error) {
	parts, err := split(raw)
	if err != nil {
		return nil, err
	}
	query, err := parseQuery(parts.query, parts.scheme.kind)
	if err != nil {
		return nil, err
	}
	addrs, err := addresses(parts)
	if err != nil {
		return nil, err
	}
	master, path, err := location(parts)
	if err != nil {
		return nil, err
	}

	// What is left is the URL of a single node, which go-redis reads.
	single := url.URL{Scheme: parts.scheme.base, User: parts.user, Host: addrs[0], Path: path, RawQuery: query.plain.Encode()}
	if parts.scheme.kind == socket {
		single.Host = ""
	}
	o, err := redis.ParseURL(single.String())
	if err != nil || !sensible(o) { // the text of err may hold the password, so it is not passed on
		return nil, errors.New("a parameter has a value that makes no sense")
	}
	opts := &redis.UniversalOptions{
		Addrs: addrs, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		MasterName: master, IsClusterMode: parts.scheme.kind == cluster,
		SentinelUsername: query.sentinelUsername, SentinelPassword: query.sentinelPassword,
		ClientName: o.ClientName, Protocol: o.Protocol, MaxRetries: o.MaxRetries, PoolSize: o.PoolSize,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
	}
	switch {
	case opts.TLSConfig == nil && query.serverName != "":
		return nil, errors.New("tls_server_name is of no use without TLS: begin with rediss in place of redis")
	case opts.TLSConfig != nil && (parts.scheme.kind != node || query.serverName != ""):
		opts.TLSConfig.ServerName = query.serverName // none: each server is checked by the name that it is reached by
	}
	return opts, nil
}

// sensible refuses values that make go-redis panic, or fail much later.
func sensible(o *redis.Options) bool {
	return o.DB >= 0 && o.PoolSize >= 0 && o.PoolSize <= 1000 && slices.Contains([]int{0, 2, 3}, o.Protocol)
}

// HasSecret reports whether raw may hold a password: then it must not be where
// others see it, such as on a command line.
func HasSecret(raw string) bool {
	opts, err := Parse(raw)
	if err != nil {
		return strings.Contains(raw, "@") || strings.Contains(raw, "password")
	}
	return opts.Password != "" || opts.SentinelPassword != ""
}
