package endpoint

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
)

func jwt(exp any) string {
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%v}`, exp))
	return "eyJhbGciOiJub25lIn0." + payload + ".c2ln"
}

func TestParseToken(t *testing.T) {
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name, body string
		life       time.Duration
		err        string
	}{
		{"as documented", `{"access_token":"ey.A-0_~+/==","expires_in":86400,"token_type":"Bearer"}`, 24 * time.Hour, ""},
		{"lower-case type", `{"access_token":"a","expires_in":60,"token_type":"bearer"}`, time.Minute, ""},
		{"no type", `{"access_token":"a","expires_in":60}`, time.Minute, ""},
		{"another type", `{"access_token":"a","expires_in":60,"token_type":"mac"}`, 0, "not Bearer"},
		{"a type that is no text", `{"access_token":"a","expires_in":60,"token_type":7}`, time.Minute, ""},
		{"a string of digits", `{"access_token":"a","expires_in":"3600"}`, time.Hour, ""},
		{"a fraction is cut off", `{"access_token":"a","expires_in":3600.9}`, time.Hour, ""},
		{"an exponent", `{"access_token":"a","expires_in":1e3}`, 1000 * time.Second, ""},
		{"longer than tokens live", `{"access_token":"a","expires_in":1e10}`, bearer.MaxLifetime, ""},
		{"more than a duration holds", `{"access_token":"a","expires_in":9223372036854775807}`, bearer.MaxLifetime, ""},
		{"more than a float holds", `{"access_token":"a","expires_in":1e999}`, bearer.MaxLifetime, ""},
		{"zero", `{"access_token":"a","expires_in":0}`, 0, "DefaultLifetime"},
		{"negative", `{"access_token":"a","expires_in":-5}`, 0, "DefaultLifetime"},
		{"words", `{"access_token":"a","expires_in":"soon"}`, 0, "DefaultLifetime"},
		{"not a number", `{"access_token":"a","expires_in":"NaN"}`, 0, "DefaultLifetime"},
		{"a list", `{"access_token":"a","expires_in":[60]}`, 0, "DefaultLifetime"},
		{"none, and the token does not tell", `{"access_token":"a"}`, 0, "DefaultLifetime"},
		{"none, and the token tells", `{"access_token":"` + jwt(date.Add(time.Hour).Unix()) + `"}`, time.Hour, ""},
		{"longer than the token's own life", `{"access_token":"` + jwt(date.Add(time.Hour).Unix()) + `","expires_in":86400}`, time.Hour, ""},
		{"shorter than the token's own life", `{"access_token":"` + jwt(date.Add(time.Hour).Unix()) + `","expires_in":60}`, time.Minute, ""},
		{"the token is over already", `{"access_token":"` + jwt(date.Add(-time.Hour).Unix()) + `","expires_in":86400}`, 0, "expired"},
		{"the token's own life is nonsense", `{"access_token":"` + jwt(`"x"`) + `","expires_in":60}`, time.Minute, ""},
		{"the token's own life is endless", `{"access_token":"` + jwt("1e300") + `","expires_in":60}`, time.Minute, ""},
		{"no token", `{"expires_in":60}`, 0, "no access_token"},
		{"empty token", `{"access_token":"","expires_in":60}`, 0, "no access_token"},
		{"a token that is a number", `{"access_token":7,"expires_in":60}`, 0, "no access_token"},
		{"newline in the token", `{"access_token":"a\nb","expires_in":60}`, 0, "Authorization header"},
		{"blank in the token", `{"access_token":"a b","expires_in":60}`, 0, "Authorization header"},
		{"tab in the token", `{"access_token":"a\tb","expires_in":60}`, 0, "Authorization header"},
		{"NUL in the token", `{"access_token":"a\u0000","expires_in":60}`, 0, "Authorization header"},
		{"a letter beyond ASCII", `{"access_token":"é","expires_in":60}`, 0, "Authorization header"},
		{"marks of every kind", `{"access_token":"00D!AQ#^|~=b,;\"","expires_in":60}`, time.Minute, ""},
		{"a huge token", `{"access_token":"` + strings.Repeat("a", bearer.MaxSize+1) + `","expires_in":60}`, 0, "more than"},
		{"an error in it", `{"access_token":"a","expires_in":60,"error":"x"}`, 0, "an error in it"},
		{"an error that is null", `{"access_token":"a","expires_in":60,"error":null}`, time.Minute, ""},
		{"no JSON", `<html>`, 0, "not a JSON object"},
		{"a list", `[]`, 0, "not a JSON object"},
		{"null", `null`, 0, "not a JSON object"},
		{"nothing", ``, 0, "not a JSON object"},
		{"cut", `{"access_token":"a","expires`, 0, "not a JSON object"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g, err := parseToken([]byte(row.body), date, 0)
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Fatalf("got %+v, %v, want an error with %q", g, err, row.err)
				}
				if strings.Contains(err.Error(), "soon") || strings.Contains(err.Error(), "html") {
					t.Errorf("the error shows the Body: %v", err)
				}
				return
			}
			if err != nil || g.Lifetime != row.life || g.Type != "Bearer" {
				t.Errorf("got life %v, type %q, %v, want %v, Bearer", g.Lifetime, g.Type, err, row.life)
			}
			if _, ok := g.Extra["access_token"]; ok {
				t.Error("the token is among the further fields")
			}
		})
	}
}

