package tokencache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
)

// Everybody backs off together, and then one asks.
func TestQuotaExceeded(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		f.together(f.start(20))
		f.serve(9*time.Hour-time.Minute, time.Hour)
		exceeded := auth0test.QuotaExceeded(20 * time.Minute)
		exceeded.SkipQuotaHeader = true // which would say that the day is spent, too
		f.tenant.Inject(-1, exceeded)
		f.serve(20*time.Minute, time.Minute)
		f.want(2) // one refused
		f.tenant.ClearFaults()
		f.serve(30*time.Minute, time.Minute)
		f.want(3)
	})
	t.Run("cold", func(t *testing.T) {
		story(t, &auth0test.Config{PerHour: 42}, Options{}, func(f *fleet) {
			f.tenant.Inject(1, auth0test.QuotaExceeded(10*time.Minute))
			replicas := f.start(20)
			for _, r := range replicas {
				start := time.Now()
				_, err := r.source.Token(f.t.Context())
				at, ok := retryAt(err)
				if !ok || time.Until(at) < 9*time.Minute || time.Since(start) > time.Millisecond {
					f.t.Errorf("%s: got %v after %v, want to be told at once when to come back", r.name, err, time.Since(start))
				}
			}
			f.want(1)
			for _, r := range replicas { // those with time wait
				go func() {
					ctx, cancel := context.WithTimeout(f.t.Context(), time.Hour)
					defer cancel()
					if _, err := r.source.Token(ctx); err != nil {
						f.t.Error(err)
					}
				}()
			}
			time.Sleep(12 * time.Minute)
			f.want(2)
			requests := f.tenant.Requests()
			if waited := requests[1].Arrived.Sub(requests[0].Arrived); waited < 10*time.Minute {
				f.t.Errorf("a refusal for ten minutes was repeated after %v", waited)
			}
		})
	})
}

// Redis evicts everything while the quota is spent: the fleet's block is gone,
// and each replica's own copy of it holds.
func TestBlockIsKeptByEachReplica(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		refusal := auth0test.QuotaExceeded(10 * time.Minute)
		refusal.SkipQuotaHeader = true
		f.tenant.Inject(1, refusal)
		for _, r := range f.start(10) {
			if _, err := r.source.Token(f.t.Context()); !errors.Is(err, quota.ErrDenied) && !errors.Is(err, ErrNoToken) {
				f.t.Errorf("got %v, want a denial", err)
			}
		}
		for range 9 {
			f.m.FlushAll()
			for _, r := range f.replicas {
				if _, err := r.source.Token(f.t.Context()); err == nil {
					f.t.Error("got a token while the quota is spent")
				}
			}
			f.want(1)
			time.Sleep(time.Minute)
		}
		time.Sleep(3 * time.Minute)
		f.together(f.replicas)
		f.want(2)
	})
}

// The limit of the tenant, for a second, comes with the header of a quota that
// is spent, and only watched. It must not be taken for the quota's. (Five minutes
// are the pause between two requests that find out whether it is enforced.)
func TestTenantLimitWithAQuotaThatIsOnlyWatched(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 5, PerDay: 9, Monitor: true}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.tenant.Consume(10)
		f.token(r) // a token in spite of r=0
		synctest.Wait()
		f.m.Del(r.source.token.Key())
		r.close()
		*r = *f.boot("again")
		fault := auth0test.TenantLimit(time.Second)
		write := fault.Handler
		fault.Handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(quota.ClientHeader, "b=per_hour;q=5;r=0;t=3500,b=per_day;q=9;r=0;t=86300")
			write(w, r)
		}
		f.tenant.Inject(1, fault)
		start := time.Now()
		var last error
		for time.Since(start) < 24*time.Hour {
			if _, last = r.source.Token(f.t.Context()); last == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > 6*time.Minute {
			f.t.Errorf("a limit of one second: no token for %v: %v", took, last)
		}
	})
}

