package auth0test_test

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

const urlencoded = "application/x-www-form-urlencoded"

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// TestTokenRequest covers what may be asked, and how it is refused.
func TestTokenRequest(t *testing.T) {
	t.Parallel()
	const (
		right = "grant_type=client_credentials&audience=api&"
		creds = "client_id=cli%26ent&client_secret=se%3Acret%25"
	)
	unauthorized := "access_denied: Unauthorized"
	tests := []struct {
		name    string
		method  string // zero: POST
		body    string
		headers []string

		status int
		code   string // "error: error_description"
		row    string // encoding/authentication, and whether the secret was right
	}{
		{name: "json", body: `{"client_id":"cli&ent","client_secret":"se:cret%","audience":"api","grant_type":"client_credentials"}`,
			status: 200, row: "json/body true"},
		{name: "json with charset and unknown fields", headers: []string{"Content-Type", "Application/JSON; charset=utf-8"},
			body:   `{"client_id":"cli&ent","client_secret":"se:cret%","audience":"api","grant_type":"client_credentials","x":[1]}`,
			status: 200, row: "json/body true"},
		{name: "json and basic", headers: []string{"Authorization", basic("cli%26ent", "se%3Acret%25")},
			body:   `{"audience":"api","grant_type":"client_credentials"}`,
			status: 200, row: "json/basic true"},
		{name: "form", headers: []string{"Content-Type", urlencoded}, body: right + creds, status: 200, row: "form/body true"},
		{name: "form and basic", headers: []string{"Content-Type", urlencoded, "Authorization", basic("cli%26ent", "se%3Acret%25")},
			body: right, status: 200, row: "form/basic true"},
		{name: "basic with client id in the body", headers: []string{"Content-Type", urlencoded, "Authorization", basic("cli%26ent", "se%3Acret%25")},
			body: right + "client_id=cli%26ent", status: 200, row: "form/basic true"},
		{name: "basic that is not encoded", headers: []string{"Content-Type", urlencoded, "Authorization", basic("cli&ent", "se:cret%")},
			body: right, status: 200, row: "form/basic true"},
		{name: "both", headers: []string{"Content-Type", urlencoded, "Authorization", basic("cli%26ent", "se%3Acret%25")},
			body: right + creds, status: 400, code: "invalid_request: More than one way of client authentication", row: "form/both true"},

		{name: "wrong secret", body: `{"client_id":"cli&ent","client_secret":"guess","audience":"api","grant_type":"client_credentials"}`,
			status: 401, code: unauthorized, row: "json/body false"},
		{name: "wrong client", body: `{"client_id":"other","client_secret":"se:cret%","audience":"api","grant_type":"client_credentials"}`,
			status: 401, code: unauthorized, row: "json/body true"},
		{name: "no credentials", headers: []string{"Content-Type", urlencoded}, body: right,
			status: 401, code: unauthorized, row: "form/none false"},
		{name: "unknown audience", body: `{"client_id":"cli&ent","client_secret":"se:cret%","audience":"other","grant_type":"client_credentials"}`,
			status: 403, code: "access_denied: Service not enabled within domain: other", row: "json/body true"},
		{name: "no audience", body: `{"client_id":"cli&ent","client_secret":"se:cret%","grant_type":"client_credentials"}`,
			status: 403, code: "access_denied: No audience parameter was provided, and no default audience has been configured", row: "json/body true"},
		{name: "other grant", body: `{"client_id":"cli&ent","client_secret":"se:cret%","grant_type":"password"}`,
			status: 403, code: "unauthorized_client: Grant type 'password' not allowed for the client.", row: "json/body true"},
		{name: "no grant", body: `{"client_id":"cli&ent","client_secret":"se:cret%"}`,
			status: 400, code: "invalid_request: Missing required parameter: grant_type", row: "json/body true"},

		{name: "broken json", body: `{"client_id":`, status: 400, code: "invalid_request: Invalid JSON", row: "json/none false"},
		{name: "wrong type", body: `{"client_id":7}`, status: 400, code: "invalid_request: Invalid JSON", row: "json/none false"},
		{name: "broken form", headers: []string{"Content-Type", urlencoded}, body: "a=%zz",
			status: 400, code: "invalid_request: Invalid form encoding", row: "form/none false"},
		{name: "parameter twice", headers: []string{"Content-Type", urlencoded}, body: right + creds + "&audience=b",
			status: 400, code: "invalid_request: Parameter given more than once: audience", row: "form/body true"},
		{name: "other content type", headers: []string{"Content-Type", "text/plain"}, body: right + creds,
			status: 400, code: `invalid_request: Unsupported content type: "text/plain"`, row: "other/none false"},
		{name: "no content type", headers: []string{"Content-Type", ""}, body: right + creds,
			status: 400, code: `invalid_request: Unsupported content type: ""`, row: "other/none false"},
		{name: "huge body", headers: []string{"Content-Type", urlencoded}, body: right + creds + "&x=" + strings.Repeat("x", 64<<10),
			status: 400, code: "invalid_request: The body is too large", row: "form/body true"},
		{name: "get", method: "GET", status: 405, code: "invalid_request: Method not allowed: GET", row: "json/none false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := auth0test.NewPipeServer(&auth0test.Config{
				ClientID: "cli&ent", ClientSecret: "se:cret%", Audiences: []string{"api"}, PerHour: 5,
			})
			defer s.Close()
			method := tt.method
			if method == "" {
				method = "POST"
			}
			r, err := do(t.Context(), s.Client(), method, s.TokenURL(), tt.body, tt.headers...)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "status", r.status, tt.status)
			wantEqual(t, "Cache-Control", r.header.Get("Cache-Control"), "no-store")
			if tt.status != 200 {
				wantEqual(t, "error", r.code(), tt.code)
				wantEqual(t, "quota header", r.header.Get("Auth0-Client-Quota-Limit"), "")
			}
			ledger := s.Requests()
			if len(ledger) != 1 {
				t.Fatalf("got %d rows, want 1", len(ledger))
			}
			row := ledger[0]
			got := row.Encoding + "/" + row.Authentication + " false"
			if row.SecretOK {
				got = strings.TrimSuffix(got, "false") + "true"
			}
			wantEqual(t, "row", got, tt.row)
			wantEqual(t, "status in the ledger", row.Status, tt.status)
			wantEqual(t, "error in the ledger", row.Error, strings.TrimSpace(before(tt.code, ":")))
			wantEqual(t, "issued", row.Issued, tt.status == 200)
		})
	}
}

