package tokencache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// counted counts the commands that some replicas send from now on, on average.
func counted(replicas []*testReplica) (each func() float64) {
	counters := make([]*counter, len(replicas))
	for i, r := range replicas {
		counters[i] = new(counter)
		r.rdb.AddHook(counters[i])
	}
	return func() float64 {
		sum := int64(0)
		for _, c := range counters {
			sum += c.n.Load()
		}
		return float64(sum) / float64(len(replicas))
	}
}

// far lets replies take a moment, so that no replica is done before the next begins.
func far(replicas []*testReplica) {
	for _, r := range replicas {
		r.net.set(func() { r.net.delay = time.Millisecond })
	}
}

// A fleet without a token starts when the quota is spent. Every replica can say
// so, with figures, and what it costs Redis does not grow with the fleet's square.
func TestSpentQuotaIsToldToAll(t *testing.T) {
	for _, n := range []int{10, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 2, PerDay: 100}, Options{EnforcedQuota: true}, func(f *fleet) {
				spend(f, 2)
				replicas := f.start(n)
				far(replicas)
				each := counted(replicas)
				var wg sync.WaitGroup
				start := time.Now()
				for _, r := range replicas {
					wg.Go(func() {
						_, err := r.source.Token(f.t.Context())
						denied, ok := errors.AsType[*quota.DeniedError](err)
						if !ok || denied.Reason != quota.Spent || denied.Bucket != quota.PerHour || denied.Used != 2 || denied.Quota != 2 {
							f.t.Errorf("%s: got %v, want that the hour's quota is spent, 2/2", r.name, err)
						}
					})
				}
				wg.Wait()
				if took := time.Since(start); took > time.Second {
					f.t.Errorf("the last replica was told after %v", took)
				}
				if got := each(); got > 8 {
					f.t.Errorf("%.1f commands a replica, want 8 at most", got)
				}
				f.m.FlushAll() // each replica keeps it in mind, for its other tokens, too
				for _, r := range replicas {
					_, err := f.another(r, func(cred *Credentials) { cred.Audience = "one more" }).Token(f.t.Context())
					if denied, ok := errors.AsType[*quota.DeniedError](err); !ok || denied.Bucket != quota.PerHour || denied.Used != 2 || denied.Quota != 2 {
						f.t.Errorf("%s, for another token: got %v, want that it is denied as well, with the same figures", r.name, err)
					}
				}
				f.want(2)
				time.Sleep(time.Hour + time.Minute) // from then on, there is one for all
				f.together(replicas)
				f.want(3)
			})
		})
	}
}

// An API refuses every token of a fleet whose budget for that is spent.
func TestSpentForcedBudgetIsToldToAll(t *testing.T) {
	long(t)
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 10, PerDay: 100}, Options{}, func(f *fleet) {
		const n = 100
		replicas := f.start(n)
		f.together(replicas)
		reject := func() (denied int) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			for _, r := range replicas {
				wg.Go(func() {
					tok, err := r.source.Token(f.t.Context())
					if err != nil {
						f.t.Error(err)
						return
					}
					if err := r.source.Invalidate(f.t.Context(), tok); errors.Is(err, quota.ErrDenied) {
						mu.Lock()
						denied++
						mu.Unlock()
					} else if err != nil {
						f.t.Error(err)
					}
				})
			}
			wg.Wait()
			return denied
		}
		if denied := reject(); denied != 0 {
			f.t.Errorf("%d replicas were denied the first replacement", denied)
		}
		f.want(2)
		far(replicas)
		each := counted(replicas)
		if denied := reject(); denied != n {
			f.t.Errorf("%d replicas were denied the second, want all", denied)
		}
		if got := each(); got > 8 {
			f.t.Errorf("%.1f commands a replica, want 8 at most", got)
		}
		f.want(2)
	})
}

// What was denied is not believed while somebody asks: what counts for the one who
// does is not spent for good.
func TestDeniedIsNotBelievedWhileSomebodyAsks(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 8 * time.Second}, Options{}, func(f *fleet) {
		a, b := f.start(2)[0], f.replicas[1]
		go func() { _, _ = a.source.Token(f.t.Context()) }()
		time.Sleep(time.Second) // a is asking
		names := a.source.client.names
		if !f.m.Exists(names.Lock) {
			f.t.Fatal("nobody asks")
		}
		f.m.HSet(names.Quota, a.source.client.ledger.SnapshotFields()[0], fmt.Sprintf("client spent per_hour 42 42 %d 0", time.Now().Add(time.Hour).UnixMilli()))
		f.token(b) // which looks after five seconds
		f.want(1)
	})
}

