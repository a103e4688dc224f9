package tokencache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/redis/go-redis/v9"
)

// Promise: without faults the fleet makes exactly ceil(horizon / (TTL - W))
// token requests, however many replicas, and in steady state nobody waits.
func TestSteadyState(t *testing.T) {
	const day = 24 * time.Hour
	for _, row := range []struct {
		replicas int
		ttl      time.Duration
		horizon  time.Duration
	}{
		{1, 10 * time.Hour, 30 * day},
		{20, 10 * time.Hour, size(30*day, 7*day)},
		{100, 10 * time.Hour, size(30*day, 7*day)},
		{1, day, 30 * day},
		{100, day, size(30*day, 7*day)},
		{3, 10 * time.Minute, size(2*day, day/2)},
		{50, 10 * time.Minute, size(4*time.Hour, time.Hour)},
		{5, 30 * time.Second, size(90*time.Minute, 20*time.Minute)},
		{100, 30 * time.Second, size(10*time.Minute, 4*time.Minute)},
	} {
		if testing.Short() && row.replicas > 5 {
			continue
		}
		t.Run(fmt.Sprintf("%d replicas, TTL %v, %v", row.replicas, row.ttl, row.horizon), func(t *testing.T) {
			t.Parallel()
			story(t, &auth0test.Config{TTL: row.ttl}, Options{}, func(f *fleet) {
				f.together(f.start(row.replicas))
				f.serve(row.horizon-time.Second, row.ttl/20)
				period := row.ttl - usual.Window(row.ttl)
				f.want(int((row.horizon + period - 1) / period))
			})
		})
	}
}

// A renewal that fails takes nothing from the token there is: it is served to its
// end, and not beyond, and the renewal is tried again all the while.
func TestRenewalFails(t *testing.T) {
	long(t)
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		f.together(f.start(5))
		f.serve(8*time.Hour, time.Hour)
		f.tenant.Inject(-1, auth0test.Status(http.StatusServiceUnavailable))
		f.serve(2*time.Hour-replica.Leeway(10*time.Hour)-time.Second, time.Second)
		if got := f.requests(); got < 3 || got > 75 {
			f.t.Errorf("got %d token requests, want one or two a minute at most in the hour of the window", got)
		}
		time.Sleep(time.Second)
		for _, r := range f.replicas {
			if _, err := r.source.Token(f.t.Context()); !errors.Is(err, ErrNoToken) {
				f.t.Errorf("got %v, want that there is no token any more", err)
			}
		}
		f.tenant.ClearFaults()
		ctx, cancel := context.WithTimeout(f.t.Context(), 6*time.Minute)
		defer cancel()
		for _, r := range f.replicas {
			if _, err := r.source.Token(ctx); err != nil {
				f.t.Errorf("when the endpoint is well again: %v", err)
			}
		}
	})
}

// When a replica looks for the next token is drawn once for each token, however
// often it looks for something else: of many draws, one is early.
func TestJitterIsDrawnOnce(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(5))
		drawn := map[time.Duration]bool{}
		for _, r := range f.replicas {
			late := r.source.held.Load().Jitter
			drawn[late] = true
			for range 20 {
				r.source.fetchNow()
				time.Sleep(time.Minute)
				if got := r.source.held.Load().Jitter; got != late {
					f.t.Fatalf("%s would look %v later than the first, and now %v", r.name, late, got)
				}
			}
		}
		if len(drawn) != 5 {
			f.t.Errorf("five replicas look at %d moments, want each at its own", len(drawn))
		}
		f.want(1)
	})
}

// Starting, restarting and deploying cost nothing while the fleet has a token.
func TestRestartsCostNothing(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(20))
		f.want(1)
		for i := range 200 { // a rolling restart, again and again, within one life
			r := f.replicas[i%20]
			r.close()
			*r = *f.boot(r.name)
			f.token(r)
			f.serve(time.Minute, time.Minute)
		}
		f.want(1)
		for _, r := range f.replicas {
			r.close()
		}
		f.replicas = nil
		time.Sleep(time.Hour) // nobody is there; the token is
		f.together(f.start(50))
		f.want(1)
		f.serve(5*time.Hour, time.Hour)
		f.want(2)
	})
}

