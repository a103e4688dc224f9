package auth0test_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

const spent = "b=per_hour;q=5;r=0;t=3600"

// TestFaultsThatAnswer covers the faults after which a client has an answer.
func TestFaultsThatAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  auth0test.Fault
		status int
		body   string            // a part of it
		header map[string]string // empty value: the header must be absent
		issued int
		quota  string // of the client, after its one request
		code   string // in the ledger
	}{
		{"none", auth0test.Fault{}, 200, `"expires_in":86400,`, nil, 1, "b=per_hour;q=5;r=4;t=3600", ""},
		{"status", auth0test.Status(503), 503, "Service Unavailable", map[string]string{"Content-Type": "text/plain; charset=utf-8"}, 0, "", ""},
		{"status after issuing", auth0test.Fault{Status: 504, Issue: true}, 504, "", nil, 1, "", ""},
		{"body", auth0test.Fault{Body: `{"error":null}`}, 200, `{"error":null}`, map[string]string{"Content-Type": "application/json"}, 0, "b=per_hour;q=5;r=5;t=3600", ""},
		{"html", auth0test.Fault{Status: 403, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}}, 403, "<html>", map[string]string{"Content-Type": "text/html"}, 0, "", ""},
		{"oauth error", auth0test.OAuthError(401, "invalid_client", "who?"), 401, `{"error":"invalid_client","error_description":"who?"}`, nil, 0, "", "invalid_client"},
		{"plain 429", auth0test.OAuthError(429, "too_many_requests", "later"), 429, "later", nil, 0, "b=per_hour;q=5;r=5;t=3600", "too_many_requests"},
		{"quota exceeded", auth0test.QuotaExceeded(0), 429, "Client quota exceeded",
			map[string]string{"Retry-After": "3600", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "946688400"}, 0, spent, "too_many_requests"},
		{"quota exceeded for some time", auth0test.QuotaExceeded(90500 * time.Millisecond), 429, "Client quota exceeded",
			map[string]string{"Retry-After": "91"}, 0, spent, "too_many_requests"},
		{"application limit", auth0test.ApplicationLimit(2 * time.Second), 429, "Rate limit exceeded.",
			map[string]string{"Retry-After": "2", "Auth0-RateLimit": "client;q=10;t=2;r=0"}, 0, "", "too_many_requests"},
		{"tenant limit", auth0test.TenantLimit(7 * time.Second), 429, "Global limit has been reached",
			map[string]string{"Retry-After": "", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "946684807"}, 0, "", "Too Many Requests"},
		{"redirect", auth0test.Redirect(307, "https://elsewhere.example.com/"), 307, "",
			map[string]string{"Location": "https://elsewhere.example.com/"}, 0, "", ""},
		{"header", auth0test.Fault{Header: http.Header{"Auth0-Client-Quota-Limit": {"nonsense"}, "Date": nil}}, 200, `"Bearer"`,
			map[string]string{"Date": ""}, 1, "nonsense", ""},
		{"no quota header", auth0test.Fault{SkipQuotaHeader: true}, 200, `"Bearer"`, nil, 1, "", ""},
		{"string lifetime", auth0test.Field("expires_in", `"3600"`), 200, `"expires_in":"3600",`, nil, 1, "b=per_hour;q=5;r=4;t=3600", ""},
		{"negative lifetime", auth0test.Field("expires_in", "-5"), 200, `"expires_in":-5,`, nil, 1, "b=per_hour;q=5;r=4;t=3600", ""},
		{"huge lifetime", auth0test.Field("expires_in", "1e10"), 200, `"expires_in":1e10,`, nil, 1, "b=per_hour;q=5;r=4;t=3600", ""},
		{"broken lifetime", auth0test.Field("expires_in", "86,400"), 200, `"expires_in":86,400,`, nil, 1, "b=per_hour;q=5;r=4;t=3600", ""},
		{"no lifetime", auth0test.Field("expires_in", ""), 200, `","token_type":"Bearer"}`, nil, 1, "b=per_hour;q=5;r=4;t=3600", ""},
		{"token type", auth0test.Field("token_type", `"mac"`), 200, `"token_type":"mac"`, nil, 1, "b=per_hour;q=5;r=4;t=3600", ""},
		{"error in a token answer", auth0test.Field("error", `"server_error"`), 200, `"error":"server_error"`, nil, 1, "b=per_hour;q=5;r=4;t=3600", "server_error"},
		{"handler", auth0test.Fault{Handler: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.Copy(w, r.Body)
		}}, 418, documented, nil, 0, "", ""},
		{"handler that flushes", auth0test.Fault{Handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"error":`)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, `"slow_down"}`)
		}}, 200, `{"error":"slow_down"}`, nil, 0, "", "slow_down"},
		{"idle handler", auth0test.Fault{Handler: func(http.ResponseWriter, *http.Request) {}, Issue: true}, 200, "", nil, 1, "", ""},
		{"trickle of an error", auth0test.Fault{Status: 500, Body: "slow", Trickle: time.Second}, 500, "slow", nil, 0, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, &auth0test.Config{PerHour: 5}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
				c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				s.Inject(1, tt.fault)
				r := ask(t, c, s)
				wantEqual(t, "status", r.status, tt.status)
				if !strings.Contains(r.body, tt.body) {
					t.Errorf("got body %q, want %q in it", r.body, tt.body)
				}
				for name, want := range tt.header {
					wantEqual(t, name, r.header.Get(name), want)
				}
				wantEqual(t, "issued", s.Issued(), tt.issued)
				wantEqual(t, "quota header", r.header.Get(clientQuota), tt.quota)
				row := s.Requests()[0]
				wantEqual(t, "status in the ledger", row.Status, tt.status)
				wantEqual(t, "error in the ledger", row.Error, tt.code)
				wantEqual(t, "quota in the ledger", row.ClientQuota, tt.quota)
				wantEqual(t, "issued in the ledger", row.Issued, tt.issued == 1)
				wantEqual(t, "ended", row.Ended.IsZero(), false)

				wantEqual(t, "status of the next request", ask(t, c, s).status, 200)
				wantEqual(t, "fault of the next request", s.Requests()[1].Fault, "")
			})
		})
	}
}

// TestFaultsWithoutAnswer covers the faults that leave a client in doubt, which
// gives up after a minute.
func TestFaultsWithoutAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  auth0test.Fault
		took   time.Duration // until the client knew that it had no answer
		status int           // in the ledger
		issued int
	}{
		{"hang", auth0test.Hang(), time.Minute, 0, 0},
		{"lost answer", auth0test.LostAnswer(), time.Minute, 0, 1},
		{"slow", auth0test.Slow(2 * time.Minute), time.Minute, 0, 1},
		{"slow status", auth0test.Fault{Status: 500, Latency: 2 * time.Minute}, time.Minute, 0, 0},
		{"cut", auth0test.Cut(), 0, 0, 0},
		{"late cut after issuing", auth0test.Fault{Cut: true, Issue: true, Latency: time.Second}, time.Second, 0, 1},
		{"cut body", auth0test.Fault{CutBody: true}, 0, 200, 1},
		{"trickle", auth0test.Fault{Trickle: time.Second}, time.Minute, 200, 1},
		{"handler that aborts", auth0test.Fault{Handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}, 0, 0, 0},
		{"handler that hijacks", auth0test.Fault{Handler: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "this is not HTTP\r\n\r\n")
				_ = conn.Close()
			}
		}}, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, &auth0test.Config{PerHour: 5}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
				s.Inject(1, tt.fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				r, err := do(ctx, c, "POST", s.TokenURL(), documented)
				if err == nil {
					t.Fatalf("got answer %d %q, want none", r.status, r.body)
				}
				wantEqual(t, "deadline exceeded", errors.Is(err, context.DeadlineExceeded), tt.took == time.Minute)
				wantEqual(t, "time until the failure", time.Since(start), tt.took)
				synctest.Wait() // until the server has noticed
				wantEqual(t, "issued", s.Issued(), tt.issued)
				row := s.Requests()[0]
				wantEqual(t, "status in the ledger", row.Status, tt.status)
				wantEqual(t, "issued in the ledger", row.Issued, tt.issued == 1)
				wantEqual(t, "time in flight", row.InFlight(), tt.took)
				wantEqual(t, "client id, though nothing was answered", row.ClientID, "test-client")

				wantEqual(t, "status of the next request", ask(t, c, s).status, 200)
				wantEqual(t, "requests at once", s.Requests()[1].Concurrent, 1)
			})
		})
	}
}

func TestTrickleArrivesInTheEnd(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		s.Inject(1, auth0test.Fault{Trickle: time.Millisecond})
		start := time.Now()
		r := ask(t, c, s)
		wantEqual(t, "time", time.Since(start), time.Duration(len(r.body))*time.Millisecond)
		wantEqual(t, "state", s.Check(r.token()), auth0test.TokenValid)
	})
}

func TestSlowReplacesTheLatency(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{Latency: time.Minute}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		s.Inject(1, auth0test.Slow(3*time.Second))
		start := time.Now()
		ask(t, c, s)
		wantEqual(t, "time", time.Since(start), 3*time.Second)
		wantEqual(t, "name", s.Requests()[0].Fault, "slow 3s")
	})
}

func TestFaultsQueueUp(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		s.Inject(2, auth0test.Status(500))
		s.Inject(0, auth0test.Status(501))
		s.Inject(1, auth0test.Fault{Status: 502})
		s.Inject(-1, auth0test.Status(503))
		s.Inject(1, auth0test.Status(504)) // never, as the one before has no end
		for i, want := range []int{500, 500, 502, 503, 503, 503} {
			if got := ask(t, c, s).status; got != want {
				t.Errorf("request %d: got status %d, want %d", i+1, got, want)
			}
		}
		wantEqual(t, "given name", s.Requests()[0].Fault, "status 500")
		wantEqual(t, "name of a fault without one", s.Requests()[2].Fault, "unnamed")
		s.ClearFaults()
		wantEqual(t, "status once cleared", ask(t, c, s).status, 200)
	})
}

// Without a quota there is nothing to report, but a refusal can be injected.
func TestQuotaExceededWithoutQuota(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		s.Inject(2, auth0test.QuotaExceeded(time.Minute))
		r := ask(t, c, s)
		wantEqual(t, "error", r.code(), "too_many_requests: Client quota exceeded")
		wantEqual(t, "Retry-After", r.header.Get("Retry-After"), "60")
		wantEqual(t, "header", r.header.Get(clientQuota), "")
		r = askFor(t, c, s, strings.Replace(documented, "test-secret", "guess", 1))
		wantEqual(t, "status of a wrong secret", r.status, 401)
	})
}
