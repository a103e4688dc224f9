package tokencache

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
)

// TestReport has what users of other token clients have reported: here, of the token
// request. Each row has the number of its report.
//
//	go test ./... -run Report/B1
func TestReport(t *testing.T) {
	base := Credentials{TokenURL: "https://tenant.test/token", ClientID: "id", ClientSecret: "secret"}
	// sent returns the body and the header of the request that credentials make.
	sent := func(t *testing.T, cred Credentials) (string, http.Header) {
		t.Helper()
		if err := cred.Validate(); err != nil {
			t.Fatal(err)
		}
		var body string
		var header http.Header
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			body, header = string(data), r.Header
		}))
		defer server.Close()
		cred.TokenURL = server.URL
		if a := cred.request().Send(t.Context(), http.DefaultTransport); a.Status != 200 {
			t.Fatalf("got %v", a.Err)
		}
		return body, header
	}

	t.Run("B1 another grant type", func(t *testing.T) {
		cred := FromOAuth2(&clientcredentials.Config{TokenURL: base.TokenURL, ClientID: "id", ClientSecret: "secret", EndpointParams: url.Values{"grant_type": {"account_credentials"}, "account_id": {"x"}}})
		if body, _ := sent(t, cred); !strings.Contains(body, "grant_type=account_credentials") || strings.Contains(body, "client_credentials&") {
			t.Errorf("got %q", body)
		}
		other := cred
		other.GrantType = ""
		if cred.id("") == other.id("") {
			t.Error("tokens of two grant types are one")
		}
		if body, _ := sent(t, base); !strings.Contains(body, `"grant_type":"client_credentials"`) {
			t.Errorf("without one: got %q", body)
		}
		cred.GrantType = "a b"
		if err := cred.Validate(); err == nil {
			t.Error("a grant type of two words passes")
		}
	})
	t.Run("B2 two audiences", func(t *testing.T) {
		cred := FromOAuth2(&clientcredentials.Config{TokenURL: base.TokenURL, ClientID: "id", ClientSecret: "secret", EndpointParams: url.Values{"audience": {"a", "b"}}})
		if body, _ := sent(t, cred); !strings.Contains(body, "audience=a&audience=b") {
			t.Errorf("got %q", body)
		}
		cred.Encoding = JSON
		if body, _ := sent(t, cred); !strings.Contains(body, `"audience":["a","b"]`) {
			t.Errorf("got %q", body)
		}
		one := cred
		one.Params = url.Values{"audience": {"a", "c"}}
		if cred.id("") == one.id("") {
			t.Error("tokens of other audiences are one")
		}
		cred.Audience = "c"
		if err := cred.Validate(); err == nil {
			t.Error("an audience beside several passes")
		}
		cred.Audience, cred.Params = "", url.Values{"audience": {"a"}}
		if err := cred.Validate(); err == nil {
			t.Error("one audience among the parameters passes, and has a field")
		}
	})
	t.Run("B3 a certificate authority of its own", func(t *testing.T) {
		err := newRequestError(endpoint.Answer{Err: x509.UnknownAuthorityError{}}, endpoint.Verdict{Class: endpoint.ClassUnreachable}, time.Time{})
		if !strings.Contains(err.Error(), "RootCAs") {
			t.Errorf("got %v, want it to name the option", err)
		}
	})
	t.Run("B4 a header", func(t *testing.T) {
		cred := base
		cred.Header = http.Header{"user-agent": {"service/1"}, "X-Waf": {"a", "b"}}
		if _, header := sent(t, cred); header.Get("User-Agent") != "service/1" || len(header["X-Waf"]) != 2 {
			t.Errorf("got %v", header)
		}
		if cred.id("") != base.id("") {
			t.Error("a header makes another token")
		}
		for _, bad := range []http.Header{{"Authorization": {"x"}}, {"content-type": {"x"}}, {"host": {"x"}}, {"A b": {"x"}}, {"": {"x"}}, {"A": {"x\r\nB: y"}}, {"A:b": {"x"}}} {
			cred.Header = bad
			if err := cred.Validate(); err == nil || !strings.Contains(err.Error(), "Credentials.Header") {
				t.Errorf("%q: got %v, want an error", bad, err)
			}
		}
	})
	t.Run("B5 a secret that is not UTF-8", func(t *testing.T) {
		cred := base
		cred.ClientSecret = "a\xffb"
		if err := cred.Validate(); err == nil || !strings.Contains(err.Error(), "Credentials.Encoding") || strings.Contains(err.Error(), "\xff") {
			t.Errorf("got %v, want an error that names the encoding", err)
		}
		cred.Encoding = Form
		if body, _ := sent(t, cred); !strings.Contains(body, "client_secret=a%FFb") {
			t.Errorf("got %q", body)
		}
	})
	t.Run("B6 Basic that is not encoded", func(t *testing.T) {
		cred := base
		cred.ClientSecret = "a+b/c=%&:ä"
		for encoding, want := range map[Encoding]string{FormBasic: url.QueryEscape(cred.ClientSecret), FormBasicPlain: cred.ClientSecret} {
			cred.Encoding = encoding
			body, header := sent(t, cred)
			if got := header.Get("Authorization"); got != "Basic "+base64.StdEncoding.EncodeToString([]byte("id:"+want)) || strings.Contains(body, "client_secret") {
				t.Errorf("%v: got %q and %q", encoding, got, body)
			}
			if !cred.request().Echoed(fmt.Sprint("x ", header.Get("Authorization"))) {
				t.Errorf("%v: an echo of the header is not noticed", encoding)
			}
		}
	})
}