func before(s, sep string) string {
	head, _, _ := strings.Cut(s, sep)
	return head
}

func TestTokenAnswer(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{TTL: 10 * time.Hour}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		r := ask(t, c, s)
		token := r.token()
		wantEqual(t, "body", r.body, `{"access_token":"`+token+`","expires_in":36000,"token_type":"Bearer"}`)
		wantEqual(t, "Content-Type", r.header.Get("Content-Type"), "application/json")
		wantEqual(t, "Date", r.header.Get("Date"), "Sat, 01 Jan 2000 00:00:00 GMT")
		wantEqual(t, "length of the token", len(token), 900)
		if b64token := regexp.MustCompile(`^ey[A-Za-z0-9._~+/-]+=*$`); !b64token.MatchString(token) {
			t.Errorf("got token %q, want the characters of RFC 6750", token)
		}
		for i, part := range strings.Split(token, ".") {
			if _, err := base64.RawURLEncoding.DecodeString(part); err != nil {
				t.Errorf("part %d of the token looks unlike that of a JWT: %v", i, err)
			}
		}
		if !strings.Contains(token, ".token-1-") {
			t.Errorf("got token %q, want the number of its request in it", token)
		}
		if again := ask(t, c, s).token(); again == token {
			t.Error("two requests were issued the same token")
		}

		time.Sleep(90 * time.Minute)
		scoped := askFor(t, c, s, `{"client_id":"test-client","client_secret":"test-secret",`+
			`"grant_type":"client_credentials","scope":"read:cards write:cards"}`)
		wantEqual(t, "scope", scoped.fields["scope"], any("read:cards write:cards"))
		wantEqual(t, "Date after 90 minutes", scoped.header.Get("Date"), "Sat, 01 Jan 2000 01:30:00 GMT")
	})
}

func TestLatency(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{Latency: 150 * time.Millisecond}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		start := time.Now()
		ask(t, c, s)
		wantEqual(t, "latency", time.Since(start), 150*time.Millisecond)
		row := s.Requests()[0]
		wantEqual(t, "time in flight", row.InFlight(), 150*time.Millisecond)
		wantEqual(t, "arrival", row.Arrived, start.UTC().Round(0))
		// The token exists from the arrival on: a client that counts its lifetime
		// from the answer holds it for too long.
		wantEqual(t, "expiry", row.Expires, row.Arrived.Add(24*time.Hour))
	})
}
