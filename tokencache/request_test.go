package tokencache

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
)

// What spoils an answer in the middle costs one request, and is not repeated at
// once.
func TestSpoiltAnswers(t *testing.T) {
	for _, row := range []struct {
		name  string
		fault auth0test.Fault
		class Class
	}{
		{"hangs", auth0test.Hang(), ClassNoAnswer},
		{"cut before the answer", auth0test.Cut(), ClassNoAnswer},
		{"cut in the body", auth0test.Fault{CutBody: true}, ClassNoAnswer},
		{"a byte at a time", auth0test.Fault{Trickle: time.Second}, ClassNoAnswer},
		{"lost", auth0test.LostAnswer(), ClassNoAnswer},
		{"a page", auth0test.Fault{Status: 200, Body: "<html>"}, ClassMalformed},
		{"no life", auth0test.Field("expires_in", "0"), ClassMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			story(t, &auth0test.Config{PerHour: 42}, Options{}, func(f *fleet) {
				f.tenant.Inject(1, row.fault)
				r := f.start(1)[0]
				ctx, cancel := context.WithTimeout(f.t.Context(), 10500*time.Millisecond)
				defer cancel()
				start := time.Now()
				_, err := r.source.Token(ctx)
				if took := time.Since(start); took > 10500*time.Millisecond {
					f.t.Errorf("took %v, want to be bounded by the request's ten seconds", took)
				}
				if err != nil { // it was too late for a second attempt
					failed, ok := errors.AsType[*RequestError](err)
					if !ok || failed.Class != row.class {
						f.t.Errorf("got %v, want class %s", err, row.class)
					}
				}
				time.Sleep(time.Minute)
				f.token(r)
				requests := f.tenant.Requests()
				if len(requests) != 2 || requests[1].Arrived.Sub(requests[0].Arrived) < time.Second {
					f.t.Errorf("want two requests, a second or more apart:\n%v", requests)
				}
				synctest.Wait()
				status, err := r.source.Status(f.t.Context())
				if err != nil {
					f.t.Fatal(err)
				}
				if w, _ := status.Quota.Find(quota.Client, quota.PerHour); w.Used != 2 && row.class == ClassNoAnswer {
					f.t.Errorf("got %d used, want 2: what is lost may be issued", w.Used)
				}
			})
		})
	}
}

func TestFromOAuth2(t *testing.T) {
	conf := &clientcredentials.Config{
		ClientID: "id", ClientSecret: "secret", TokenURL: "https://tenant.test/oauth/token", Scopes: []string{"b", "a"},
		EndpointParams: url.Values{"audience": {"api"}, "organization": {"org"}, "resource": {"x", "y"}},
	}
	cred := FromOAuth2(conf)
	if cred.ClientID != "id" || cred.ClientSecret != "secret" || cred.Audience != "api" || cred.Organization != "org" || cred.Encoding != Form ||
		len(cred.Params) != 1 || len(cred.Params["resource"]) != 2 || len(cred.Scopes) != 2 {
		t.Errorf("got %+v of %+v", cred.Params, cred)
	}
	if err := cred.validate(false); err != nil {
		t.Error(err)
	}
	if len(conf.EndpointParams) != 3 {
		t.Error("the configuration was changed")
	}
	conf.AuthStyle = oauth2.AuthStyleInHeader
	if got := FromOAuth2(conf).Encoding; got != FormBasic {
		t.Errorf("AuthStyleInHeader: got encoding %d, want FormBasic", got)
	}
	if got := FromOAuth2(&clientcredentials.Config{}); len(got.Params) != 0 {
		t.Errorf("of nothing: got %v", got.Params)
	}
}