// Nobody asks for a token for the whole of its life: then it is not renewed, at
// the fleet's cost, for nobody.
func TestIdleSourceRests(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		time.Sleep(7 * 24 * time.Hour)
		if got := f.requests(); got > 2 {
			t.Errorf("got %d token requests in a week without use, want 2 at most", got)
		}
		f.token(r)
		f.serve(9*time.Hour-time.Minute, time.Hour)
		before := f.requests()
		f.serve(30*24*time.Hour, time.Hour)
		if got := f.requests() - before; got != 80 {
			t.Errorf("in use again: got %d token requests in 30 days, want 80", got)
		}
	})
}

// The tokens of one client are asked for one after another, and count as one.
func TestManyTokensOfOneClient(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100, Latency: 50 * time.Millisecond}, Options{EnforcedQuota: true}, func(f *fleet) {
		replicas := f.start(5)
		var wg sync.WaitGroup
		var got, denied atomic.Int32
		for _, r := range replicas {
			for i := range 60 {
				cred := f.credentials()
				cred.Audience = fmt.Sprintf("api-%d", i)
				s, err := r.cache.Source(cred)
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					_, err := s.Token(f.t.Context())
					switch {
					case err == nil:
						got.Add(1)
					case errors.Is(err, quota.ErrDenied) && errors.Is(err, ErrNoToken):
						denied.Add(1)
					default:
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		f.want(42)
		if n := f.tenant.Requests().Answered(429); n != 0 {
			t.Errorf("got %d refusals, want none", n)
		}
		if got.Load() != 5*42 || denied.Load() != 5*18 {
			t.Errorf("got %d tokens and %d denials, want %d and %d", got.Load(), denied.Load(), 5*42, 5*18)
		}
	})
}

// Two sources of one process may stand for one token, as when only the way in which
// it is asked for differs.
func TestTwoSourcesOfOneToken(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		var deaf atomic.Bool // or a notification would give the second what the first has requested
		deaf.Store(true)
		r.rdb.AddHook(deafHook{commandHook(pass), &deaf})
		ways := []*Source{r.source}
		for _, change := range []func(*Credentials){
			func(c *Credentials) { c.Encoding = Form },
			func(c *Credentials) { c.Audience = "another token" },
		} {
			cred := f.credentials()
			change(&cred)
			s, err := r.cache.Source(cred)
			if err != nil {
				f.t.Fatal(err)
			}
			ways = append(ways, s)
		}
		var wg sync.WaitGroup
		call := func(s *Source) {
			wg.Go(func() {
				if _, err := s.Token(f.t.Context()); err != nil {
					f.t.Error(err)
				}
			})
		}
		call(ways[2])
		time.Sleep(10 * time.Millisecond) // its request is on the way, and so the next lease is for both others
		call(ways[0])
		call(ways[1])
		wg.Wait()
		f.want(2)
	})
}

// A deafHook stands before each connection, and takes away what is said on those
// that are subscribed, as soon as it is told to. None of them breaks.
type deafHook struct {
	redis.Hook
	now *atomic.Bool
}

func (d deafHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &deafConn{Conn: conn, now: d.now}, nil
	}
}

type deafConn struct {
	net.Conn
	now        *atomic.Bool
	subscribed atomic.Bool
}

func (c *deafConn) Write(p []byte) (int, error) {
	if bytes.Contains(bytes.ToLower(p), []byte("\nsubscribe")) {
		c.subscribed.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.subscribed.Load() || !c.now.Load() {
			return n, err
		}
	}
}

func pass(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error { return next(ctx, cmd) }
