package tokencache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
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
		if testing.Short() && row.replicas > 20 {
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

func TestColdStart(t *testing.T) {
	for _, n := range []int{1, 2, 50, 200} {
		// At the very same moment, nobody sees that the lease is held before trying.
		t.Run(fmt.Sprint(n), coldStart(n, 0, 7))
		t.Run(fmt.Sprintf("%d, one after the other", n), coldStart(n, 50*time.Millisecond/time.Duration(n), 5))
	}
}

// coldStart starts n replicas, a little apart. Most of them may send Redis so many
// commands.
func coldStart(n int, apart time.Duration, most int64) func(t *testing.T) {
	return func(t *testing.T) {
		story(t, &auth0test.Config{Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
			counters := make([]counter, n)
			for i, r := range f.start(n) {
				r.rdb.AddHook(&counters[i])
			}
			var wg sync.WaitGroup
			start := time.Now()
			for i, r := range f.replicas {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * apart)
					f.token(r)
				})
			}
			wg.Wait()
			if slowest := time.Since(start); slowest != 100*time.Millisecond {
				t.Errorf("the slowest of %d replicas had its token after %v, want 100 ms, the endpoint's own time", n, slowest)
			}
			f.want(1)
			var commands []int64
			for i := range counters {
				commands = append(commands, counters[i].n.Load())
			}
			slices.Sort(commands)
			if others := commands[:n-1]; n > 1 && others[n-2] > 10 || n > 2 && others[n/2] > most {
				f.t.Errorf("got %v commands of each replica, want %d of most of them, and 10 at most but for the renewer", commands, most)
			}
		})
	}
}

// Many callers on each of many replicas are one request all the same.
func TestColdStartWithManyCallers(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
		var everybody []*testReplica
		for _, r := range f.start(50) {
			everybody = append(everybody, slices.Repeat([]*testReplica{r}, 10)...)
		}
		if slowest := f.together(everybody); slowest != 100*time.Millisecond {
			f.t.Errorf("the slowest of %d callers had its token after %v, want 100 ms, the endpoint's own time", len(everybody), slowest)
		}
		f.want(1)
	})
}

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

// A message gets lost, or all of them do: the replica looks for itself.
func TestLostWakeUp(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: 8 * time.Second}, Options{}, func(f *fleet) {
		first := f.start(1)
		var slow time.Duration
		done := make(chan struct{})
		go func() { f.token(first[0]); close(done) }()
		time.Sleep(time.Second)
		rest := f.start(5)
		for _, r := range rest {
			go func() {
				time.Sleep(3 * time.Second)
				r.net.drop() // the subscription breaks while they wait
			}()
		}
		slow = f.together(rest)
		<-done
		if slow > 13*time.Second {
			t.Errorf("the slowest waited %v, want to notice within a few seconds", slow)
		}
		f.want(1)
	})
}

// A replica sees neither a token nor a lease. Before it takes the lease, another one has
// had it, and a token. So it fetches again under the lease, when it is cold and when it
// renews.
func TestFetchUnderTheLease(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		replicas := f.start(2)
		first, second := replicas[0], replicas[1]
		second.listensAlready() // so that it gets no notification
		var before atomic.Value // what second sends last before it takes the lease
		var renew func()
		before.Store("exists")
		second.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
			err := next(ctx, cmd)
			if is := fmt.Sprint(cmd.Args()...); strings.Contains(is, before.Load().(string)) {
				before.Store("nothing any more")
				renew()
				for f.m.Exists(first.source.client.names.Lock) {
					time.Sleep(time.Millisecond)
				}
			}
			return err
		}))
		renew = func() { f.token(first) }
		f.token(second)
		synctest.Wait()
		f.want(1)

		for _, r := range replicas {
			f.token(r)
			r.source.putOff(10 * time.Hour)
		}
		time.Sleep(9*time.Hour + 30*time.Minute)
		old := f.token(first)
		before.Store("-- read:")
		renew = func() {
			first.source.putOff(0)
			for f.token(first) == old {
				time.Sleep(time.Millisecond)
			}
		}
		second.source.putOff(0)
		time.Sleep(time.Second)
		if before.Load() != "nothing any more" || f.token(second) == old {
			f.t.Error("the second replica did not renew after the first")
		}
		f.want(2)
	})
}

// Whoever waits for a lease that has less than a millisecond left does not ask
// again and again, all the while: here that would be for ever.
func TestLastMillisecondOfALease(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		lock := r.source.client.names.Lock
		h := r.source.held.Load()
		time.Sleep(time.Until(h.since.Add(h.Look)) - time.Millisecond/4)
		_ = f.m.Set(lock, "somebody's that died")
		f.m.SetTTL(lock, time.Millisecond/2)
		time.Sleep(time.Minute)
		f.want(2)
	})
}

// The renewer dies in the middle of its request: the others take over when its
// lease ends, and the request it sent is not sent again before.
func TestRenewerDies(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{}, Options{}, func(f *fleet) {
		f.tenant.Inject(1, auth0test.Hang())
		victim := f.start(1)[0]
		go func() { _, _ = victim.source.Token(f.t.Context()) }()
		time.Sleep(time.Second)
		victim.net.cut() // as far as anybody can tell, it is dead
		f.replicas = nil
		slowest := f.together(f.start(10))
		if slowest < 18*time.Second || slowest > 21*time.Second {
			t.Errorf("the others had a token after %v, want about 19 s: when the lease of 20 s ends", slowest)
		}
		f.want(2)
		victim.net.mend()
		f.replicas = append(f.replicas, victim)
	})
}

// The same in steady state: nobody notices.
func TestRenewerDiesInSteadyState(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(10))
		f.serve(9*time.Hour-time.Minute, time.Hour)
		f.tenant.Inject(3, auth0test.Hang()) // three renewers in a row
		f.serve(59*time.Minute, time.Minute)
		if got := f.requests(); got != 5 {
			t.Errorf("got %d token requests, want 5: the first, three lost, and one", got)
		}
	})
}

// A holder is stopped, with its request on the way, for longer than its lease
// lasts. Another one renews. When the first wakes, what it brings must not
// replace what is newer.
func TestHolderPaused(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		stopped := f.start(1)[0]
		pause := &pausing{base: f.tenant.Transport(), after: time.Minute}
		stopped.cache.rt = pause
		done := make(chan struct{})
		go func() { f.token(stopped); close(done) }()
		time.Sleep(time.Second)
		others := f.start(5)
		f.together(others)
		time.Sleep(10 * time.Second)
		newest := f.token(others[0])
		<-done
		f.want(2)
		time.Sleep(10 * time.Hour / 10)
		fresh := f.start(1)[0]
		if got := f.token(fresh); got != newest {
			t.Error("the fleet's token was replaced by an older one")
		}
		f.want(2)
	})
}

// Redis loses everything. Whoever has a token gives it back; nobody asks for
// another one.
func TestRedisLosesAll(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(10))
		f.serve(8*time.Hour, time.Hour)
		f.m.FlushAll()
		f.serve(90*time.Minute, time.Minute)
		f.want(2) // the renewal that was due

		f.serve(4*time.Hour, time.Hour)
		f.m.FlushAll()
		f.replicas[0].source.fetchNow() // it looks, for whatever reason
		time.Sleep(time.Second)
		f.together(f.start(10)) // cold newcomers find what it gave back
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

// pausing is a transport whose process is stopped when the answer is there.
type pausing struct {
	base  http.RoundTripper
	after time.Duration
}

func (p *pausing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.base.RoundTrip(req.WithContext(context.WithoutCancel(req.Context())))
	time.Sleep(p.after)
	return resp, err
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