func TestBadCredentials(t *testing.T) {
	good := Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "id", ClientSecret: "canary-secret"}
	for _, row := range []struct {
		name     string
		spoil    func(*Credentials)
		loopback bool
		want     string // empty: it is fine
	}{
		{"good", func(*Credentials) {}, false, ""},
		{"no URL", func(c *Credentials) { c.TokenURL = "" }, false, "TokenURL is empty"},
		{"no URL at all", func(c *Credentials) { c.TokenURL = "https://[" }, false, "not a URL"},
		{"a host alone", func(c *Credentials) { c.TokenURL = "tenant.test" }, false, "https://"},
		{"no host", func(c *Credentials) { c.TokenURL = "https:///oauth/token" }, false, "no host"},
		{"a password in the URL", func(c *Credentials) { c.TokenURL = "https://u:canary-secret@tenant.test/" }, false, "password"},
		{"a fragment", func(c *Credentials) { c.TokenURL = "https://tenant.test/#x" }, false, "fragment"},
		{"no id", func(c *Credentials) { c.ClientID = "" }, false, "ClientID is empty"},
		{"a blank after the id", func(c *Credentials) { c.ClientID = "id " }, false, "ClientID has a blank"},
		{"no secret", func(c *Credentials) { c.ClientSecret = "" }, false, "ClientSecret is empty"},
		{"a newline after the secret", func(c *Credentials) { c.ClientSecret = "canary-secret\n" }, false, "a newline at one end"},
		{"an unknown encoding", func(c *Credentials) { c.Encoding = 7 }, false, "Encoding is 7"},
		{"two scopes in one", func(c *Credentials) { c.Scopes = []string{"a b"} }, false, "Scopes"},
		{"an empty scope", func(c *Credentials) { c.Scopes = []string{""} }, false, "Scopes"},
		{"a parameter with a field", func(c *Credentials) { c.Params = url.Values{"audience": {"x"}} }, false, "Params"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cred := good
			row.spoil(&cred)
			err := cred.validate(row.loopback)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
	err := Credentials{}.validate(false)
	if n := len(strings.Split(err.Error(), "\n")); n != 3 {
		t.Errorf("of empty credentials: got %d complaints, want all 3 at once: %v", n, err)
	}
}

// Equal credentials are one Source, and different ones never share a token.
func TestWhichTokenItIs(t *testing.T) {
	good := Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "id", ClientSecret: "secret", Audience: "api", Scopes: []string{"a", "b"}}
	base := good.id("")
	for name, same := range map[string]func(*Credentials){
		"another secret":               func(c *Credentials) { c.ClientSecret = "other" },
		"another encoding":             func(c *Credentials) { c.Encoding = Form },
		"scopes in another order":      func(c *Credentials) { c.Scopes = []string{"b", "a"} },
		"a scope twice":                func(c *Credentials) { c.Scopes = []string{"b", "a", "b"} },
		"empty parameters and not nil": func(c *Credentials) { c.Params = url.Values{} },
	} {
		cred := good
		same(&cred)
		if cred.id("") != base {
			t.Errorf("%s is another token, want the same", name)
		}
	}
	seen := map[string]string{base: "good"}
	for name, other := range map[string]func(*Credentials){
		"another URL":                 func(c *Credentials) { c.TokenURL += "/" },
		"another client":              func(c *Credentials) { c.ClientID = "other" },
		"another audience":            func(c *Credentials) { c.Audience = "api/" },
		"audience and organization":   func(c *Credentials) { c.Organization = "x" },
		"the organization for itself": func(c *Credentials) { c.Audience, c.Organization = "", "api" },
		"fewer scopes":                func(c *Credentials) { c.Scopes = []string{"a"} },
		"one scope of the same text":  func(c *Credentials) { c.Scopes = []string{"ab"} },
		"a parameter":                 func(c *Credentials) { c.Params = url.Values{"x": {"1"}} },
		"another parameter":           func(c *Credentials) { c.Params = url.Values{"x": {"2"}} },
	} {
		cred := good
		other(&cred)
		if twin, ok := seen[cred.id("")]; ok {
			t.Errorf("%s is the same token as %s", name, twin)
		}
		seen[cred.id("")] = name
	}
	if good.id("key1") == good.id("key2") {
		t.Error("sealed by different derived keys, it is the same record")
	}

	story(t, nil, Options{}, func(f *fleet) {
		cache := f.start(1)[0].cache
		a, err1 := cache.Source(good)
		b, err2 := cache.Source(good)
		other := good
		other.Audience = "other"
		c, err3 := cache.Source(other)
		if err := errors.Join(err1, err2, err3); err != nil || a != b || a == c {
			f.t.Errorf("got %p, %p, %p, %v, want the first two to be one", a, b, c, err)
		}
		if a.client != c.client {
			f.t.Error("two tokens of one client do not share its lease and quota")
		}
	})
}

// What fails before there is a connection was not sent, whoever is to blame.
func TestProxyFails(t *testing.T) {
	rt := endpoint.NewTransport(nil)
	rt.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no such proxy") }
	cred := Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "test-client", ClientSecret: "test-secret"}
	a := cred.request().Send(t.Context(), rt)
	if v := endpoint.Classify(a, endpoint.Scopes{}); a.Sent || v.Class != endpoint.ClassUnreachable || v.Outcome != quota.Unsent {
		t.Errorf("got %v, %v, %q, want a request that was not sent", a.Sent, v.Outcome, v.Class)
	}
	// A transport of another kind does not tell.
	a = cred.request().Send(t.Context(), tripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no such proxy") }))
	if v := endpoint.Classify(a, endpoint.Scopes{}); !a.Sent || v.Outcome != quota.Unknown {
		t.Errorf("got %v, %v, want a request that may have been sent", a.Sent, v.Outcome)
	}
}
