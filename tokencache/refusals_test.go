package tokencache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// This file is about how soon, and how often, a fleet comes back to an endpoint
// that does not want it.

// insist asks a replica every second until it has a token, and returns when that
// is.
func (f *fleet) insist(r *testReplica, within time.Duration) (took time.Duration) {
	f.t.Helper()
	for start := time.Now(); time.Since(start) < within; time.Sleep(time.Second) {
		if _, err := r.source.Token(f.t.Context()); err == nil {
			return time.Since(start)
		}
	}
	f.t.Errorf("got no token within %v", within)
	return within
}

// The header says that both buckets are spent, and when they fill, and nothing
// else does. Nobody asks before the later one has, and then they do not all come
// at once.
func TestBothBucketsAreSpent(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		f.tenant.Inject(1, auth0test.Fault{
			Name: "spent", Status: http.StatusTooManyRequests,
			Body:   `{"error":"too_many_requests","error_description":"Client quota exceeded"}`,
			Header: http.Header{"Auth0-Client-Quota-Limit": {"b=per_hour;q=42;r=0;t=600,b=per_day;q=100;r=0;t=1800"}},
		})
		if _, err := f.start(1)[0].source.Token(f.t.Context()); !isClass(err, ClassQuota) {
			f.t.Errorf("got %v, want that the quota is spent", err)
		}
		var wg sync.WaitGroup
		for _, r := range f.start(5) {
			for i := range 10 {
				cred := f.credentials()
				cred.Audience = fmt.Sprintf("api-%d", i)
				s, err := r.cache.Source(cred)
				if err != nil {
					f.t.Fatal(err)
				}
				wg.Go(func() {
					for range 3600 {
						if _, err := s.Token(f.t.Context()); err == nil {
							return
						}
						time.Sleep(time.Second)
					}
					f.t.Errorf("%s has no token for %s after an hour", r.name, cred.Audience)
				})
			}
		}
		wg.Wait()
		f.want(11)
		requests := f.tenant.Requests()
		if waited := requests[1].Arrived.Sub(requests[0].Arrived); waited < 30*time.Minute || waited > 31*time.Minute {
			f.t.Errorf("the next request came after %v, want it when the day's bucket is full: after 30 minutes", waited)
		}
		for i, r := range requests[3:] {
			if r.Arrived.Sub(requests[i+1].Arrived) < time.Second {
				f.t.Errorf("three requests within a second, up to request %d", r.Number)
			}
		}
	})
}

// Retry-After is heeded, whatever form it has; where it means nothing, the pause
// is one of ours.
func TestRetryAfter(t *testing.T) {
	for _, row := range []struct {
		value string
		from  time.Duration // how long the pause is, at the least
		to    time.Duration // and at the most
	}{
		{"", time.Minute, 70 * time.Second},
		{"5", 5 * time.Second, 10 * time.Second},
		{"Sat, 01 Jan 2000 00:01:00 GMT", time.Minute, 70 * time.Second}, // the story begins a minute before
		{"soon", time.Minute, 70 * time.Second},
		{"1000000000", 24 * time.Hour, 25 * time.Hour},
		{"-1", time.Minute, 70 * time.Second},
		{"0", time.Second, 5 * time.Second},
	} {
		t.Run(row.value, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
				f.tenant.Inject(1, auth0test.Fault{
					Name: "429", Status: http.StatusTooManyRequests,
					Body:   `{"error":"too_many_requests","error_description":"Client quota exceeded"}`,
					Header: http.Header{"Retry-After": {row.value}},
				})
				f.start(3)
				f.insist(f.replicas[0], 25*time.Hour)
				f.together(f.replicas)
				f.want(2)
				requests := f.tenant.Requests()
				waited := requests[1].Arrived.Sub(requests[0].Arrived)
				if waited < row.from || waited > row.to {
					f.t.Errorf("Retry-After %q: the next request came after %v, want between %v and %v", row.value, waited, row.from, row.to)
				}
			})
		})
	}
}

// The endpoint is out of order for an hour, and nobody has a token. Where each
// request may spend one, the fleet asks less often.
func TestEndpointIsOutOfOrderForAnHour(t *testing.T) {
	for status, most := range map[int]int{500: 70, 502: 25, 503: 70, 504: 25} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			story(t, nil, Options{}, func(f *fleet) {
				f.tenant.Inject(-1, auth0test.Status(status))
				f.start(5)
				got := f.besieged(time.Hour)
				if got > most || got < 10 {
					f.t.Errorf("got %d token requests in an hour, want 10 to %d", got, most)
				}
			})
		})
	}
}

// besieged asks all replicas every second for so long, and returns how many token
// requests came of it.
func (f *fleet) besieged(d time.Duration) int {
	f.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(size(time.Second, 2*time.Second)) {
		for _, r := range f.replicas {
			if _, err := r.source.Token(f.t.Context()); !errors.Is(err, ErrNoToken) {
				f.t.Fatalf("got %v", err)
			}
		}
	}
	return f.requests()
}

// The endpoint refuses for good, until somebody mends it.
func TestEndpointRefusesForGood(t *testing.T) {
	for _, fault := range []auth0test.Fault{
		auth0test.OAuthError(400, "invalid_request", "no"), auth0test.OAuthError(401, "invalid_client", "no"), auth0test.OAuthError(403, "access_denied", "no"),
	} {
		t.Run(fault.Name, func(t *testing.T) {
			story(t, nil, Options{}, func(f *fleet) {
				f.tenant.Inject(-1, fault)
				f.start(5)
				got := f.besieged(time.Hour)
				if got > 16 || got < 10 {
					f.t.Errorf("got %d token requests in an hour, want 10 to 16: pauses double from half a minute to five", got)
				}
				f.tenant.ClearFaults()
				time.Sleep(6 * time.Minute)
				f.together(f.replicas)
			})
		})
	}
}

// A replica's own troubles make it wait longer each time, until it gets a token: the
// next trouble begins with a short wait again.
func TestSuccessStartsTheWaitsAnew(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		last := func() time.Duration { // between the last two requests
			requests := f.tenant.Requests()
			n := len(requests)
			return requests[n-1].Arrived.Sub(requests[n-2].Arrived)
		}
		page := auth0test.Fault{Name: "a page", Status: http.StatusForbidden, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>no"}
		f.tenant.Inject(6, page) // from something before the endpoint, perhaps for this replica alone
		f.insist(r, time.Hour)
		f.want(7)
		if got := last(); got < 4*time.Minute {
			f.t.Errorf("waited %v after the sixth failure, want ten minutes or so", got)
		}
		f.tenant.Inject(1, page)
		f.serve(time.Hour, time.Second)
		f.want(9)
		if got := last(); got > 34*time.Second {
			f.t.Errorf("waited %v after a failure that follows a success, want half a minute", got)
		}
	})
}

// The secret is replaced at the provider. The old one is refused; a replica that
// has the new one asks at once.
func TestNewSecretIsNotHeldBack(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, ClientSecret: "test-secret"}, Options{}, func(f *fleet) {
		f.tenant.Update(func(c *auth0test.Config) { c.ClientSecret = "new-secret" })
		for _, r := range f.start(3) {
			ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second) // not until it is tried again
			_, err := r.source.Token(ctx)
			cancel()
			if !errors.Is(err, ErrNoToken) {
				f.t.Errorf("with the old secret: got %v", err)
			}
		}
		f.want(1)
		f.secret = "new-secret"
		if slowest := f.together(f.start(3)); slowest > time.Second {
			f.t.Errorf("the new secret was held back for %v", slowest)
		}
		f.want(2)
	})
}
