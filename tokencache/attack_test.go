package tokencache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// TestQuotaUnderAttack lets a fleet and those around it do what spends a quota.
// No request may be refused that the fleet could have known of, and no token may
// be issued over the quota.
func TestQuotaUnderAttack(t *testing.T) {
	for name, story := range map[string]func(t *testing.T){
		"an API that refuses every token":     again(TestAPIRefusesEveryToken),
		"a replica with the wrong secret":     wrongSecret,
		"a replica with the wrong seal key":   again(TestWrongSealKey),
		"Redis loses its data every minute":   lossEveryMinute,
		"the lease is deleted all the time":   leaseDeleted,
		"a quota that was watched begins":     watchedThenEnforced,
		"a header that lies":                  lyingHeader,
		"the top of the hour and of the day":  topOfTheHour,
		"sixty tokens, strangers, bad header": again(TestScenarios),
	} {
		t.Run(name, story)
	}
}

// wisely fails the test if a request was refused in vain, or if the endpoint had
// to do with two at once.
func (f *fleet) wisely() {
	f.t.Helper()
	requests := f.tenant.Requests()
	if n := needless(requests); n > 0 {
		f.t.Errorf("was refused %d times in vain", n)
	}
	if n := requests.MaxConcurrent(); n > 1 {
		f.t.Errorf("got %d token requests at once, want one at a time", n)
	}
}

// One replica has a secret that is wrong. It says so, asks seldom, and nobody
// else notices.
func wrongSecret(t *testing.T) {
	t.Parallel()
	hours := size(24, 8)
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		f.together(f.start(5))
		odd := f.boot("odd")
		defer odd.close()
		cred := f.credentials()
		cred.ClientSecret = "wrong-secret"
		source, err := odd.cache.Source(cred)
		if err != nil {
			f.t.Fatal(err)
		}
		for range hours * 60 {
			if _, err := source.Token(f.t.Context()); !isClass(err, ClassCredentials) {
				f.t.Fatalf("got %v, want that the credentials are wrong", err)
			}
			f.serve(time.Minute, 20*time.Second)
		}
		wrong := 0
		for _, r := range f.tenant.Requests() {
			if !r.SecretOK {
				wrong++
			}
		}
		// Waits double from half a minute to five.
		if wrong > hours*12+4 {
			f.t.Errorf("got %d token requests with the wrong secret in %d hours, want one in five minutes at most", wrong, hours)
		}
		if good, want := f.requests()-wrong, size(3, 1); good != want {
			f.t.Errorf("got %d other token requests in %d hours, want %d", good, hours, want)
		}
		f.wisely()
	})
}

// Redis forgets everything, every minute.
func lossEveryMinute(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 300 * time.Millisecond}, Options{}, func(f *fleet) {
		f.together(f.start(10))
		ctx := f.t.Context()
		for range 24 * 60 {
			time.Sleep(rand.N(time.Minute))
			f.m.FlushAll()
			for _, r := range f.replicas {
				if _, err := r.source.Token(ctx); err != nil {
					f.t.Fatal(err)
				}
			}
		}
		// Three lives. Each time, the replicas look within six minutes. Those who
		// have looked give back what is lost only when they look again, so a loss
		// in that time may cost one for the next who looks.
		if got := f.requests(); got > 3*(1+7) {
			f.t.Errorf("got %d token requests in a day, want 24 at most", got)
		}
		f.wisely()
	})
}

// The lease is deleted twenty times a second. Then it is none, and each replica
// that is due may ask: that costs tokens, and never a wrong one.
func leaseDeleted(t *testing.T) {
	t.Parallel()
	ttl := size(10*time.Hour, time.Hour)
	story(t, &auth0test.Config{TTL: ttl, PerHour: 42, PerDay: 100, Latency: 300 * time.Millisecond}, Options{}, func(f *fleet) {
		replicas := f.start(10)
		lock := replicas[0].source.client.names.Lock
		done := make(chan struct{})
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(50 * time.Millisecond):
					f.m.Del(lock)
				}
			}
		}()
		f.together(replicas)
		synctest.Wait()
		tokens := map[string]bool{}
		time.Sleep(5 * time.Second)
		f.serve(ttl*95/100, ttl/60)
		close(done)
		// In the time of a request, six leases are lost: at most seven at a cold
		// start, and as many when it is time to renew.
		if got := f.requests(); got > 2*7 {
			f.t.Errorf("got %d token requests, want 14 at most", got)
		}
		// Who renewed at the same time as another keeps its own token until it is due. Then
		// the fleet has one again.
		f.serve(ttl, ttl/60)
		for _, r := range replicas {
			tokens[f.token(r)] = true
		}
		if len(tokens) != 1 {
			f.t.Errorf("the fleet has %d tokens in the end, want 1", len(tokens))
		}
		if got := f.tenant.Requests().MaxConcurrent(); got > 7 {
			f.t.Errorf("got %d token requests at once, want 7 at most", got)
		}
	})
}

