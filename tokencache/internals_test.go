package tokencache

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is what the tests of this package do behind its back.

// usual are the terms of the default options.
var usual = replica.Terms{RequestTimeout: DefaultRequestTimeout, Lease: 2 * DefaultRequestTimeout}

// fetchNow lets a source fetch, as it may at any time.
func (s *Source) fetchNow() {
	s.client.apply(func(now replica.Instant, state *replica.State) { state.Tokens[s.id].FetchAt = max(now.Mono, 1) })
}

// putOff puts off the renewal of a source.
func (s *Source) putOff(d time.Duration) {
	s.client.apply(func(now replica.Instant, state *replica.State) {
		state.Tokens[s.id].Hold = replica.Hold{Until: now.Mono + d}
	})
}

// valid returns what a source would serve.
func (s *Source) valid() *held {
	if h := s.held.Load(); h != nil && h.Valid(s.client.host.now()) {
		return h
	}
	return nil
}

// give makes a token of ten hours the one that a source holds.
func (s *Source) give(accessToken string) {
	s.client.apply(func(now replica.Instant, state *replica.State) {
		req, _ := state.Request(now, s.id, replica.Readable)
		r := replica.Record{Token: digest(accessToken), Lifetime: 10 * time.Hour, Payload: &payload{accessToken: accessToken, tokenType: "Bearer"}}
		state.Issued(now, req, replica.Issue{Record: r, Sent: now, Now: 1, Admitted: now}, 0)
	})
}

// testRecord returns a record of an hour.
func testRecord(issued, expires int64) replica.Record {
	return replica.Record{Token: "t", Issued: issued, Expires: expires, Lifetime: time.Hour, Payload: &payload{accessToken: "t", tokenType: "Bearer", requestedBy: "r"}}
}

// newTestSource returns a Source on rdb that has no callers.
func newTestSource(t testing.TB, rdb redis.UniversalClient) *Source {
	t.Helper()
	cache, err := New(rdb, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cache.Close() })
	s, err := cache.Source(Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// learn gives a client blocks that another replica has met.
func (c *client) learn(blocked []quota.Blocked) {
	c.apply(func(now replica.Instant, state *replica.State) { state.Reported(now, blocked) })
}

// listensAlready keeps r from opening a subscription, as if it had one that is silent.
func (r *testReplica) listensAlready() {
	c := r.source.client
	c.apply(func(replica.Instant, *replica.State) { c.listening = true })
}
