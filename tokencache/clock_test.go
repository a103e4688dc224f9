package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
)

// Clocks of replicas are off by minutes or by a day, either way, or are set while
// they run.
func TestClocksAreOff(t *testing.T) {
	for _, step := range []time.Duration{7 * time.Minute, 144 * time.Minute} {
		t.Run((10 * step).String(), func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
				off := make([]time.Duration, 20)
				for i, r := range f.start(20) {
					off[i] = time.Duration(i-10) * step
					r.cache.wall = func() time.Time { return time.Now().Add(off[i]) }
				}
				f.together(f.replicas)
				f.serve(30*time.Hour, 10*time.Minute)
				f.want(4)
				for i, r := range f.replicas {
					tok, err := r.source.Token(f.t.Context())
					if err != nil {
						t.Fatal(err)
					}
					truth := f.tenant.Requests()[3].Expires
					if got := tok.Expiry.Sub(truth); (got - off[i]).Abs() > 2*time.Second {
						t.Errorf("clock off by %v: the token's expiry is off by %v", off[i], got)
					}
				}
				for i := range off { // somebody sets all clocks right
					off[i] = 0
				}
				f.serve(20*time.Hour, 10*time.Minute)
				f.want(6)
			})
		})
	}
}

// A token has lived as long as its answer was on its way: neither who asked nor
// who finds it in Redis serves it for longer than it is valid.
func TestLifeCountsFromTheRequest(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Minute, Latency: 9 * time.Second}, Options{}, func(f *fleet) {
		for _, r := range f.start(2) {
			tok, err := r.source.Token(f.t.Context())
			if err != nil {
				f.t.Fatal(err)
			}
			if ends := f.tenant.Requests()[0].Expires; tok.Expiry.After(ends) {
				f.t.Errorf("%s says it expires at %v, and the endpoint %v", r.name, tok.Expiry.UTC(), ends)
			}
			if h := r.source.held.Load(); h.since.Add(h.Remaining).After(tok.Expiry) {
				f.t.Errorf("%s holds it until %v, want %v", r.name, h.since.Add(h.Remaining), tok.Expiry)
			}
			synctest.Wait() // until the fleet has it
		}
		f.want(1)
	})
}

// A machine sleeps past the token's expiry: its monotonic clock has stood still,
// and the first call after it wakes must not get the old token.
func TestSuspend(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		old := f.token(r)
		synctest.Wait()
		r.cache.wall = func() time.Time { return time.Now().Add(11 * time.Hour) }
		f.m.FlushAll() // and the fleet's is over, too
		time.Sleep(2 * time.Millisecond)
		tok, err := r.source.Token(f.t.Context())
		if err != nil || tok.AccessToken == old {
			t.Errorf("after the sleep: got the old token: %v, %v", tok != nil, err)
		}
		f.want(2)
	})
}

// get calls the API once through the replica's own client and returns the
// status.
func (f *fleet) get(client *http.Client) int {
	f.t.Helper()
	resp, err := client.Get(f.tenant.APIURL())
	if err != nil {
		f.t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// A countedConn counts what is read from it.
type countedConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// through lets r ask through the transport that is the default, which counts what
// it reads.
func (f *fleet) through(r *testReplica) (read *atomic.Int64) {
	read = new(atomic.Int64)
	pipe, rt := f.tenant.Transport(), endpoint.NewTransport(nil)
	rt.TLSClientConfig.RootCAs = pipe.TLSClientConfig.RootCAs
	rt.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := pipe.DialContext(ctx, network, addr)
		return countedConn{conn, read}, err
	}
	r.web.base = rt
	return read
}

// The provider shortens the life of tokens, to less than the renewal window of
// those that are there. Then the newer one has to win, although it expires
// earlier.
func TestTokensBeginToLiveShorter(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 24 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		f.together(f.start(20))
		f.serve(23*time.Hour-time.Minute, time.Hour)
		f.want(1)
		f.tenant.Update(func(c *auth0test.Config) { c.TTL = 30 * time.Minute })
		f.serve(2*time.Minute, time.Second)
		if got := f.requests() - 1; got > 2 {
			f.t.Errorf("got %d token requests in two minutes, want 2 at most", got)
		}
		f.serve(56*time.Minute, time.Second)
		if got := f.requests() - 1; got > 4 {
			f.t.Errorf("got %d token requests in an hour, want 4 at most", got)
		}
	})
}

