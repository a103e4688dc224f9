package tokencache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

func TestOptions(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	for _, row := range []struct {
		name string
		opts *Options
		want string
	}{
		{"nil", nil, ""},
		{"zero", &Options{}, ""},
		{"all", &Options{Prefix: "p", Replica: "r", RenewBefore: time.Hour, RequestTimeout: time.Second, RedisTimeout: time.Second, MaxWait: time.Second, EncryptionKeys: [][]byte{make([]byte, 32)}, RedisDownBudget: &RedisDownBudget{}, Subscribe: true}, ""},
		{"a negative duration", &Options{RenewBefore: -1}, "RenewBefore"},
		{"another", &Options{MaxWait: -1}, "MaxWait"},
		{"a request without time", &Options{RequestTimeout: time.Millisecond}, "RequestTimeout"},
		{"braces in the prefix", &Options{Prefix: "a{b}"}, "Prefix"},
		{"a short key", &Options{EncryptionKeys: [][]byte{make([]byte, 32), []byte("canary")}}, "EncryptionKeys[1]"},
		{"a negative budget", &Options{RedisDownBudget: &RedisDownBudget{Requests: -1}}, "RedisDownBudget"},
	} {
		cache, err := New(rdb, row.opts)
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
		if err == nil {
			cache.Close()
		}
	}
	if _, err := New(nil, nil); err == nil {
		t.Error("without a Redis client: got no error")
	}
}

// What a service sees of one token's life costs Redis next to nothing: a look by
// each replica, and a few commands more by the renewer.
func TestRedisCommandsPerLife(t *testing.T) {
	for _, listen := range []bool{false, true} {
		story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: time.Second}, Options{Subscribe: listen}, func(f *fleet) {
			lives := size(20, 10)
			if listen { // which is a PING now and then, so it takes longer
				lives = 5
			}
			f.together(f.start(50))
			synctest.Wait()
			each, connections := counted(f.replicas), f.m.TotalConnectionCount()
			f.serve(time.Duration(lives)*9*time.Hour-time.Minute, 30*time.Minute)
			f.want(lives)
			perLife := each() / float64(lives-1)
			if perLife > 1.2 {
				f.t.Errorf("listen %v: %.2f commands a replica and life, want 1, and the renewer's few more", listen, perLife)
			}
			if n := f.m.TotalConnectionCount() - connections; n > 0 {
				f.t.Errorf("listen %v: %d further connections in steady state", listen, n)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
		a, b := f.start(1)[0], f.start(1)[0]
		empty, err := a.source.Status(f.t.Context())
		if err != nil || empty.Fleet != nil || empty.Local != nil || empty.Lease != nil || empty.Client != "…ient" || empty.Audience != "api" {
			f.t.Errorf("before anything: got %+v, %v", empty, err)
		}
		f.token(a)
		time.Sleep(time.Hour)
		status, err := b.source.Status(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		fleet := status.Fleet
		if fleet == nil || fleet.By != a.cache.locker.ID() || fleet.Lifetime != 10*time.Hour || (fleet.Age-time.Hour).Abs() > time.Second || fleet.Issued.Sub(fleet.Expires.Add(-10*time.Hour)).Abs() > time.Second {
			f.t.Errorf("the fleet's token: got %+v", fleet)
		}
		if got := time.Until(fleet.Expires); (got - fleet.Remaining).Abs() > time.Millisecond {
			f.t.Errorf("it expires in %v and has %v left", got, fleet.Remaining)
		}
		if got := fleet.Expires.Sub(fleet.RenewFrom); got != time.Hour {
			f.t.Errorf("its window is %v, want an hour", got)
		}
		if status.Local != nil {
			f.t.Errorf("a replica that never asked holds %+v", status.Local)
		}
		w, ok := status.Quota.Find(quota.Client, quota.PerDay)
		if !ok || w.Used != 1 || w.Quota != 100 || w.Server != 1 || w.Own != 1 {
			f.t.Errorf("the day's quota: got %+v", w)
		}
		if len(status.Journal) != 1 || status.Journal[0].Reason != "cold" || status.Journal[0].Outcome != "issued" || status.Journal[0].By != fleet.By || status.Journal[0].For != status.TokenID {
			f.t.Errorf("the journal: got %+v", status.Journal)
		}

		f.tenant.Inject(1, auth0test.Slow(2*time.Second))
		go func() { _ = a.source.Rotate(f.t.Context()) }()
		time.Sleep(time.Second)
		status, err = b.source.Status(f.t.Context())
		if err != nil || status.Lease == nil || status.Lease.Holder != a.cache.locker.ID() || status.Lease.Remaining <= 0 {
			f.t.Errorf("while a renews: got %+v, %v", status.Lease, err)
		}
		time.Sleep(5 * time.Second)

		b.net.cut()
		status, err = b.source.Status(f.t.Context())
		if !errors.Is(err, ErrRedis) || status.Client != "…ient" {
			f.t.Errorf("without Redis: got %+v, %v", status, err)
		}
		f.want(2)
	})
}

// The journal can always say who spent which token request, and why.
func TestJournalTellsAll(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)                                  // cold
		f.serve(9*time.Hour+time.Minute, time.Hour) // early
		_ = r.source.Rotate(f.t.Context())          // rotated
		tok, _ := r.source.Token(f.t.Context())
		_ = r.source.Invalidate(f.t.Context(), tok) // rejected
		f.serve(9*time.Hour-time.Minute, time.Hour)
		f.tenant.Inject(-1, auth0test.Status(503))
		f.serve(47*time.Minute, 30*time.Second) // early, and then expiring
		f.tenant.ClearFaults()
		f.tenant.Inject(1, auth0test.Hang())
		f.serve(5*time.Minute, time.Minute)
		status, err := r.source.Status(f.t.Context())
		entries, requests := status.Journal, f.tenant.Requests()
		if err != nil || len(entries) != min(len(requests), 20) {
			f.t.Fatalf("got %d entries for %d requests, %v", len(entries), len(requests), err)
		}
		why := make(map[string]bool)
		for i, e := range entries {
			row := requests[len(requests)-1-i]
			why[e.Reason] = true
			if e.At.Sub(row.Arrived).Abs() > time.Second || e.By != r.cache.locker.ID() {
				f.t.Errorf("entry %+v does not belong to request %v", e, row)
			}
			if (e.Outcome == "issued") != row.Issued {
				f.t.Errorf("entry %+v: the endpoint says %v", e, row)
			}
		}
		for _, want := range []string{"early", "expiring"} {
			if !why[want] {
				f.t.Errorf("no request was made because it was %s: %v", want, why)
			}
		}
	})
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Wrapped in a second cache, as oauth2.NewClient does, a rotation is still heard
// of, within a minute.
func TestTokenSource(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		s := f.start(1)[0].source
		wrapped := oauth2.ReuseTokenSource(nil, s.TokenSource(f.t.Context()))
		first, err := wrapped.Token()
		if err != nil || !first.Valid() || first.Type() != "Bearer" {
			f.t.Fatalf("got %v, %v", first != nil, err)
		}
		shared, _ := s.Token(f.t.Context())
		if time.Until(shared.Expiry) < 23*time.Hour || shared.Extra("expires_in") != 86400.0 {
			f.t.Errorf("the shared token expires at %v, and has expires_in %v", shared.Expiry, shared.Extra("expires_in"))
		}
		if err := s.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(time.Minute)
		second, err := wrapped.Token()
		if err != nil || second.AccessToken == first.AccessToken {
			f.t.Errorf("a minute after a rotation, the wrapped source gives the old token, %v", err)
		}
		f.want(2)
	})
}

