package tokencache

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A token says itself when it ends, and expires_in says something else: it lives
// for the shorter of the two. Neither clock of the server needs to be right, as
// the one is measured by the other.
func TestTokenSaysWhenItEnds(t *testing.T) {
	for _, row := range []struct {
		name      string
		expiresIn string // raw JSON
		own       time.Duration
		off       time.Duration // of the server's clock
	}{
		{"it ends first", `"expires_in":36000,`, 5 * time.Hour, 0},
		{"it ends last", `"expires_in":18000,`, 10 * time.Hour, 0},
		{"it alone says it", ``, 5 * time.Hour, 0},
		{"a server ahead of time", `"expires_in":36000,`, 5 * time.Hour, 5 * time.Minute},
		{"a server behind", `"expires_in":36000,`, 5 * time.Hour, -5 * time.Minute},
	} {
		t.Run(row.name, func(t *testing.T) {
			story(t, nil, Options{}, func(f *fleet) {
				var mu sync.Mutex
				ends := map[string]time.Time{}
				f.tenant.Inject(-1, auth0test.Fault{Name: "a JWT", Handler: func(w http.ResponseWriter, _ *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					now := time.Now()
					claims := fmt.Sprintf(`{"exp":%d,"jti":"%d"}`, now.Add(row.own+row.off).Unix(), len(ends))
					token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmVk"
					ends[token] = now.Add(5 * time.Hour)
					w.Header().Set("Date", now.Add(row.off).UTC().Format(http.TimeFormat))
					fmt.Fprintf(w, `{"access_token":%q,%s"token_type":"Bearer"}`, token, row.expiresIn)
				}})
				f.start(3)
				for range 20*12 - 1 { // at twenty hours, the next is due
					for _, r := range f.replicas {
						tok, err := r.source.Token(f.t.Context())
						if err != nil {
							f.t.Fatal(err)
						}
						mu.Lock()
						if left := time.Until(ends[tok.AccessToken]); left <= 0 {
							f.t.Errorf("%s serves a token that was over %v ago", r.name, -left)
						}
						mu.Unlock()
					}
					time.Sleep(5 * time.Minute)
				}
				f.want(5) // it is renewed every four hours
			})
		})
	}
}
