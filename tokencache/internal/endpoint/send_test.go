package endpoint

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestNewRequest(t *testing.T) {
	cred := Request{
		URL: "https://tenant.test/oauth/token", ClientID: "id:1", ClientSecret: "s %+&=é", Audience: "api/", Organization: "org_1",
		Scopes: []string{"read", "write"}, Params: url.Values{"x": {"1"}, "y": {"2", "3"}},
	}
	read := func(c Request) (*http.Request, string) {
		t.Helper()
		req, err := c.newRequest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(req.Body)
		if req.Method != "POST" || req.URL.String() != cred.URL || req.ContentLength != int64(len(body)) {
			t.Errorf("got %s %s with %d bytes announced", req.Method, req.URL, req.ContentLength)
		}
		if req.GetBody != nil || req.Header.Get("Idempotency-Key") != "" || req.Header.Get("X-Idempotency-Key") != "" {
			t.Error("net/http could send the request twice")
		}
		return req, string(body)
	}

	t.Run("JSON", func(t *testing.T) {
		req, body := read(cred)
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil || req.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("got %s, %v", body, err)
		}
		for name, want := range map[string]string{"client_id": "id:1", "client_secret": "s %+&=é", "audience": "api/", "grant_type": "client_credentials", "organization": "org_1", "scope": "read write", "x": "1"} {
			if got[name] != want {
				t.Errorf("%s: got %v, want %q", name, got[name], want)
			}
		}
		if list, ok := got["y"].([]any); !ok || len(list) != 2 {
			t.Errorf("y: got %v, want both values", got["y"])
		}
	})
	t.Run("Form", func(t *testing.T) {
		cred := cred
		cred.Encoding = Form
		req, body := read(cred)
		got, err := url.ParseQuery(body)
		if err != nil || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Fatalf("got %s, %v", body, err)
		}
		if got.Get("client_secret") != "s %+&=é" || got.Get("scope") != "read write" || len(got["y"]) != 2 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("Basic", func(t *testing.T) {
		cred := cred
		cred.Encoding = Basic
		req, body := read(cred)
		id, secret, ok := req.BasicAuth()
		if !ok || id != "id%3A1" || secret != "s+%25%2B%26%3D%C3%A9" {
			t.Errorf("got %q and %q, want both encoded as in a form", id, secret)
		}
		if strings.Contains(body, "client_id") || strings.Contains(body, "client_secret") {
			t.Errorf("the credentials are in the body as well: %s", body)
		}
	})
	t.Run("the least", func(t *testing.T) {
		_, body := read(Request{URL: cred.URL, ClientID: "i", ClientSecret: "s"})
		if want := `{"client_id":"i","client_secret":"s","grant_type":"client_credentials"}`; body != want {
			t.Errorf("got %s, want %s", body, want)
		}
	})
}
