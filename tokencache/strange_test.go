package tokencache

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// This file is about a Redis that is slow, is somewhere else, or says what is meant
// for others.

// slowly tells of a fleet whose Redis is always slow, and not too slow: it works.
func slowly(slow func(l *link)) func(t *testing.T) {
	return func(t *testing.T) {
		story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
			for _, r := range f.start(5) {
				r.net.set(func() { slow(r.net) })
			}
			f.together(f.replicas)
			f.serve(30*time.Hour, 10*time.Minute)
			f.want(4)
		})
	}
}

var errNoSuchHost = &net.DNSError{Err: "no such host", Name: "redis", IsNotFound: true}

// unresolved lets the name of Redis not resolve for a while, which takes the
// resolver three seconds to say. After that the name stands for another Redis,
// which knows nothing.
func unresolved(tr *trial) func() {
	crew := tr.all()
	for _, m := range crew {
		m.net.set(func() { m.net.down, m.net.slow = errNoSuchHost, 3*time.Second })
		m.net.drop()
	}
	return func() {
		elsewhere := miniredis.NewMiniRedis()
		elsewhere.ClockTTL(true)
		elsewhere.RequireAuth(tr.password)
		tr.t.Cleanup(elsewhere.Close)
		tr.m = elsewhere
		for _, m := range crew {
			m.net.mend()
			m.net.set(func() { m.net.m = elsewhere })
		}
	}
}

// A name that does not resolve is for a person to look at, and who waits for a
// token is told so at once.
func TestRedisHasNoName(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		r.net.set(func() { r.net.down = errNoSuchHost })
		for range 3 {
			start := time.Now()
			_, err := r.source.Token(f.t.Context())
			away, ok := errors.AsType[*RedisError](err)
			if !ok || away.Kind != RedisConfiguration || !errors.Is(err, errNoSuchHost) || !errors.Is(err, ErrNoToken) || time.Since(start) > time.Second {
				f.t.Errorf("got %v after %v, want that the name does not resolve", err, time.Since(start))
			}
		}
		f.want(0)
		r.net.mend()
		time.Sleep(2 * time.Second)
		f.token(r)
		f.want(1)
	})
}

// For a while there are replicas of a newer version, whose record this one cannot
// read. To this one it is damage: whoever holds a token serves it, and the record
// is written over, for a tenth of the quota at most. So a version that brings
// another record has to read both, and to write the old one until all read both.
func TestNewerVersionOfTheRecord(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
		f.together(f.start(5))
		key := f.replicas[0].source.token.Key()
		newer := func() {
			if sealed := []byte(f.m.HGet(key, "sealed")); len(sealed) > 0 {
				sealed[0]++
				f.m.HSet(key, "sealed", string(sealed))
			}
		}
		for range 30 {
			newer()
			newcomer := f.boot("newcomer")
			if _, err := newcomer.source.Token(f.t.Context()); err != nil && !errors.Is(err, quota.ErrDenied) {
				f.t.Errorf("a newcomer got %v, want a token or a denial", err)
			}
			newcomer.close()
			f.serve(time.Minute, 10*time.Second)
		}
		if got := f.requests() - 1; got < 1 || got > 5 {
			f.t.Errorf("half an hour of two versions cost %d token requests, want one at least, and a tenth of 42", got)
		}
		newer()
		before := f.requests()
		f.replicas[0].lookNow()
		time.Sleep(time.Second)
		f.together(f.start(3))
		if got := f.requests() - before; got > 0 {
			f.t.Errorf("when the newer version is gone: got %d token requests, want none: who had the token gave it back", got)
		}
		f.serve(9*time.Hour, 10*time.Minute)
	})
}

// From some moment on, each connection gives each reply to the next question, as
// one does that was used by somebody else and not emptied. None is taken for what
// it is not: nobody serves the token of another audience, nor asks without end.
func TestRepliesOfOtherQuestions(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		cred := f.credentials()
		cred.Audience = "another"
		var others []*Source
		for _, r := range f.start(3) {
			other, err := r.cache.Source(cred)
			if err != nil {
				f.t.Fatal(err)
			}
			others = append(others, other)
		}
		f.together(f.replicas)
		mine := f.token(f.replicas[0])
		for _, other := range others {
			if _, err := other.Token(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
		}
		theirs := others[0].held.Load().token.AccessToken
		time.Sleep(time.Minute)
		for _, r := range f.replicas {
			r.net.set(func() { r.net.shift = true })
		}
		for range 50 {
			for i, r := range f.replicas {
				(&testReplica{source: others[i]}).lookNow()
				time.Sleep(100 * time.Millisecond)
				r.lookNow()
				time.Sleep(100 * time.Millisecond)
				if got := f.token(r); got != mine {
					f.t.Fatalf("%s serves another token; that of the other audience: %v", r.name, got == theirs)
				}
				if got := others[i].held.Load().token.AccessToken; got != theirs {
					f.t.Fatalf("%s serves the other audience another token; that of the first: %v", r.name, got == mine)
				}
			}
			time.Sleep(time.Minute)
		}
		f.want(2)
		for _, r := range f.replicas {
			r.net.mend()
		}
		time.Sleep(time.Minute)
		f.together(f.start(3))
		f.want(2)
	})
}
