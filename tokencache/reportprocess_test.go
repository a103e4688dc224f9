package tokencache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// TestReportProcess has what users of other token clients have reported of their own
// process. Each row has the number of its report.
func TestReportProcess(t *testing.T) {
	t.Parallel()
	// variant returns a source of its own that stands for the same token.
	variant := func(f *fleet, r *testReplica, i int) *Source {
		cred := f.credentials()
		cred.DefaultLifetime = time.Hour + time.Duration(i)*time.Second
		s, err := r.cache.Source(cred)
		if err != nil {
			f.t.Fatal(err)
		}
		return s
	}
	for _, opts := range []Options{{}, {Subscribe: true}} {
		t.Run(fmt.Sprint("E2 sources that come and go, Subscribe ", opts.Subscribe), func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, opts, func(f *fleet) {
				r := f.start(1)[0]
				f.token(r)
				for i := range 500 {
					s := variant(f, r, i)
					if _, err := s.Token(f.t.Context()); err != nil {
						f.t.Fatal(err)
					}
					if again := variant(f, r, i); again != s {
						f.t.Fatal("equal credentials do not have the same source")
					}
					if err := errors.Join(s.Close(), s.Close()); err != nil {
						f.t.Fatal(err)
					}
					if again := variant(f, r, i); again == s {
						f.t.Fatal("a closed source was returned")
					} else {
						again.Close()
					}
					if _, err := s.Token(f.t.Context()); err != nil {
						f.t.Errorf("a closed source does not serve what it holds: %v", err)
					}
					synctest.Wait() // refreshes are over
				}
				f.want(1)
				c := r.source.client
				if n := len(c.sources); n > 4 || len(c.state.Tokens) != n || c.openSources() != 1 || len(r.cache.sources) != 1 {
					f.t.Errorf("%d sources of the client, %d tokens, %d open, and %d sources of the cache are left", n, len(c.state.Tokens), c.openSources(), len(r.cache.sources))
				}

				s := variant(f, r, 500)
				f.token(r)
				if _, err := s.Token(f.t.Context()); err != nil {
					f.t.Fatal(err)
				}
				s.Close()
				held := s.held.Load().token
				f.serve(11*time.Hour, time.Minute) // the other one goes on
				f.want(2)
				if _, err := s.Token(f.t.Context()); !errors.Is(err, ErrClosed) {
					f.t.Errorf("Token of a closed source without a valid token: %v", err)
				}
				if err := s.Invalidate(f.t.Context(), held); !errors.Is(err, ErrClosed) {
					f.t.Errorf("Invalidate of a closed source: %v", err)
				}
				if err := s.Rotate(f.t.Context()); !errors.Is(err, ErrClosed) {
					f.t.Errorf("Rotate of a closed source: %v", err)
				}
				f.want(2)

				// With the last one, all that was kept for the client goes.
				r.source.Close()
				synctest.Wait()
				if n := len(r.cache.clients); n != 0 {
					f.t.Errorf("%d clients are left", n)
				}
				time.Sleep(11 * time.Hour) // nothing is renewed
				f.want(2)
				r.source = variant(f, r, 501)
				f.token(r)
				f.want(3)
			})
		})
	}
	t.Run("E2 closed while a caller waits", func(t *testing.T) {
		story(t, &auth0test.Config{Latency: 3 * time.Second}, Options{}, func(f *fleet) {
			r := f.start(1)[0]
			errs := make(chan error, 1)
			go func() { _, err := r.source.Token(f.t.Context()); errs <- err }()
			time.Sleep(time.Second)
			r.source.Close()
			if err := <-errs; !errors.Is(err, ErrClosed) {
				f.t.Errorf("got %v", err)
			}
			r.source = variant(f, r, 1) // what was requested is the fleet's, and not requested again
			f.token(r)
			f.want(1)
		})
	})

	t.Run("E1 turns", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var q turns
			var order []string
			take := func(name string, need bool, lasts time.Duration) *turn {
				t := new(turn)
				go func() {
					end, ok := q.take(context.Background(), t, need)
					if ok {
						order = append(order, name) // one after the other: see maxTurns below
						time.Sleep(lasts)
						end()
					}
				}()
				synctest.Wait()
				return t
			}
			start := time.Now()
			for range maxTurns - 1 {
				if _, ok := q.take(context.Background(), new(turn), true); !ok {
					t.Fatal("no turn")
				}
			}
			// They give up their turns by themselves, so that what hangs holds up none.
			time.Sleep(turnTime)
			synctest.Wait()
			if q.taken != 0 {
				t.Fatalf("%d turns are taken after %v", q.taken, time.Since(start))
			}
			q.taken = maxTurns - 1
			take("first", true, 10*time.Millisecond)
			take("early", false, time.Millisecond)
			late := take(late1, false, time.Millisecond)
			for i := range 2 * maxNeeds {
				take(fmt.Sprint("need ", i), true, time.Millisecond)
			}
			q.hurry(late)
			time.Sleep(time.Second)
			synctest.Wait()
			if len(order) != 3+2*maxNeeds || order[1] != late1 || order[2] != "need 0" {
				t.Fatalf("got %q", order)
			}
			for i, name := range order {
				if name == "early" && (i < maxNeeds || i > 2*maxNeeds) {
					t.Errorf("what no caller waits for came as number %d: %q", i, order)
				}
			}
			if q.taken != maxTurns-1 || len(q.queue) != 0 {
				t.Errorf("%d are taken, %d wait", q.taken, len(q.queue))
			}

			// A slow token endpoint holds up others for a short time only.
			asks := new(turn)
			if _, ok := q.take(context.Background(), asks, true); !ok {
				t.Fatal("no turn")
			}
			asks.asking()
			time.Sleep(askTime)
			synctest.Wait()
			if q.taken != maxTurns-1 {
				t.Errorf("%d are taken after %v of asking", q.taken, askTime)
			}

			// Who leaves the queue leaves no trace.
			q.taken = maxTurns
			ctx, cancel := context.WithCancel(context.Background())
			left := make(chan bool)
			go func() { _, ok := q.take(ctx, new(turn), true); left <- ok }()
			synctest.Wait()
			cancel()
			if <-left || len(q.queue) != 0 || q.taken != maxTurns {
				t.Errorf("%d are taken, %d wait", q.taken, len(q.queue))
			}
		})
	})
}