// spend uses up n of the quota for other tokens.
func spend(f *fleet, n int) {
	f.t.Helper()
	for i := range n {
		r := f.boot(fmt.Sprintf("spender%d", i))
		s := f.another(r, func(cred *Credentials) { cred.Audience = fmt.Sprintf("another-%d", i) })
		if _, err := s.Token(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		r.close()
	}
}

// another returns a replica's source of another token.
func (f *fleet) another(r *testReplica, change func(cred *Credentials)) *Source {
	f.t.Helper()
	cred := f.credentials()
	change(&cred)
	s, err := r.cache.Source(cred)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// two starts a replica that wants two tokens at once, which are all that it wants.
func (f *fleet) two() {
	f.t.Helper()
	r := f.start(1)[0]
	var wg sync.WaitGroup
	for _, s := range []*Source{r.source, f.another(r, func(cred *Credentials) { cred.Audience = "two" })} {
		wg.Go(func() {
			if _, err := s.Token(f.t.Context()); err != nil {
				f.t.Errorf("%v: %v", s, err)
			}
		})
	}
	wg.Wait()
}

// A replica without a token is denied one for hours. The fleet has one again long
// before, and whoever asks this replica gets it, also those who leave at once.
func TestDeniedReplicaSeesTheFleetsToken(t *testing.T) {
	for name, lose := range map[string]func(f *fleet, a *testReplica){
		"by the server": func(f *fleet, _ *testReplica) {
			f.m.FlushAll()
			f.tenant.Inject(1, auth0test.QuotaExceeded(12*time.Hour))
		},
		"by the ledger": func(f *fleet, a *testReplica) {
			spend(f, 9)
			f.m.Del(a.source.token.Key())
		},
		"for damage": func(f *fleet, a *testReplica) {
			tok, _ := a.source.Token(f.t.Context())
			if err := a.source.Invalidate(f.t.Context(), tok); err != nil { // all that may be forced
				f.t.Fatal(err)
			}
			synctest.Wait() // until the fleet has the new one
			f.m.HSet(a.source.token.Key(), "sealed", "garbage")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, &auth0test.Config{TTL: 24 * time.Hour, PerHour: 100, PerDay: 10}, Options{EnforcedQuota: true}, func(f *fleet) {
				a := f.start(1)[0]
				f.token(a)
				synctest.Wait()
				lose(f, a)
				requests := f.requests()
				replicas := f.start(3)
				far(replicas)
				denied := func(r *testReplica) {
					_, err := r.source.Token(f.t.Context())
					if again, _ := retryAt(err); time.Until(again) < 40*time.Minute {
						f.t.Fatalf("%s: got %v, want that it is denied for long", r.name, err)
					}
				}
				for _, r := range replicas {
					denied(r)
				}
				each := counted(replicas)
				for range 600 {
					for _, r := range replicas {
						denied(r)
					}
					time.Sleep(time.Second)
				}
				if got := each(); got > 11 {
					f.t.Errorf("%.1f commands a replica in ten minutes, want one a minute", got)
				}

				patient := make(chan error, 1)
				ctx, leave := context.WithTimeout(f.t.Context(), 30*time.Hour)
				defer leave()
				go func() {
					_, err := replicas[0].source.Token(ctx)
					patient <- err
				}()
				time.Sleep(time.Minute)
				f.token(a)
				a.lookNow()                           // and gives the fleet its token back
				time.Sleep(time.Minute + time.Second) // what is known is believed for no longer
				select {
				case err := <-patient:
					if err != nil {
						f.t.Errorf("who waits was told %v", err)
					}
				default:
					f.t.Error("who waits is still waiting")
				}
				f.token(replicas[1])
				hurry, leave := context.WithTimeout(f.t.Context(), time.Microsecond)
				defer leave()
				if _, err := replicas[2].source.Token(hurry); !errors.Is(err, ErrNoToken) || errors.Is(err, context.DeadlineExceeded) {
					f.t.Errorf("who cannot wait was told %v, want why there is no token", err)
				}
				time.Sleep(time.Second)
				if _, err := replicas[2].source.Token(hurry); err != nil {
					f.t.Errorf("the next who cannot wait was told %v", err)
				}
				if n := f.requests() - requests; n > 1 {
					f.t.Errorf("it cost %d token requests", n)
				}
			})
		})
	}
}

