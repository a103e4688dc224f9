package auth0test_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

const (
	clientQuota       = "Auth0-Client-Quota-Limit"
	organizationQuota = "Auth0-Organization-Quota-Limit"
)

// A client asks every ten minutes for two days, from 00:07 on. It may have
// three tokens an hour and ten a day.
func TestTwoDaysOfQuota(t *testing.T) {
	t.Parallel()
	cfg := &auth0test.Config{PerHour: 3, PerDay: 10}
	bubble(t, cfg, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		start := time.Now()
		for after := 7 * time.Minute; after < 48*time.Hour; after += 10 * time.Minute {
			at(start, after)
			r := ask(t, c, s)
			wantEqual(t, "Date", r.header.Get("Date"), time.Now().UTC().Format(http.TimeFormat))

			// Each day: three tokens in each of the first three hours, the tenth
			// in the fourth, and then nothing until midnight.
			day := after % (24 * time.Hour)
			hour, slot := int(day/time.Hour), int(day%time.Hour/(10*time.Minute))
			granted := hour < 3 && slot < 3 || hour == 3 && slot == 0
			if got := r.status == 200; got != granted {
				t.Fatalf("after %v: got status %d, want granted %v\n%v", after, r.status, granted, s.Requests())
			}
			if granted {
				continue
			}
			wantEqual(t, "error", r.code(), "too_many_requests: Client quota exceeded")
			end := start.Add(after).Truncate(time.Hour).Add(time.Hour)
			limit := "3"
			if hour >= 3 {
				end, limit = start.Add(after).Truncate(24*time.Hour).Add(24*time.Hour), "10"
			}
			wantEqual(t, "Retry-After", r.header.Get("Retry-After"), fmt.Sprint(time.Until(end).Seconds()))
			wantEqual(t, "X-RateLimit-Limit", r.header.Get("X-RateLimit-Limit"), limit)
			wantEqual(t, "X-RateLimit-Remaining", r.header.Get("X-RateLimit-Remaining"), "0")
			wantEqual(t, "X-RateLimit-Reset", r.header.Get("X-RateLimit-Reset"), fmt.Sprint(end.Unix()))
		}
		wantEqual(t, "tokens of two days", s.Issued(), 20)
		wantEqual(t, "refusals", s.Requests().Answered(429), 2*24*6-20)
	})
}

func TestQuotaHeaderCountsDownAndResets(t *testing.T) {
	t.Parallel()
	cfg := &auth0test.Config{PerHour: 42, PerDay: 100}
	bubble(t, cfg, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		start := time.Now()
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{0, "b=per_hour;q=42;r=41;t=3600,b=per_day;q=100;r=99;t=86400"},
			{1 * time.Nanosecond, "b=per_hour;q=42;r=40;t=3600,b=per_day;q=100;r=98;t=86400"},
			{59*time.Minute + 59500*time.Millisecond, "b=per_hour;q=42;r=39;t=1,b=per_day;q=100;r=97;t=82801"},
			{time.Hour, "b=per_hour;q=42;r=41;t=3600,b=per_day;q=100;r=96;t=82800"},
			{24*time.Hour - 1, "b=per_hour;q=42;r=41;t=1,b=per_day;q=100;r=95;t=1"},
			{24 * time.Hour, "b=per_hour;q=42;r=41;t=3600,b=per_day;q=100;r=99;t=86400"},
		} {
			at(start, step.after)
			r := ask(t, c, s)
			wantEqual(t, fmt.Sprintf("header after %v", step.after), r.header.Get(clientQuota), step.want)
			wantEqual(t, "general limit", r.header.Get("X-RateLimit-Limit"), "100")
			wantEqual(t, "Retry-After of a token", r.header.Get("Retry-After"), "")
		}
		ledger := s.Requests()
		wantEqual(t, "header in the ledger", ledger[0].ClientQuota, "b=per_hour;q=42;r=41;t=3600,b=per_day;q=100;r=99;t=86400")
	})
}

func TestEachBucketIsOptional(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]auth0test.Config{
		"b=per_hour;q=5;r=4;t=3600": {PerHour: 5},
		"b=per_day;q=7;r=6;t=86400": {PerDay: 7},
		"":                          {OrganizationPerHour: 3},
	} {
		bubble(t, &cfg, func(t *testing.T, s *auth0test.Server, c *http.Client) {
			wantEqual(t, "header", ask(t, c, s).header.Get(clientQuota), want)
		})
	}
}

func TestRetryAfterIsLongEnough(t *testing.T) {
	t.Parallel()
	cfg := &auth0test.Config{PerHour: 1, PerDay: 2}
	bubble(t, cfg, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		time.Sleep(17*time.Minute + 300*time.Millisecond)
		for day := range 3 {
			for range 2 {
				for r := ask(t, c, s); r.status != 200; r = ask(t, c, s) {
					wait, err := strconv.Atoi(r.header.Get("Retry-After"))
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Duration(wait) * time.Second)
				}
			}
			wantEqual(t, "tokens", s.Issued(), 2*day+2)
		}
		// One refusal before each token but the first.
		wantEqual(t, "refusals", s.Requests().Answered(429), 5)
	})
}

