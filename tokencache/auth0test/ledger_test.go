package auth0test_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

func TestLedgerRow(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{PerHour: 5}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		start := time.Now().UTC().Round(0)
		time.Sleep(time.Minute)
		body := `{"client_id":"test-client","client_secret":"test-secret","audience":"api",` +
			`"organization":"org_a","scope":"a b","grant_type":"client_credentials"}`
		if _, err := do(t.Context(), c, "POST", s.TokenURL()+"?x=1", body, "User-Agent", "replica-7"); err != nil {
			t.Fatal(err)
		}
		arrived := start.Add(time.Minute)
		want := auth0test.Request{
			Number: 1, Arrived: arrived, Ended: arrived, Concurrent: 1,
			Method: "POST", Path: "/oauth/token", RemoteAddr: "pipe-1", UserAgent: "replica-7",
			Encoding: "json", Authentication: "body", ClientID: "test-client", SecretOK: true,
			GrantType: "client_credentials", Audience: "api", Organization: "org_a", Scope: "a b",
			Status: 200, Issued: true, Expires: arrived.Add(24 * time.Hour),
			ClientQuota: "b=per_hour;q=5;r=4;t=3540",
		}
		wantEqual(t, "row", s.Requests()[0], want)
	})
}

// A request is in the ledger from its arrival on, whatever becomes of it.
func TestLedgerKeepsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		s.Inject(1, auth0test.Hang())
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = do(ctx, c, "POST", s.TokenURL(), documented) }()
		synctest.Wait()
		row := s.Requests()[0]
		wantEqual(t, "ended", row.Ended.IsZero(), true)
		wantEqual(t, "time in flight", row.InFlight(), 0)
		if text := row.String(); !strings.Contains(text, "in flight, fault: hang") {
			t.Errorf("got %q, want it to say that the request is in flight", text)
		}

		time.Sleep(20 * time.Second)
		cancel()
		synctest.Wait()
		row = s.Requests()[0]
		wantEqual(t, "time in flight", row.InFlight(), 20*time.Second)
		wantEqual(t, "status", row.Status, 0)
		if text := row.String(); !strings.Contains(text, "no answer, fault: hang") {
			t.Errorf("got %q, want it to say that there was no answer", text)
		}
	})
}

// A client that dies in the middle of its request has been there all the same.
func TestLedgerKeepsHalfARequest(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		died := io.MultiReader(strings.NewReader(documented[:20]), failingReader{})
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.TokenURL(), died)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = int64(len(documented))
		if resp, err := c.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Fatal("got an answer to half a request")
		}
		synctest.Wait()
		ledger := s.Requests()
		if len(ledger) != 1 || ledger[0].Status != 0 || ledger[0].Encoding != "" || ledger[0].Ended.IsZero() {
			t.Errorf("got\n%vwant one row that ended without an answer", ledger)
		}
	})
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("the client died") }

func TestLedgerCountsConcurrency(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{Latency: 10 * time.Second}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		for range 4 {
			go func() { _, _ = do(t.Context(), c, "POST", s.TokenURL(), documented) }()
			time.Sleep(3 * time.Second) // so the fifth arrives when the first has left
		}
		ask(t, c, s)
		var got []int
		for _, row := range s.Requests() {
			got = append(got, row.Concurrent)
		}
		if want := []int{1, 2, 3, 4, 4}; !slices.Equal(got, want) {
			t.Errorf("got %v at once, want %v", got, want)
		}
		wantEqual(t, "most at once", s.Requests().MaxConcurrent(), 4)
	})
}

// Requests one after the other never overlap in the ledger, on real
// connections too: a row is closed before its answer is out.
func TestLedgerDoesNotInventConcurrency(t *testing.T) {
	t.Parallel()
	s := auth0test.NewServer(nil)
	defer s.Close()
	for _, c := range []*http.Client{s.Client(), s.Client()} {
		for range 50 {
			ask(t, c, s)
			if last := s.Requests()[len(s.Requests())-1]; last.Ended.IsZero() || last.Status != 200 {
				t.Fatalf("got an answer and an incomplete row: %v", last)
			}
		}
	}
	wantEqual(t, "most at once", s.Requests().MaxConcurrent(), 1)
}