func TestClientUsesTheGivenTransport(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		base := &recorder{}
		given := &http.Client{Transport: base, Timeout: 7 * time.Second}
		client := f.start(1)[0].source.Client(context.WithValue(f.t.Context(), oauth2.HTTPClient, given))
		if client.Timeout != 7*time.Second || client == given {
			f.t.Errorf("got timeout %v, want the given client's, in a client of its own", client.Timeout)
		}
		resp, err := client.Get("https://api.test/")
		if err != nil {
			f.t.Fatal(err)
		}
		resp.Body.Close()
		if len(base.seen) != 1 || !strings.HasPrefix(base.seen[0].Header.Get("Authorization"), "Bearer ") {
			f.t.Errorf("got %d requests", len(base.seen))
		}
		if given.Transport != base {
			f.t.Error("the given client was changed")
		}
	})
}

func TestTrace(t *testing.T) {
	var events []string
	var mu sync.Mutex
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, fmt.Sprintf(format, args...))
	}
	opts := Options{EnforcedQuota: true, Hooks: &Hooks{
		Requested: func(i RequestedInfo) { note("requested %s %s %d %v", i.Reason, i.Priority, i.Status, i.Err == nil) },
		Adopted: func(i AdoptedInfo) {
			note("adopted %v %v ago %v", i.Requested, time.Since(i.Issued).Round(time.Second), i.Remaining.Round(time.Hour))
		},
		Denied: func(i DeniedInfo) { note("denied %s", i.Err.Reason) },
		Redis:  func(i RedisInfo) { note("redis %v", i.Err == nil) },
	}}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 1}, opts, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		if err := r.source.Rotate(f.t.Context()); !errors.Is(err, quota.ErrDenied) {
			f.t.Errorf("got %v, want to be denied: the hour's only token is spent", err)
		}
		synctest.Wait() // hooks are called when callers have been woken
		other := f.start(1)[0]
		f.token(other)
		synctest.Wait()
		other.net.cut()
		_, _ = other.source.Status(f.t.Context())
		other.source.fetchNow()
		time.Sleep(time.Second / 2)
		other.net.mend()
		time.Sleep(time.Minute)
		mu.Lock()
		got := strings.Join(events, ", ")
		mu.Unlock()
		if want := "requested cold need 200 true, adopted true 0s ago 10h0m0s, denied reserve, adopted false 0s ago 10h0m0s, redis false, redis true"; got != want {
			f.t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