// RenewBefore suits tokens of 24 hours, and they live 10.
func TestRenewBeforeIsLongerThanTokensLive(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{RenewBefore: 12 * time.Hour}, func(f *fleet) {
		f.together(f.start(3))
		f.serve(time.Hour, time.Second)
		if got := f.requests(); got > 2 {
			f.t.Errorf("got %d token requests in the first hour of a token of 10 h, want 2 at most", got)
		}
	})
}

// The machine sleeps while the answer is on its way.
func TestSleepDuringRequest(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		var slept atomic.Int64
		r.cache.wall = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
		base := f.tenant.Transport()
		r.cache.rt = tripper(func(req *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(req)
			slept.Store(int64(9 * time.Hour))
			return resp, err
		})
		issued := time.Now()
		tok, err := r.source.Token(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		if truth := issued.Add(10 * time.Hour); tok.Expiry.After(truth.Add(time.Second)) {
			f.t.Errorf("the token expires at %v, and is served until %v", truth.UTC(), tok.Expiry.UTC())
		}
	})
}

// A token is asked for past Redis; then the machine sleeps; then Redis is back.
func TestSleepAfterDirect(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{RedisDownBudget: &RedisDownBudget{Spread: time.Second}}, func(f *fleet) {
		r := f.start(1)[0]
		var slept atomic.Int64
		r.cache.wall = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
		r.net.cut()
		issued := time.Now()
		f.token(r)
		synctest.Wait()
		slept.Store(int64(5 * time.Hour))
		f.m.SetTime(time.Now().Add(5 * time.Hour))
		r.net.mend()
		for range 10 {
			time.Sleep(time.Second)
			_, _ = r.source.Token(f.t.Context())
		}
		truth := issued.Add(10 * time.Hour)
		if got := r.source.held.Load().token.Expiry; got.After(truth.Add(time.Minute)) {
			f.t.Errorf("the token expires at %v, and this replica serves it until %v", truth.UTC(), got.UTC())
		}
		var ms int64
		fmt.Sscan(f.m.HGet(r.source.token.Key(), "expires"), &ms)
		if got := time.UnixMilli(ms); got.After(truth.Add(time.Minute)) {
			f.t.Errorf("the token expires at %v, and the fleet is told %v", truth.UTC(), got.UTC())
		}
	})
}

// The clock of Redis goes back, as by a failover to a host whose clock is behind.
// A newcomer may then believe a token to live longer than it does, but for no
// longer than a token lives; and nobody asks for more tokens than before, although
// what is issued now seems to be older than what was there. Those who had the
// token know better.
func TestRedisClockIsSetBack(t *testing.T) {
	long(t)
	for _, by := range []time.Duration{2 * time.Second, 5 * time.Hour, 12 * time.Hour, 48 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
				f.together(f.start(3))
				issued := time.Now()
				time.Sleep(time.Hour)
				defer f.setRedisClock(-by)()
				r := f.start(1)[0]
				tok, err := r.source.Token(f.t.Context())
				if err != nil {
					f.t.Fatal(err)
				}
				if got, want := tok.Expiry, issued.Add(10*time.Hour); got.After(want.Add(time.Hour + time.Minute)) {
					f.t.Errorf("expires at %v, is served until %v: %v from now, with a life of 10 h", want.UTC(), got.UTC(), time.Until(got))
				}
				r.close()
				f.replicas = f.replicas[:3]
				f.serve(29*time.Hour, size(10*time.Second, 30*time.Second))
				if got := f.requests(); got > 4 {
					f.t.Errorf("got %d token requests in thirty hours, want 4 at most", got)
				}
			})
		})
	}
}