// TestReportAPI has what APIs answer.
func TestReportAPI(t *testing.T) {
	answer := func(status int, challenge string, body io.ReadCloser) *http.Response {
		h := http.Header{}
		if challenge != "" {
			h.Set("WWW-Authenticate", challenge)
		}
		return &http.Response{StatusCode: status, Header: h, Body: body, ContentLength: -1}
	}
	empty := func() io.ReadCloser { return http.NoBody }
	for _, row := range []struct {
		name      string
		options   Options
		status    int
		challenge string
		requests  int // of tokens, in all
	}{
		{"C1 insufficient_scope", Options{}, 401, `Bearer realm="x", error="insufficient_scope", scope="y"`, 1},
		{"C1 without quotes, in capitals", Options{}, 401, `bearer ERROR=Insufficient_Scope`, 1},
		{"C1 after the description", Options{}, 401, `Bearer error_description="an error", error="insufficient_scope"`, 1},
		{"C1 invalid_request", Options{}, 401, `Bearer error="invalid_request"`, 1},
		{"C1 more authentication", Options{}, 401, `Bearer error="insufficient_user_authentication", acr_values="x"`, 1},
		{"C1 invalid_token", Options{}, 401, `Bearer error="invalid_token"`, 2},
		{"C1 an error that is unknown", Options{}, 401, `Bearer error="insufficient_scopes"`, 2},
		{"C1 another scheme", Options{}, 401, `Basic realm="x"`, 2},
		{"C1 no challenge", Options{}, 401, ``, 2},
		{"C4 403, as it is", Options{}, 403, ``, 1},
		{"C4 403, as an option", Options{TokenRefused: func(resp *http.Response) bool { return resp.StatusCode == 403 }}, 403, ``, 2},
		{"C4 419, as an option", Options{TokenRefused: func(resp *http.Response) bool { return resp.StatusCode == 419 }}, 419, ``, 2},
		{"C4 401, with an option", Options{TokenRefused: func(*http.Response) bool { return false }}, 401, ``, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			story(t, &auth0test.Config{PerHour: 42}, row.options, func(f *fleet) {
				r := f.start(1)[0]
				f.token(r)
				time.Sleep(time.Minute) // a token that is older than seconds
				calls := 0
				client := &http.Client{Transport: r.source.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
					if calls++; calls == 1 {
						return answer(row.status, row.challenge, empty()), nil
					}
					return answer(200, "", empty()), nil
				}))}
				resp, err := client.Get("https://api.test/")
				if err != nil {
					f.t.Fatal(err)
				}
				want := 200
				if row.requests == 1 {
					want = row.status
				}
				if resp.StatusCode != want {
					f.t.Errorf("got status %d, want %d", resp.StatusCode, want)
				}
				f.want(row.requests)
			})
		})
	}
	for _, row := range []struct {
		name     string
		cfg      auth0test.Config
		renewed  bool          // the token that is refused is the second
		refused  time.Duration // how long the API refuses a new token
		requests int
	}{
		{"C3 a new token is refused for two seconds", auth0test.Config{}, false, 2 * time.Second, 1},
		{"C3 a new token is refused for two seconds, after a renewal", auth0test.Config{}, true, 2 * time.Second, 2},
		{"C3 a new token is refused for long, after a renewal", auth0test.Config{}, true, 4 * time.Second, 2},
		{"C3 a token is refused for good", auth0test.Config{}, false, time.Hour, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.cfg.TTL, row.cfg.PerHour = time.Hour, 42
			story(t, &row.cfg, Options{}, func(f *fleet) {
				r := f.start(1)[0]
				known := map[string]time.Time{} // when the API saw a token first
				if row.renewed {
					old := f.token(r)
					known[old] = time.Time{}
					for f.token(r) == old {
						time.Sleep(time.Second)
					}
				}
				calls := 0
				client := &http.Client{Transport: r.source.Transport(roundTripper(func(req *http.Request) (*http.Response, error) {
					calls++
					token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
					if _, ok := known[token]; !ok {
						known[token] = time.Now()
						if row.refused == time.Hour && len(known) > 1 {
							known[token] = time.Time{}
						}
					}
					if time.Since(known[token]) < row.refused {
						return answer(401, `Bearer error="invalid_token"`, empty()), nil
					}
					return answer(200, "", empty()), nil
				}))}
				began := time.Now()
				resp, err := client.Get("https://api.test/")
				if err != nil {
					f.t.Fatal(err)
				}
				if took := time.Since(began); row.renewed && took > 0 {
					f.t.Errorf("it took %v, although the token before is valid", took)
				}
				if resp.StatusCode != 200 || calls < 2 {
					f.t.Errorf("got status %d after %d calls, want 200, and that the first is refused", resp.StatusCode, calls)
				}
				f.want(row.requests)
			})
		})
	}
	t.Run("C3 the token before a rotation is not used again", func(t *testing.T) {
		t.Parallel()
		story(t, &auth0test.Config{PerHour: 42}, Options{}, func(f *fleet) {
			r := f.start(1)[0]
			f.token(r)
			if err := r.source.Rotate(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
			if r.source.held.Load().previous.Load() != nil {
				f.t.Error("it is kept")
			}
		})
	})
	for _, age := range []time.Duration{0, time.Minute} { // while it may not be known yet, and later
		t.Run(fmt.Sprint("C2 a body that never ends, of a token that is old: ", age), func(t *testing.T) {
			t.Parallel()
			story(t, &auth0test.Config{PerHour: 42}, Options{}, func(f *fleet) {
				r := f.start(1)[0]
				f.token(r)
				time.Sleep(age)
				stalled, closed := io.Pipe()
				defer closed.Close()
				calls := 0
				client := &http.Client{Transport: r.source.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
					if calls++; calls == 1 {
						return answer(401, "", stalled), nil
					}
					return answer(200, "", empty()), nil
				}))}
				ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
				defer cancel()
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.test/", nil)
				start := time.Now()
				if resp, err := client.Do(req); err != nil || resp.StatusCode != 200 || time.Since(start) > time.Second {
					f.t.Errorf("got %v after %v, want the replay at once", err, time.Since(start))
				}
				if _, err := closed.Write([]byte("x")); err == nil {
					f.t.Error("the first body was not closed")
				}
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }
