package redisurl

import (
	"errors"
	"net/url"
	"slices"
)

// A query is the parameters of a URL.
type query struct {
	plain                              url.Values // for go-redis
	sentinelUsername, sentinelPassword string
	serverName                         string
}

func parseQuery(raw string, k kind) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, errors.New("the parameters have a character that must be written as % and two hex digits")
	}
	take := func(name string) string {
		value := values.Get(name)
		values.Del(name)
		return value
	}
	q := query{serverName: take("tls_server_name")}
	if k == sentinel {
		q.sentinelUsername, q.sentinelPassword = take("sentinel_username"), take("sentinel_password")
	}
	known := []string{"client_name", "protocol", "max_retries", "dial_timeout", "read_timeout", "write_timeout", "pool_size"}
	if k == node || k == socket {
		known = append(known, "db")
	}
	for name := range values {
		switch {
		case name == "skip_verify":
			return query{}, errors.New("skip_verify would let anybody pose as Redis: trust the authority that signed its certificate instead")
		case !slices.Contains(known, name):
			return query{}, errors.New("there is a parameter in it that is not known: known are client_name, protocol, max_retries, " +
				"dial_timeout, read_timeout, write_timeout, pool_size, db, tls_server_name, sentinel_username and sentinel_password")
		}
	}
	q.plain = values
	return q, nil
}
