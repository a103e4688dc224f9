package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A weather is a transport on a bad day: answers take long, lose their header or
// get lost.
type weather struct {
	base     http.RoundTripper
	stripped float64 // share of answers without a header
	lost     float64 // share of answers that never come

	unheard *atomic.Int32 // refusals among those
}

func (w *weather) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// The answer is on its way for 40 to 4,400 ms, and is read whole before.
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	time.Sleep(time.Duration(40+rand.IntN(4360)) * time.Millisecond)
	switch luck := rand.Float64(); {
	case err != nil || luck < w.lost:
		if resp.StatusCode == http.StatusTooManyRequests {
			w.unheard.Add(1)
		}
		return nil, errors.New("the connection was lost")
	case luck < w.lost+w.stripped:
		resp.Header.Del(quota.ClientHeader)
	}
	return resp, nil
}

// needless counts the refusals that the fleet could have known of: those after
// an answer of the same window that said that nothing is left, or that refused.
func needless(requests auth0test.Ledger) int {
	n := 0
	spentUntil := time.Time{}
	for _, r := range requests {
		if r.Status == http.StatusTooManyRequests && r.Arrived.Before(spentUntil) {
			n++
		}
		if r.Status == http.StatusTooManyRequests || strings.Contains(r.ClientQuota, "r=0;") {
			spentUntil = r.Arrived.Truncate(time.Hour).Add(time.Hour)
		}
	}
	return n
}

// TestScenarios has a fleet of eight that is started all at once with sixty
// tokens to get, more than its quota. That is where naive ways of sharing a
// quota are refused a dozen times: see the package documentation of quota.
func TestScenarios(t *testing.T) {
	for _, row := range []struct {
		name    string
		cfg     auth0test.Config
		weather weather
		foreign bool
		within  time.Duration // in which the tokens are asked for
		refused int           // how often the fleet may be refused: what nobody can know
	}{
		{"exact counting", auth0test.Config{PerHour: 42, PerDay: 100}, weather{}, false, time.Second, 0},
		{"the count lags", auth0test.Config{PerHour: 42, PerDay: 100, Lag: 2 * time.Second}, weather{}, false, time.Second, 0},
		{"somebody else uses the client", auth0test.Config{PerHour: 42, PerDay: 100}, weather{}, true, time.Second, 2},
		{"answers get lost", auth0test.Config{PerHour: 42, PerDay: 100}, weather{lost: 0.05}, false, time.Second, 0},
		{"headers get lost", auth0test.Config{PerHour: 42, PerDay: 100}, weather{stripped: 0.3}, false, time.Second, 0},
		{"a burst", auth0test.Config{PerHour: 42, PerDay: 100}, weather{}, false, 50 * time.Millisecond, 0},
		{"a small quota", auth0test.Config{PerHour: 5, PerDay: 100}, weather{}, false, 50 * time.Millisecond, 0},
		{"a quota that is only watched", auth0test.Config{PerHour: 42, PerDay: 100, Monitor: true}, weather{}, false, time.Second, 0},
	} {
		for _, enforced := range []bool{true, false} {
			if enforced && (row.cfg.Monitor || testing.Short()) {
				continue // whoever says that it is enforced is taken at their word
			}
			t.Run(fmt.Sprintf("%s, enforced known: %v", row.name, enforced), func(t *testing.T) {
				t.Parallel()
				cfg := row.cfg
				story(t, &cfg, Options{EnforcedQuota: enforced, RequestTimeout: 10 * time.Second}, func(f *fleet) {
					tokens := size(60, 30)
					replicas := size(8, 3)
					end := time.Now().Add(3 * time.Hour)
					ctx, cancel := context.WithDeadline(f.t.Context(), end)
					defer cancel()
					var wg sync.WaitGroup
					var got, unheard atomic.Int32
					for _, r := range f.start(replicas) {
						w := row.weather
						w.base, w.unheard = f.tenant.Transport(), &unheard
						r.cache.rt = &w
						for i := range tokens {
							cred := f.credentials()
							cred.Audience = fmt.Sprintf("api-%d", i)
							s, err := r.cache.Source(cred)
							if err != nil {
								f.t.Fatal(err)
							}
							wg.Go(func() {
								time.Sleep(rand.N(row.within))
								for ctx.Err() == nil {
									if _, err := s.Token(ctx); err == nil {
										got.Add(1)
										return
									}
									time.Sleep(time.Minute)
								}
							})
						}
					}
					if row.foreign {
						wg.Go(func() {
							for time.Now().Before(end.Add(-time.Hour)) {
								time.Sleep(time.Duration(rand.IntN(600)) * time.Second)
								f.tenant.Consume(1)
							}
						})
					}
					wg.Wait()
					time.Sleep(time.Until(end))

					requests := f.tenant.Requests()
					refused := requests.Answered(http.StatusTooManyRequests)
					allowed := row.refused + int(unheard.Load())
					if !enforced && !row.cfg.Monitor {
						allowed++ // the one that finds out that the quota is enforced
					}
					if refused > allowed {
						f.t.Errorf("was refused %d times, want at most %d", refused, allowed)
					}
					if n := needless(requests); n > allowed-row.refused {
						f.t.Errorf("was refused %d times in vain", n)
					}
					if n := requests.MaxConcurrent(); n > 1 {
						f.t.Errorf("got %d requests at once, want 1", n)
					}
					want := replicas * tokens
					if row.cfg.PerHour == 5 {
						want = replicas * 5 * 3
					}
					if n := int(got.Load()); n < want {
						f.t.Errorf("got %d tokens in three hours, want %d", n, want)
					}
					if row.cfg.Monitor {
						if last := requests[tokens-1].Arrived.Sub(requests[0].Arrived); last > 10*time.Minute {
							f.t.Errorf("a quota that is only watched held up the fleet for %v", last)
						}
					}
				})
			})
		}
	}
}