// The clock of Redis is set back after somebody was denied a token until the hour
// ends. Windows that cannot be are forgotten, and so is what was denied for them.
func TestDeniedBeforeTheClockOfRedisWasSetBack(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 2, PerDay: 100}, Options{EnforcedQuota: true}, func(f *fleet) {
		spend(f, 2)
		if _, err := f.start(1)[0].source.Token(f.t.Context()); !errors.Is(err, quota.ErrDenied) {
			f.t.Fatalf("got %v", err)
		}
		defer f.setRedisClock(-10 * time.Hour)()
		time.Sleep(time.Hour + time.Minute)
		f.two()
	})
}

// A replica has yet to tell that it did not send what was counted. What others were
// denied for that is not believed once it has told.
func TestDeniedForWhatIsTakenBack(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 3, PerDay: 100}, Options{EnforcedQuota: true}, func(f *fleet) {
		spend(f, 1)
		a := f.start(1)[0]
		c := a.source.client
		both := []*Source{a.source, f.another(a, func(cred *Credentials) { cred.Audience = "two" })}
		for _, s := range both {
			attempt := c.attempt(&s.source, replica.Request{Priority: quota.Need, Reason: replica.Cold})
			if _, err := c.ledger.Admit(f.t.Context(), attempt); err != nil {
				f.t.Fatal(err)
			}
			c.queueReports(nil, replica.Report{Attempt: attempt, Answer: quota.Answer{Outcome: quota.Unsent, Status: "not admitted"}})
		}
		if _, err := f.start(1)[0].source.Token(f.t.Context()); !errors.Is(err, quota.ErrDenied) {
			f.t.Fatalf("got %v", err)
		}
		c.apply(func(now replica.Instant, state *replica.State) {
			for _, s := range both { // as if callers had just left: both are fetched at once
				state.Tokens[s.id].RecentUntil = now.Mono + time.Minute
			}
		})
		synctest.Wait()
		for _, s := range both {
			if _, err := s.Token(f.t.Context()); err != nil {
				f.t.Errorf("%v: %v", s, err)
			}
		}
		f.want(3)
	})
}

// One replica is told that the quota is enforced, wrongly. What it is denied for
// that, the others are not.
func TestDeniedByAnotherOption(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 1000, PerDay: 2, Monitor: true}, Options{}, func(f *fleet) {
		spend(f, 3)
		f.opts.EnforcedQuota = true
		if _, err := f.start(1)[0].source.Token(f.t.Context()); !errors.Is(err, quota.ErrDenied) {
			f.t.Fatalf("got %v", err)
		}
		f.opts.EnforcedQuota = false
		f.two()
	})
}

// An organization's quota is spent. What is denied to it is not denied to others.
func TestDeniedToAnOrganization(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, OrganizationPerHour: 1}, Options{EnforcedQuota: true}, func(f *fleet) {
		r := f.start(1)[0]
		of := func(r *testReplica, organization, audience string) *Source {
			return f.another(r, func(cred *Credentials) { cred.Organization, cred.Audience = organization, audience })
		}
		ask := func(s *Source) error { _, err := s.Token(f.t.Context()); return err }
		if err := ask(of(r, "a", "api")); err != nil {
			f.t.Fatal(err)
		}
		// Nobody of the next replica knows; two at once, so that it looks.
		for _, row := range []struct {
			organization string
			denied       bool
		}{{"a", true}, {"b", false}, {"a", true}, {"", false}} {
			r := f.start(1)[0]
			errs := make(chan error, 2)
			for _, audience := range []string{"one", "two"} {
				s := of(r, row.organization, audience)
				if row.organization == "b" { // has one an hour, too
					s = of(r, "b"+audience, audience)
				}
				go func() { errs <- ask(s) }()
			}
			for range 2 {
				if err := <-errs; errors.Is(err, quota.ErrDenied) != row.denied || !row.denied && err != nil {
					f.t.Errorf("organization %q: got %v, denied: %v expected", row.organization, err, row.denied)
				}
			}
		}
		f.want(5)
	})
}
