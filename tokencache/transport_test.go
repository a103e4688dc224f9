package tokencache

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

func TestTransport(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		client := f.client(r)
		body := strings.Repeat("x", 1<<16)
		post := func(body io.Reader) *http.Response {
			f.t.Helper()
			resp, err := client.Post(f.tenant.APIURL(), "text/plain", body)
			if err != nil {
				f.t.Fatal(err)
			}
			resp.Body.Close()
			return resp
		}
		if resp := post(strings.NewReader(body)); resp.StatusCode != http.StatusOK {
			f.t.Errorf("got %s", resp.Status)
		}
		time.Sleep(time.Minute) // or the token was issued seconds ago
		f.tenant.RevokeAll()
		if resp := post(strings.NewReader(body)); resp.StatusCode != http.StatusOK {
			f.t.Errorf("with a body that can be replayed: got %s", resp.Status)
		}
		calls := f.tenant.RecentAPICalls()
		for _, call := range calls {
			if !bytes.Equal(call.Body, []byte(body)) && call.Length != int64(len(body)) {
				f.t.Errorf("call %+v did not carry the whole body", call)
			}
		}
		if len(calls) != 3 {
			f.t.Errorf("got %d API calls, want 3: one, one refused, and its replay", len(calls))
		}
		time.Sleep(time.Minute)
		f.tenant.RevokeAll()
		if resp := post(io.MultiReader(strings.NewReader(body))); resp.StatusCode != http.StatusUnauthorized {
			f.t.Errorf("with a body that cannot be replayed: got %s, want the API's 401", resp.Status)
		}
		synctest.Wait()
		if resp := post(io.MultiReader(strings.NewReader(body))); resp.StatusCode != http.StatusOK {
			f.t.Errorf("the next one: got %s, want the refused token to have been replaced", resp.Status)
		}
		f.want(3)
	})
}

// A recorder notes what reaches it, and answers as told.
type recorder struct {
	answers map[string]*http.Response // by URL
	seen    []*http.Request
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.seen = append(r.seen, req)
	if req.Body != nil {
		_ = req.Body.Close()
	}
	resp, ok := r.answers[req.URL.String()]
	if !ok {
		resp = &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	}
	resp.Request = req
	return resp, nil
}

func redirect(to string) *http.Response {
	return &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {to}}, Body: http.NoBody}
}

// A closing body tells that it was closed, as RoundTrip must do also when it
// fails.
type closingBody struct {
	io.Reader
	closed atomic.Bool
}

func (b *closingBody) Close() error { b.closed.Store(true); return nil }

// Without a token nothing is sent, and the caller hears why.
func TestTransportWithoutToken(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		f.tenant.Inject(-1, auth0test.OAuthError(401, "access_denied", "Unauthorized"))
		base := &recorder{}
		body := &closingBody{Reader: strings.NewReader("x")}
		req, _ := http.NewRequestWithContext(f.t.Context(), "POST", "https://api.test/", body)
		_, err := f.start(1)[0].source.Transport(base).RoundTrip(req)
		failed, ok := errors.AsType[*RequestError](err)
		if !ok || failed.Class != ClassCredentials || !errors.Is(err, ErrNoToken) {
			f.t.Errorf("got %v, want that the credentials are wrong", err)
		}
		if len(base.seen) != 0 || !body.closed.Load() {
			f.t.Errorf("got %d requests, body closed: %v, want none, and the body closed", len(base.seen), body.closed.Load())
		}
	})
}

// A transport need not say which request a response is to. Then nobody knows where
// a redirect comes from, and the token stays here.
func TestRedirectFromNobodyKnowsWhere(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		leaked := false
		client := &http.Client{Transport: f.start(1)[0].source.Transport(tripper(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "elsewhere.test" {
				leaked = leaked || req.Header.Get("Authorization") != ""
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
			}
			return redirect("https://elsewhere.test/"), nil
		}))}
		resp, err := client.Get("https://api.test/")
		if err != nil {
			f.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if leaked {
			f.t.Error("the token went elsewhere")
		}
	})
}
