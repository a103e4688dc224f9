package tokencache

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// With Options.Subscribe, a token comes by a notification whose age is unknown: it is
// aged from when the subscription was opened, as much as a lease earlier. Short-lived
// tokens look due at once by that estimate. No token request is made for it.
func TestSubscribeWithShortLives(t *testing.T) {
	for _, row := range []struct {
		life, renewBefore, request time.Duration
		replicas                   int
		latency                    time.Duration
	}{
		{30 * time.Second, 0, 0, 2, 10 * time.Millisecond},
		{30 * time.Second, 0, 0, 10, 10 * time.Millisecond},
		{40 * time.Second, 20 * time.Second, 0, 10, 10 * time.Millisecond},
		{5 * time.Second, 0, 0, 5, 10 * time.Millisecond},
		{30 * time.Second, 0, 0, 5, 2 * time.Second},
		{20 * time.Second, 0, 500 * time.Millisecond, 5, 100 * time.Millisecond},
		{150 * time.Second, 0, time.Minute, 5, 100 * time.Millisecond},
		{10 * time.Minute, 0, time.Minute, 20, 100 * time.Millisecond},
		{10 * time.Hour, 0, 0, 10, 100 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d replicas, life %v, RenewBefore %v, RequestTimeout %v, latency %v", row.replicas, row.life, row.renewBefore, row.request, row.latency), func(t *testing.T) {
			t.Parallel()
			opts := Options{Subscribe: true, RenewBefore: row.renewBefore, RequestTimeout: row.request}
			story(t, &auth0test.Config{TTL: row.life, Latency: row.latency}, opts, func(f *fleet) {
				f.together(f.start(row.replicas))
				synctest.Wait()
				const lives = 10
				began := time.Now()
				f.serve(lives*row.life, row.life/20)
				period := row.life - f.replicas[0].cache.terms.Window(row.life)
				want := 1 + int(time.Since(began)/period)
				if got := f.requests(); got < want-lives/2 || got > want {
					f.t.Errorf("got %d token requests in %v, want %d: one for each %v", got, time.Since(began), want, period)
				}
			})
		})
	}
}
