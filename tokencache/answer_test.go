package tokencache

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// An answer holds a good token, and megabytes that nobody needs. It is not
// taken, and not read to its end.
func TestAnswerIsTooLarge(t *testing.T) {
	good := `{"access_token":"abc","token_type":"Bearer","expires_in":36000`
	pad := `,"pad":"` + strings.Repeat("x", 2<<20) + `"}`
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	_, _ = zip.Write([]byte(good + pad))
	_ = zip.Close()
	for _, fault := range []auth0test.Fault{
		{Name: "a field", Body: good + pad},
		{Name: "blanks after it", Body: good + "}" + strings.Repeat(" ", 2<<20)},
		{Name: "gzip", Body: bomb.String(), Header: http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"application/json"}}},
		{Name: "a header", Header: http.Header{"X-Large": {strings.Repeat("x", 1<<20)}}},
		{Name: "many headers", Header: http.Header{"X-Large": strings.Split(strings.Repeat("x", 20000), "")}},
	} {
		t.Run(fault.Name, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
				f.tenant.Inject(3, fault)
				r := f.start(1)[0]
				read := f.through(r)
				f.insist(r, time.Minute)
				f.token(r)
				f.want(4) // three of which brought nothing
				if got := read.Load(); got > 4*(128<<10) {
					f.t.Errorf("read %d bytes for 4 answers, want 128 KiB for each at most", got)
				}
			})
		})
	}
}

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