func TestRequestsReturnsACopy(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		ask(t, c, s)
		s.Requests()[0].Status = 999
		wantEqual(t, "status", s.Requests()[0].Status, 200)
	})
}

func TestWriteLedger(t *testing.T) {
	t.Parallel()
	cfg := &auth0test.Config{PerHour: 1}
	bubble(t, cfg, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		c.Transport.(*http.Transport).DisableKeepAlives = true
		time.Sleep(90 * time.Second)
		post := func(body string) {
			if _, err := do(t.Context(), c, "POST", s.TokenURL(), body, "User-Agent", "replica\t1"); err != nil {
				t.Fatal(err)
			}
		}
		post(documented)
		post(documented)
		s.Inject(1, auth0test.Status(503))
		post(strings.Replace(documented, "test-secret", "guess", 1))

		var b strings.Builder
		if err := s.WriteLedger(&b); err != nil {
			t.Fatal(err)
		}
		want := `
#  ARRIVED (UTC)            CLIENT       AUDIENCE                  ASKED AS   STATUS  IN FLIGHT  AT ONCE  OUTCOME                          QUOTA                      FROM
1  2000-01-01 00:01:30.000  test-client  https://api.example.com/  json/body  200     0s         1        token until 2000-01-02 00:01:30  b=per_hour;q=1;r=0;t=3510  pipe-1 replica?1
2  2000-01-01 00:01:30.000  test-client  https://api.example.com/  json/body  429     0s         1        too_many_requests                b=per_hour;q=1;r=0;t=3510  pipe-2 replica?1
3  2000-01-01 00:01:30.000  test-client  https://api.example.com/  json/body  503     0s         1        wrong secret, fault: status 503  -                          pipe-3 replica?1
3 token requests, 1 tokens issued, 1 refused with 429, at most 1 at once
`
		if got := "\n" + b.String(); got != want {
			t.Errorf("got%s\nwant%s", got, want)
		}
		if !strings.HasPrefix(b.String(), s.Requests().String()) {
			t.Errorf("got ledger\n%v\nwant the same table", s.Requests())
		}
		if err := s.WriteLedger(failingWriter{}); err == nil {
			t.Error("got no error from a writer that fails")
		}
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestLedgerHoldsNoSecret sends a canary in every place that a secret may be.
func TestLedgerHoldsNoSecret(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	for _, secret := range []string{canary, "other"} {
		bubble(t, &auth0test.Config{ClientSecret: secret}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
			var tokens []string
			for _, headers := range [][]string{
				nil,
				{"Content-Type", urlencoded},
				{"Content-Type", "text/plain"},
				{"Authorization", basic("test-client", canary)},
			} {
				for _, body := range []string{
					strings.Replace(documented, "test-secret", canary, 1),
					"grant_type=client_credentials&client_id=test-client&client_secret=" + canary,
					"grant_type=client_credentials",
					`{"grant_type":"client_credentials"}`,
				} {
					r, err := do(t.Context(), c, "POST", s.TokenURL()+"?client_secret="+canary, body, headers...)
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(r.body, canary) {
						t.Errorf("the secret is in the answer %q", r.body)
					}
					if r.token() != "" {
						tokens = append(tokens, r.token())
					}
				}
			}
			wantEqual(t, "tokens", len(tokens) > 0, secret == canary)
			rows := s.Requests()
			ledger := fmt.Sprintf("%v\n%v\n%#v\n%v", rows, []auth0test.Request(rows), rows, s)
			if strings.Contains(ledger, canary) {
				t.Errorf("the secret is in the ledger:\n%s", ledger)
			}
			for _, token := range tokens {
				if strings.Contains(ledger, token) {
					t.Errorf("a token is in the ledger:\n%s", ledger)
				}
			}
		})
	}
}