func TestOrganizationQuota(t *testing.T) {
	t.Parallel()
	body := func(organization string) string {
		return `{"client_id":"test-client","client_secret":"test-secret","grant_type":"client_credentials","organization":"` + organization + `"}`
	}
	cfg := &auth0test.Config{PerDay: 6, OrganizationPerHour: 2, OrganizationPerDay: 3}
	bubble(t, cfg, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		r := askFor(t, c, s, body("org_a"))
		wantEqual(t, "organization header", r.header.Get(organizationQuota), "b=per_hour;q=2;r=1;t=3600,b=per_day;q=3;r=2;t=86400")
		wantEqual(t, "client header", r.header.Get(clientQuota), "b=per_day;q=6;r=5;t=86400")
		wantEqual(t, "organization header without one", ask(t, c, s).header.Get(organizationQuota), "")
		askFor(t, c, s, body("org_a"))

		r = askFor(t, c, s, body("org_a"))
		wantEqual(t, "error", r.code(), "too_many_requests: Organization quota exceeded")
		wantEqual(t, "organization header", r.header.Get(organizationQuota), "b=per_hour;q=2;r=0;t=3600,b=per_day;q=3;r=1;t=86400")
		wantEqual(t, "client header: the refusal cost nothing", r.header.Get(clientQuota), "b=per_day;q=6;r=3;t=86400")
		wantEqual(t, "Retry-After", r.header.Get("Retry-After"), "3600")
		wantEqual(t, "another organization", askFor(t, c, s, body("org_b")).status, 200)

		ask(t, c, s)
		ask(t, c, s)
		r = askFor(t, c, s, body("org_a"))
		wantEqual(t, "error when both are spent", r.code(), "too_many_requests: Client quota exceeded")
		wantEqual(t, "Retry-After when both are spent", r.header.Get("Retry-After"), "86400")
		row := s.Requests()[len(s.Requests())-1]
		wantEqual(t, "organization in the ledger", row.Organization, "org_a")
		wantEqual(t, "its header in the ledger", row.OrganizationQuota, r.header.Get(organizationQuota))
	})
}

func TestMonitorCountsAndDoesNotEnforce(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{PerHour: 2, Monitor: true}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		for i, want := range []string{"1", "0", "0", "0"} {
			r := ask(t, c, s)
			wantEqual(t, "status", r.status, 200)
			wantEqual(t, fmt.Sprintf("header %d", i), r.header.Get(clientQuota), "b=per_hour;q=2;r="+want+";t=3600")
		}
		s.Update(func(cfg *auth0test.Config) { cfg.Monitor = false })
		wantEqual(t, "status once it is enforced", ask(t, c, s).status, 429)
	})
}

func TestLagDelaysTheHeaderOnly(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{PerHour: 3, Lag: 5 * time.Second}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		start := time.Now()
		for _, step := range []struct {
			after  time.Duration
			status int
			r      int
		}{
			{0, 200, 3},
			{1 * time.Second, 200, 3},
			{5 * time.Second, 200, 2}, // the first is counted now
			{6 * time.Second, 429, 0}, // the third is not yet visible, and yet it counts
			{time.Hour, 200, 3},       // the new window has seen nothing
			{time.Hour + 5*time.Second - 1, 200, 3},
			{time.Hour + 5*time.Second, 200, 2},
		} {
			at(start, step.after)
			r := ask(t, c, s)
			wantEqual(t, fmt.Sprintf("status after %v", step.after), r.status, step.status)
			left := time.Hour - step.after%time.Hour
			want := fmt.Sprintf("b=per_hour;q=3;r=%d;t=%d", step.r, int((left+time.Second-1)/time.Second))
			wantEqual(t, fmt.Sprintf("header after %v", step.after), r.header.Get(clientQuota), want)
		}
	})
}

func TestRemainingBefore(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{PerHour: 2, RemainingBefore: true}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		for _, want := range []string{"2", "1", "0"} {
			wantEqual(t, "header", ask(t, c, s).header.Get(clientQuota), "b=per_hour;q=2;r="+want+";t=3600")
		}
		wantEqual(t, "issued", s.Issued(), 2)
	})
}

func TestConsumeIsSomebodyElse(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{PerHour: 10, PerDay: 12}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		s.Consume(0)
		s.Consume(-4)
		s.Consume(8)
		wantEqual(t, "header", ask(t, c, s).header.Get(clientQuota), "b=per_hour;q=10;r=1;t=3600,b=per_day;q=12;r=3;t=86400")
		s.Consume(5)
		wantEqual(t, "status", ask(t, c, s).status, 429)
		wantEqual(t, "issued", s.Issued(), 1)
		wantEqual(t, "rows", len(s.Requests()), 2)
		time.Sleep(time.Hour)
		wantEqual(t, "status in the next hour of a spent day", ask(t, c, s).status, 429)
	})
}

// Only the last token of a quota can be had, however many ask for it at once.
func TestQuotaIsExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := auth0test.NewServer(&auth0test.Config{PerDay: 5})
	defer s.Close()
	c := s.Client()
	var asking sync.WaitGroup
	for range 40 {
		asking.Go(func() {
			if _, err := do(t.Context(), c, "POST", s.TokenURL(), documented); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	ledger := s.Requests()
	if len(ledger) != 40 || ledger.Issued() != 5 || ledger.Answered(429) != 35 {
		t.Errorf("got %d requests, %d tokens and %d refusals, want 40, 5 and 35\n%v",
			len(ledger), ledger.Issued(), ledger.Answered(429), ledger)
	}
}