// A quota that is only watched is spent, and then enforced. The fleet finds out
// by one refusal, and all keep to it.
func watchedThenEnforced(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 30 * time.Minute, PerHour: 3, PerDay: 100, Monitor: true}, Options{}, func(f *fleet) {
		f.together(f.start(5))
		f.serve(50*time.Minute, time.Minute)
		f.tenant.Consume(5)
		f.serve(8*time.Minute, time.Minute)
		if n := f.tenant.Requests().Answered(http.StatusTooManyRequests); n > 0 {
			f.t.Errorf("was refused %d times while the quota is only watched", n)
		}
		// In the next hour it is spent, and enforced at once: nobody can know until
		// a request is refused.
		f.serve(7*time.Minute, time.Minute)
		f.tenant.Consume(5)
		f.tenant.Update(func(c *auth0test.Config) { c.Monitor = false })
		before := f.tenant.Issued()
		for range 6 * 60 {
			for _, r := range f.replicas {
				_, _ = r.source.Token(f.t.Context()) // three tokens of half an hour are enough for an hour, but not for everybody's taste
			}
			time.Sleep(time.Minute)
		}
		if n := f.tenant.Requests().Answered(http.StatusTooManyRequests); n != 1 {
			f.t.Errorf("was refused %d times since the quota is enforced, want once", n)
		}
		if got := f.tenant.Issued() - before; got < 12 {
			f.t.Errorf("got %d tokens in six hours, want 12 of the 18 at least", got)
		}
		f.wisely()
	})
}

// The header says that the quota is untouched, whatever was spent. The fleet
// counts for itself, and is not deceived.
func lyingHeader(t *testing.T) {
	long(t)
	for name, header := range map[string]string{
		"too much left": "b=per_hour;q=5;r=5;t=3600,b=per_day;q=100;r=100;t=86400",
		"too long":      "b=per_hour;q=5;r=4;t=86400,b=per_day;q=100;r=99;t=8640000",
		"nothing":       "",
	} {
		t.Run(name, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 24 * time.Hour, PerHour: 5, PerDay: 100}, Options{EnforcedQuota: true}, func(f *fleet) {
				f.tenant.Inject(-1, auth0test.Fault{Name: "lies", Header: http.Header{"Auth0-Client-Quota-Limit": {header}}})
				refused := f.want60(3 * time.Hour)
				if name == "nothing" { // nobody knows that there is a quota until it is refused
					if refused > 3 {
						f.t.Errorf("was refused %d times in three hours, want once an hour at most", refused)
					}
					return
				}
				if refused > 1 {
					f.t.Errorf("was refused %d times, want once at most", refused)
				}
				if got := f.tenant.Issued(); got < 15 {
					f.t.Errorf("got %d tokens in three hours, want the five of each", got)
				}
			})
		})
	}
}

// want60 asks for sixty tokens on each of some replicas, for so long, and returns
// how often the fleet was refused.
func (f *fleet) want60(within time.Duration) (refused int) {
	f.t.Helper()
	var wg sync.WaitGroup
	end := time.Now().Add(within)
	for _, r := range f.start(size(5, 2)) {
		for i := range 60 {
			cred := f.credentials()
			cred.Audience = fmt.Sprintf("api-%d", i)
			s, err := r.cache.Source(cred)
			if err != nil {
				f.t.Fatal(err)
			}
			wg.Go(func() {
				for time.Now().Before(end) {
					if _, err := s.Token(f.t.Context()); err == nil {
						return
					}
					time.Sleep(time.Minute)
				}
			})
		}
	}
	wg.Wait()
	return f.tenant.Requests().Answered(http.StatusTooManyRequests)
}

// Sixty tokens are waited for on five replicas when the hour begins, and with it
// a day. Nobody asks in the last second of the old one, when clocks disagree, and
// nobody comes in a herd.
func topOfTheHour(t *testing.T) {
	for name, cfg := range map[string]auth0test.Config{
		"hour": {PerHour: 5, PerDay: 1000}, "day": {PerHour: 1000, PerDay: 5}, "both": {PerHour: 5, PerDay: 5},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, &cfg, Options{EnforcedQuota: true}, func(f *fleet) {
				midnight := time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
				time.Sleep(time.Until(midnight) - 10*time.Minute)
				if refused := f.want60(20 * time.Minute); refused > 0 {
					f.t.Errorf("was refused %d times, want never", refused)
				}
				requests := f.tenant.Requests()
				if len(requests) != 10 {
					f.t.Errorf("got %d token requests, want the five of the old quota and the five of the new one", len(requests))
				}
				for i, r := range requests {
					if to := midnight.Sub(r.Arrived); to > 0 && to < 5*time.Minute || to <= 0 && to > -time.Second {
						f.t.Errorf("request %d arrived %v before midnight", r.Number, to)
					}
					if i >= 2 && r.Arrived.Sub(requests[i-2].Arrived) < time.Second && r.Arrived.After(midnight) {
						f.t.Errorf("three requests within a second, up to request %d", r.Number)
					}
				}
				f.wisely()
			})
		})
	}
}

func isClass(err error, class Class) bool {
	failed, ok := errors.AsType[*RequestError](err)
	return ok && failed.Class == class
}