const late1 = "early that a caller waits for by now"

// A process that only wants one token, and ends, renews the token in its window.
func TestReportE3(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 2 * time.Second}, Options{}, func(f *fleet) {
		for end := time.Now().Add(40 * time.Hour); time.Now().Before(end); time.Sleep(5 * time.Minute) {
			r := f.start(1)[0]
			start := time.Now()
			f.token(r)
			if waited := time.Since(start); waited > 0 && start.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) > 0 {
				f.t.Errorf("at %v: a caller waited %v", start, waited)
			}
			if err := r.source.Settle(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
			r.close()
			f.replicas = f.replicas[:0]
		}
		f.want(5) // one each nine hours and a little
	})
	// What fails is not waited for again and again, and who is in a hurry leaves.
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 2 * time.Second}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		r.close()
		f.replicas = f.replicas[:0]
		time.Sleep(9*time.Hour + 30*time.Minute)
		r = f.start(1)[0]
		f.tenant.Update(func(c *auth0test.Config) { c.Latency = time.Hour })
		f.token(r)
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
		defer cancel()
		if err := r.source.Settle(ctx); !errors.Is(err, context.DeadlineExceeded) {
			f.t.Errorf("got %v after a second", err)
		}
		start := time.Now()
		if err := r.source.Settle(f.t.Context()); err != nil || time.Since(start) > DefaultRequestTimeout {
			f.t.Errorf("got %v after %v", err, time.Since(start))
		}
		f.token(r)
	})
}

