package auth0test_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A token's life as the API sees it.
func TestTokenLife(t *testing.T) {
	t.Parallel()
	bubble(t, &auth0test.Config{TTL: 10 * time.Hour}, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		first := ask(t, c, s).token()
		second := ask(t, c, s).token()
		expect := func(token string, want auth0test.TokenState, status int) {
			t.Helper()
			wantEqual(t, "state", s.Check(token), want)
			wantEqual(t, "API status", call(t, c, s, token, "").status, status)
		}
		expect(first, auth0test.TokenValid, 200) // a new token does not end an old one
		expect(second, auth0test.TokenValid, 200)
		expect("made up", auth0test.TokenUnknown, 401)

		s.Revoke(first)
		s.Revoke("made up")
		expect(first, auth0test.TokenRevoked, 401)
		expect(second, auth0test.TokenValid, 200)

		time.Sleep(10*time.Hour - time.Nanosecond)
		expect(second, auth0test.TokenValid, 200)
		time.Sleep(time.Nanosecond)
		expect(second, auth0test.TokenExpired, 401)

		third := ask(t, c, s).token()
		s.RevokeAll()
		expect(third, auth0test.TokenRevoked, 401)
		expect(ask(t, c, s).token(), auth0test.TokenValid, 200)

		want := map[auth0test.TokenState]int{
			auth0test.TokenValid: 5, auth0test.TokenUnknown: 1, auth0test.TokenRevoked: 2, auth0test.TokenExpired: 1,
		}
		if got := s.APICalls(); !maps.Equal(got, want) {
			t.Errorf("got calls %v, want %v", got, want)
		}
	})
}

func TestAPIAnswers(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		wantEqual(t, "calls before the first", len(s.APICalls()), 0)
		token := ask(t, c, s).token()
		for _, tt := range []struct {
			authorization string
			status        int
		}{
			{"Bearer " + token, 200},
			{"bearer " + token, 200}, // the scheme's case does not matter
			{"Bearer", 401},
			{"Bearer " + token + "x", 401},
			{"Basic " + token, 401},
			{"", 401},
		} {
			r, err := do(t.Context(), c, "GET", s.APIURL(), "", "Authorization", tt.authorization)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "status", r.status, tt.status)
			challenge, body := "", `{"ok":true}`
			if tt.status == 401 {
				challenge, body = `Bearer error="invalid_token"`, `{"error":"invalid_token"}`
			}
			wantEqual(t, "WWW-Authenticate", r.header.Get("WWW-Authenticate"), challenge)
			wantEqual(t, "body", r.body, body)
		}
		wantEqual(t, "API calls are no token requests", len(s.Requests()), 1)
		r, err := do(t.Context(), c, "GET", s.URL+"/elsewhere", "")
		if err != nil || r.status != 404 {
			t.Errorf("got status %d and error %v for another path, want 404", r.status, err)
		}
	})
}

// A replay after a 401 has to carry the body again.
func TestAPIRecordsBodies(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		token := ask(t, c, s).token()
		s.RejectAll(true)
		call(t, c, s, token, `{"card":1}`)
		s.RejectAll(false)
		time.Sleep(time.Minute)
		long := strings.Repeat("x", 1<<20)
		call(t, c, s, token, long)

		calls := s.RecentAPICalls()
		if len(calls) != 2 {
			t.Fatalf("got %d calls, want 2", len(calls))
		}
		for i, want := range []struct {
			status, length int
			body           string
		}{{401, 10, `{"card":1}`}, {200, 1 << 20, long[:4096]}} {
			wantEqual(t, "status", calls[i].Status, want.status)
			wantEqual(t, "state", calls[i].Token, auth0test.TokenValid) // it is the API that is wrong
			wantEqual(t, "method and path", calls[i].Method+" "+calls[i].Path, "POST /api/cards")
			wantEqual(t, "length", calls[i].Length, int64(want.length))
			wantEqual(t, "body", string(calls[i].Body), want.body)
		}
		wantEqual(t, "time between", calls[1].Time.Sub(calls[0].Time), time.Minute)
	})
}

func TestAPIRemembersTheLatestCalls(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		for i := range 1003 {
			if _, err := do(t.Context(), c, http.MethodPost, s.APIURL(), strings.Repeat("x", i)); err != nil {
				t.Fatal(err)
			}
		}
		calls := s.RecentAPICalls()
		wantEqual(t, "calls", len(calls), 1000)
		wantEqual(t, "the oldest", calls[0].Length, 3)
		wantEqual(t, "the latest", calls[999].Length, 1002)
		wantEqual(t, "all of them", s.APICalls()[auth0test.TokenUnknown], 1003)
	})
}

func TestTokenStateNames(t *testing.T) {
	t.Parallel()
	for state, want := range map[auth0test.TokenState]string{
		auth0test.TokenUnknown: "unknown",
		auth0test.TokenValid:   "valid",
		auth0test.TokenExpired: "expired",
		auth0test.TokenRevoked: "revoked",
		9:                      "TokenState(9)",
	} {
		wantEqual(t, "name", state.String(), want)
	}
}
