package tokencache

import (
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
		if !strings.Contains(err.Error(), "Options.RootCAs") {
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
