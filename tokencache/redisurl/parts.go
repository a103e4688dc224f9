package redisurl

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// parts are a URL taken apart, and not yet understood.
type parts struct {
	scheme scheme
	user   *url.Userinfo
	hosts  []string
	path   string
	query  string
}

// split takes a URL apart. The package net/url would not: it knows of one host
// only.
func split(raw string) (parts, error) {
	var p parts
	if raw != strings.TrimSpace(raw) || strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return p, errors.New("there is a blank or a newline in it: remove it")
	}
	name, rest, _ := strings.Cut(raw, "://")
	var known bool
	if p.scheme, known = schemes()[strings.ToLower(name)]; !known {
		return p, errors.New("it must begin with redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://")
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	authority, tail := rest[:end], rest[end:]
	if strings.Contains(tail, "@") {
		return p, errors.New("there is an @ behind the host: write / ? # and @ in a password as %2F %3F %23 and %40")
	}
	if strings.Contains(tail, "#") {
		return p, errors.New("there is a # in it: write it as %23")
	}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		u, err := url.Parse("redis://" + authority[:i+1] + "host")
		if err != nil {
			return p, errors.New("the user name or the password has a character that must be written as % and two hex digits")
		}
		p.user, authority = u.User, authority[i+1:]
	}
	p.hosts = strings.Split(authority, ",")
	path, query, _ := strings.Cut(tail, "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return p, errors.New("the path has a % that is not followed by two hex digits")
	}
	p.path, p.query = path, query
	return p, nil
}

// location reads the path: it holds the master's name, the database, both, or is
// the path of a socket. It returns the path as go-redis wants it.
func location(p parts) (master, path string, err error) {
	fields := strings.FieldsFunc(p.path, func(r rune) bool { return r == '/' })
	switch p.scheme.kind {
	case socket:
		return "", p.path, nil
	case sentinel:
		if len(fields) == 0 {
			return "", "", errors.New("the name of the master is missing: write redis+sentinel://HOST:26379/MASTER")
		}
		master, fields = fields[0], fields[1:]
	case cluster:
		if len(fields) > 0 && !slices.Equal(fields, []string{"0"}) {
			return "", "", errors.New("a Cluster has no databases: leave out the path")
		}
	}
	switch {
	case len(fields) == 0:
		return master, "", nil
	case len(fields) > 1 || !isNumber(fields[0]):
		return "", "", errors.New("the database, the last part of the path, is not a number")
	}
	return master, "/" + fields[0], nil
}

func isNumber(s string) bool { return len(s) < 6 && s != "" && strings.Trim(s, "0123456789") == "" }