func TestTokenKeepsTheRest(t *testing.T) {
	g, err := parseToken([]byte(`{"access_token":"a","expires_in":60,"scope":"read write","org":{"id":1}}`), time.Time{}, 0)
	if err != nil || g.Extra["scope"] != "read write" || g.Extra["expires_in"] != 60.0 || g.Extra["org"] == nil {
		t.Errorf("got %v, %v", g.Extra, err)
	}
}

func FuzzParseToken(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","expires_in":60,"token_type":"Bearer"}`, `{"access_token":"` + jwt(1e9) + `"}`, `{}`, `[`, `{"expires_in":1e999}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		g, err := parseToken([]byte(body), time.Unix(1e9, 0), 0)
		if err == nil && (!bearer.Valid(g.AccessToken) || g.Lifetime < time.Second || g.Lifetime > bearer.MaxLifetime || g.Type != "Bearer") {
			t.Errorf("parseToken(%q): got %+v", body, g)
		}
		var response map[string]any
		_ = json.Unmarshal([]byte(body), &response)
		for name, value := range response { // as it is, or as an error
			text, _ := value.(string)
			if err != nil && len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Errorf("parseToken(%q): %v shows %s", body, err, name)
			}
		}
		if _, has := g.Extra["access_token"]; has {
			t.Errorf("parseToken(%q): the token is among the further fields", body)
		}
	})
}

// A number that is none to Go must not make a token that cannot be shared.
func TestTokenWithNumbersThatAreNone(t *testing.T) {
	g, err := parseToken([]byte(`{"access_token":"a","expires_in":60,"huge":1e999,"deep":{"huge":1e999,"list":[1e999,2]}}`), time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(g.Extra)
	if want := `{"deep":{"list":[null,2]},"expires_in":60}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// TestThreat tells what comes of a threat; its number is that of TestThreat in tokencache.
func TestThreat(t *testing.T) {
	t.Run("S21 a header injected by a token", func(t *testing.T) {
		for c := range rune(0x180) {
			good := c > ' ' && c <= '~'
			for _, token := range []string{"a" + string(c) + "b", string(c) + "ab", "ab" + string(c), "ab" + string(c) + "=="} {
				response, _ := json.Marshal(map[string]any{"access_token": token, "expires_in": 60})
				if g, err := parseToken(response, time.Time{}, 0); (err == nil) != good {
					t.Errorf("%q: got %q, %v", token, g.AccessToken, err)
				}
			}
		}
	})
}