// The clock of Redis jumps while a replica has the lease and its request is on
// the way. Forward, the lease is over at once, and another one may ask as well.
// Back, it lasts for hours, and if its holder dies nobody gives it back.
func TestRedisClockJumpsDuringALease(t *testing.T) {
	long(t)
	for _, row := range []struct {
		name  string
		by    time.Duration
		dies  bool // the one that holds the lease
		costs int
	}{
		{"forward", time.Minute, false, 1},
		{"back", -2 * time.Hour, false, 0},
		{"back, and the holder dies", -2 * time.Hour, true, 1},
	} {
		for moment, at := range map[string]time.Duration{"cold start": 0, "renewal": 9*time.Hour - 10*time.Second} {
			t.Run(row.name+", at a "+moment, func(t *testing.T) {
				story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 5 * time.Second}, Options{}, func(f *fleet) {
					f.start(5)
					if at > 0 {
						f.together(f.replicas)
						f.serve(at, time.Hour)
					}
					asked := f.requests()
					var callers sync.WaitGroup
					for _, r := range f.replicas {
						callers.Go(func() { f.token(r) })
					}
					for f.requests() == asked {
						time.Sleep(100 * time.Millisecond)
					}
					lock := f.replicas[0].source.client.names.Lock
					holder := slices.IndexFunc(f.replicas, func(r *testReplica) bool {
						value, _ := f.m.Get(lock)
						return strings.Contains(value, r.cache.locker.ID())
					})
					defer f.setRedisClock(row.by)()
					if row.by < 0 { // the clock of miniredis takes no key along
						f.m.SetTTL(lock, f.m.TTL(lock)-row.by)
					}
					if dead := f.replicas[holder]; row.dies {
						dead.net.cut()
						f.replicas = slices.Delete(f.replicas, holder, holder+1)
						defer dead.close()
					}
					callers.Wait()
					f.serve(90*time.Minute, time.Second)
					if got := f.requests() - asked - 1; got > row.costs {
						f.t.Errorf("it cost %d token requests, want %d at most", got, row.costs)
					}
					if got := f.tenant.Requests().MaxConcurrent(); got > 1+row.costs {
						f.t.Errorf("got %d token requests at once, want %d at most", got, 1+row.costs)
					}
				})
			})
		}
	}
}

// The wall clock goes back while a token request is on the way, and again while
// Redis is away. Nobody serves a token for longer for that.
func TestClockIsSetBack(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 5 * time.Second}, Options{}, func(f *fleet) {
		var off atomic.Int64
		for _, r := range f.start(3) {
			r.cache.wall = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		}
		f.together(f.replicas)
		f.serve(9*time.Hour-5*time.Second, 10*time.Minute)
		for f.requests() == 1 {
			time.Sleep(time.Second)
		}
		off.Add(-int64(2 * time.Hour))
		f.serve(4*time.Hour, 10*time.Minute)
		f.want(2)
		off.Add(-int64(2 * time.Hour))
		for _, r := range f.replicas {
			r.net.cut()
		}
		f.serve(time.Until(f.tenant.Requests()[1].Expires)-time.Minute, time.Minute)
		time.Sleep(2 * time.Minute)
		for _, r := range f.replicas {
			if tok, err := r.source.Token(f.t.Context()); err == nil {
				f.t.Errorf("%s serves a token that is %v", r.name, f.tenant.Check(tok.AccessToken))
			}
			r.net.mend()
		}
		time.Sleep(time.Minute)
		f.together(f.replicas)
		f.serve(20*time.Hour, 10*time.Minute)
	})
}

// setRedisClock lets the clock of Redis be off from now on, until the function
// that it returns is called.
func (f *fleet) setRedisClock(by time.Duration) (stop func()) {
	return f.stepRedisClock(by, time.Second)
}

// stepRedisClock is setRedisClock with a clock that stands still for a step at a time.
func (f *fleet) stepRedisClock(by, step time.Duration) (stop func()) {
	done := make(chan struct{})
	go func() { // the clock of miniredis stands still once it is set
		defer f.m.SetTime(time.Time{}) // which lets it run again
		for {
			f.m.SetTime(time.Now().Add(by))
			select {
			case <-time.After(step):
			case <-done:
				return
			}
		}
	}()
	synctest.Wait()
	return func() { close(done); synctest.Wait() }
}

// A clock is set ahead while Redis is away. That cannot be told from a sleep, so the
// token ends when the clock says so; as soon as Redis is back, it is measured anew.
func TestClockIsSetAheadWithoutRedis(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		var ahead atomic.Int64
		r.cache.wall = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		f.token(r)
		time.Sleep(time.Second) // then Redis has it, too
		r.net.cut()
		ahead.Store(int64(4 * time.Hour))
		time.Sleep(5 * time.Hour)
		f.token(r) // nine hours, by that clock
		time.Sleep(time.Hour + time.Minute)
		if _, err := r.source.Token(f.t.Context()); !errors.Is(err, ErrNoToken) || !errors.Is(err, ErrRedis) {
			f.t.Errorf("ten hours by that clock: got %v, want that Redis is away", err)
		}
		r.net.mend()
		time.Sleep(time.Minute)
		f.token(r)
		f.want(1)
	})
}
