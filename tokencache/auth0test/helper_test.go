package auth0test_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// documented is the body of a token request as Auth0 documents it.
const documented = `{"client_id":"test-client","client_secret":"test-secret",` +
	`"audience":"https://api.example.com/","grant_type":"client_credentials"}`

// A reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	fields map[string]any // of a JSON body
}

func (r reply) token() string {
	token, _ := r.fields["access_token"].(string)
	return token
}

// code is the OAuth error code and its description.
func (r reply) code() string {
	code, _ := r.fields["error"].(string)
	description, _ := r.fields["error_description"].(string)
	return code + ": " + description
}

// do sends a request and reads the answer. An error may come at any point.
func do(ctx context.Context, c *http.Client, method, url, body string, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	r := reply{status: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &r.fields)
	return r, err
}

// ask makes the documented token request, which must be answered.
func ask(t *testing.T, c *http.Client, s *auth0test.Server) reply {
	t.Helper()
	return askFor(t, c, s, documented)
}

// askFor makes a token request with a JSON body, which must be answered.
func askFor(t *testing.T, c *http.Client, s *auth0test.Server, body string) reply {
	t.Helper()
	r, err := do(t.Context(), c, http.MethodPost, s.TokenURL(), body)
	if err != nil {
		t.Fatalf("token request: %v\n%v", err, s.Requests())
	}
	return r
}

// call calls the API with a token.
func call(t *testing.T, c *http.Client, s *auth0test.Server, token, body string) reply {
	t.Helper()
	r, err := do(t.Context(), c, http.MethodPost, s.APIURL()+"cards", body, "Authorization", "Bearer "+token)
	if err != nil {
		t.Fatalf("API call: %v", err)
	}
	return r
}

// bubble runs a story against a pipe server on a virtual clock, which starts at
// midnight UTC on 2000-01-01.
func bubble(t *testing.T, cfg *auth0test.Config, story func(t *testing.T, s *auth0test.Server, c *http.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := auth0test.NewPipeServer(cfg)
		defer s.Close()
		story(t, s, s.Client())
	})
}

// at sleeps until a time of the virtual clock after its start.
func at(start time.Time, after time.Duration) {
	time.Sleep(time.Until(start.Add(after)))
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