// A block of seconds must not cost the budget of an hour.
func TestBlockCostsNoBudget(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{RedisDownBudget: &RedisDownBudget{Spread: time.Millisecond}}, func(f *fleet) {
		r := f.start(1)[0]
		r.source.client.learn([]quota.Blocked{{Scope: quota.Tenant, Reason: "tenant-limit", Remaining: 5 * time.Second, Count: 1}})
		r.net.cut()
		start := time.Now()
		for time.Since(start) < 2*time.Hour {
			if _, err := r.source.Token(f.t.Context()); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > time.Minute {
			f.t.Errorf("a block of 5 s: the first token past Redis came after %v", took)
		}
		r.net.mend()
	})
}

// What is logged at three in the morning says what happened, to whom, until when
// nobody notices, and what happens next.
func TestLogTellsWhatHappensNext(t *testing.T) {
	var lines strings.Builder
	opts := Options{Logger: slog.New(slog.NewTextHandler(&lines, nil))}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, opts, func(f *fleet) {
		f.together(f.start(3))
		f.tenant.Consume(99)
		f.serve(9*time.Hour+50*time.Minute, time.Minute)
	})
	for _, want := range []string{
		`msg="a token request failed" client=…ient reason=early error="the token request failed: `,
		`(status 429 too_many_requests); next attempt at 00:00:`,
		`msg="no token request for now" client=…ient priority=expiring error="quota: the server refused the client: quota exceeded; ask again at 00:00:`,
		`token_valid_until=2000-01-01T10:00:00.000Z`,
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, lines.String())
		}
	}
}

// Refusals are kept apart like all other requests, if many have waited.
func TestRefusalsArePaced(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Audiences: []string{"none of these"}, Latency: 10 * time.Millisecond}, Options{}, func(f *fleet) {
		f.m.SetError("LOADING Redis is loading the dataset in memory")
		var wg sync.WaitGroup
		for i, r := range f.start(8) {
			cred := f.credentials()
			cred.Audience = fmt.Sprint("api-", i)
			s, err := r.cache.Source(cred)
			if err != nil {
				f.t.Fatal(err)
			}
			wg.Go(func() {
				for range 20 {
					if _, err := s.Token(f.t.Context()); !errors.Is(err, ErrRedis) {
						return
					}
					time.Sleep(time.Second)
				}
			})
		}
		time.Sleep(5 * time.Second)
		f.m.SetError("")
		wg.Wait()
		requests := f.tenant.Requests()
		if len(requests) < 8 {
			f.t.Errorf("got %d token requests, want one for each audience", len(requests))
		}
		for i := 2; i < len(requests); i++ {
			if took := requests[i].Arrived.Sub(requests[i-2].Arrived); took < time.Second {
				f.t.Errorf("requests %d to %d came within %v", i-1, i+1, took)
			}
		}
	})
}

// A replica that cannot reach the token endpoint may be the only one. It blocks
// nobody else, and itself for longer and longer, up to half a minute.
func TestUnreachableForOne(t *testing.T) {
	long(t)
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		attempts := 0
		rt := endpoint.NewTransport(nil)
		rt.Proxy = func(*http.Request) (*url.URL, error) { attempts++; return nil, errors.New("no such proxy") }
		r.cache.rt = rt
		for range 3600 {
			if _, err := r.source.Token(f.t.Context()); err == nil {
				f.t.Fatal("got a token")
			}
			time.Sleep(time.Second)
		}
		if attempts < 60 || attempts > 240 {
			f.t.Errorf("it tried %d times in an hour, want one in half a minute", attempts)
		}
		start := time.Now()
		f.token(f.start(1)[0])
		if took := time.Since(start); took > 0 {
			f.t.Errorf("another one was held up for %v", took)
		}
	})
}

// The header says that both buckets are spent, and when they fill, and nothing
// else does. Nobody asks before the later one has, and then they do not all come
// at once.
func TestBothBucketsAreSpent(t *testing.T) {
	long(t)
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
	long(t)
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
	long(t)
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
	long(t)
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