// The lease is granted twice, as after a failover that loses it. The callers of the slow
// holder are served as soon as the fleet has a token.
func TestReportE6(t *testing.T) {
	t.Parallel()
	for _, missed := range []string{"", "the network broke", "there is no pub/sub"} {
		t.Run("a notification is missed: "+missed, func(t *testing.T) {
			t.Parallel()
			story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 9 * time.Second}, Options{}, func(f *fleet) {
				slow := f.start(1)[0]
				if missed == "there is no pub/sub" {
					slow.source.client.subscribe = func(unwanted <-chan struct{}) { <-unwanted }
				}
				got := make(chan error, 1)
				start := time.Now()
				go func() {
					ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
					defer cancel()
					_, err := slow.source.Token(ctx)
					got <- err
				}()
				time.Sleep(time.Second)
				f.tenant.Update(func(c *auth0test.Config) { c.Latency = 0 })
				f.m.Del(slow.source.client.names.Lock)
				if missed == "the network broke" {
					slow.net.cut()
				}
				f.token(f.start(1)[0])
				if missed == "the network broke" {
					slow.net.mend()
				}
				if err := <-got; err != nil || time.Since(start) > 4*time.Second {
					f.t.Errorf("got %v after %v, want the other's token", err, time.Since(start))
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// After an outage that no write has shown to be over yet, callers that wait for the lease
// holder have its token at once.
func TestReportD12(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 9 * time.Second}, Options{}, func(f *fleet) {
		replicas := f.start(2)
		holder, other := replicas[0], replicas[1]
		other.net.cut()
		if _, err := other.source.Token(f.t.Context()); !errors.Is(err, ErrRedis) {
			f.t.Fatalf("got %v", err)
		}
		start := time.Now()
		go f.token(holder)
		time.Sleep(time.Second)
		other.net.mend()
		time.Sleep(time.Second)
		f.token(other)
		if took := time.Since(start); took > 9*time.Second+100*time.Millisecond {
			f.t.Errorf("the other replica had it after %v", took)
		}
		f.want(1)
	})
}

// An operator in an incident may rotate beyond the budget, up to the last token of the quota.
func TestReportE5(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		tenant auth0test.Config
		forced int // rotations beyond the budget that are granted
	}{
		{"no quota is known", auth0test.Config{TTL: 10 * time.Hour}, 10},
		{"a quota", auth0test.Config{TTL: 10 * time.Hour, PerHour: 6}, 3}, // the first token, one within the budget, and one is left
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			story(t, &row.tenant, Options{}, func(f *fleet) {
				r := f.start(1)[0]
				f.token(r)
				if err := r.source.Rotate(f.t.Context()); err != nil {
					f.t.Fatal(err)
				}
				for range row.forced {
					before := f.token(r)
					var denied *quota.DeniedError
					if err := r.source.Rotate(f.t.Context()); !errors.As(err, &denied) || denied.Reason != quota.ForcedSpent {
						f.t.Errorf("beyond the budget: got %v", err)
					}
					if err := r.source.ForceRotate(f.t.Context()); err != nil {
						f.t.Fatal(err)
					}
					if f.token(r) == before {
						f.t.Error("the token was not replaced")
					}
				}
				f.want(2 + row.forced)
				if row.tenant.PerHour > 0 {
					before := f.token(r)
					if err := r.source.ForceRotate(f.t.Context()); !errors.Is(err, quota.ErrDenied) {
						f.t.Errorf("with one token left: got %v", err)
					}
					if f.token(r) != before {
						f.t.Error("the token was replaced")
					}
				}
				entries, err := r.source.client.ledger.Journal(f.t.Context(), 1)
				if err != nil || len(entries) != 1 || entries[0].Reason != "rotated" || entries[0].Priority != "expiring" {
					f.t.Errorf("the journal has %+v, %v", entries, err)
				}
			})
		})
	}
}
