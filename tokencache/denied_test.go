package tokencache

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// counted counts the commands that some replicas send from now on, on average.
func counted(replicas []*replica) (each func() float64) {
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
func far(replicas []*replica) {
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
					cred := f.credentials()
					cred.Audience = "one more"
					other, err := r.cache.Source(cred)
					if err != nil {
						f.t.Fatal(err)
					}
					if _, err := other.Token(f.t.Context()); !errors.Is(err, quota.ErrDenied) {
						f.t.Errorf("%s, for another token: got %v, want that it is denied", r.name, err)
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
					if err := r.source.Reject(f.t.Context(), tok); errors.Is(err, quota.ErrDenied) {
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
		f.m.HSet(names.Quota, quota.DeniedField(quota.Need), fmt.Sprintf("client spent per_hour 42 42 %d 0", time.Now().Add(time.Hour).UnixMilli()))
		f.token(b) // which looks after five seconds
		f.want(1)
	})
}

// spend uses up n of the quota for other tokens.
func spend(f *fleet, n int) {
	f.t.Helper()
	for i := range n {
		r := f.boot(fmt.Sprintf("spender%d", i))
		cred := f.credentials()
		cred.Audience = fmt.Sprintf("another-%d", i)
		s, err := r.cache.Source(cred)
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := s.Token(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		r.close()
	}
}
