package tokencache

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// The provider shortens the life of tokens, to less than the renewal window of
// those that are there. Then the newer one has to win, although it expires
// earlier.
func TestTokensBeginToLiveShorter(t *testing.T) {
	story(t, &auth0test.Config{TTL: 24 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		f.together(f.start(20))
		f.serve(23*time.Hour-time.Minute, time.Hour)
		f.want(1)
		f.tenant.Update(func(c *auth0test.Config) { c.TTL = 30 * time.Minute })
		f.serve(2*time.Minute, time.Second)
		if got := f.requests() - 1; got > 2 {
			f.t.Errorf("got %d token requests in two minutes, want 2 at most", got)
		}
		f.serve(56*time.Minute, time.Second)
		if got := f.requests() - 1; got > 4 {
			f.t.Errorf("got %d token requests in an hour, want 4 at most", got)
		}
	})
}

// RenewBefore suits tokens of 24 hours, and they live 10.
func TestRenewBeforeIsLongerThanTokensLive(t *testing.T) {
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{RenewBefore: 12 * time.Hour}, func(f *fleet) {
		f.together(f.start(3))
		f.serve(time.Hour, time.Second)
		if got := f.requests(); got > 2 {
			f.t.Errorf("got %d token requests in the first hour of a token of 10 h, want 2 at most", got)
		}
	})
}

// The machine sleeps while the answer is on its way.
func TestSleepDuringRequest(t *testing.T) {
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		var slept atomic.Int64
		r.cache.wall = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
		base := f.tenant.Transport()
		r.cache.rt = tripper(func(req *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(req)
			slept.Store(int64(9 * time.Hour))
			return resp, err
		})
		issued := time.Now()
		tok, err := r.source.Token(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		if truth := issued.Add(10 * time.Hour); tok.Expiry.After(truth.Add(time.Second)) {
			f.t.Errorf("the token expires at %v, and is served until %v", truth.UTC(), tok.Expiry.UTC())
		}
	})
}

// A token is asked for past Redis; then the machine sleeps; then Redis is back.
func TestSleepAfterDirect(t *testing.T) {
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{Direct: &Direct{Spread: time.Second}}, func(f *fleet) {
		r := f.start(1)[0]
		var slept atomic.Int64
		r.cache.wall = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
		r.net.cut()
		issued := time.Now()
		f.token(r)
		synctest.Wait()
		slept.Store(int64(5 * time.Hour))
		f.m.SetTime(time.Now().Add(5 * time.Hour))
		r.net.mend()
		for range 10 {
			time.Sleep(time.Second)
			_, _ = r.source.Token(f.t.Context())
		}
		truth := issued.Add(10 * time.Hour)
		if got := r.source.held.Load().token.Expiry; got.After(truth.Add(time.Minute)) {
			f.t.Errorf("the token expires at %v, and this replica serves it until %v", truth.UTC(), got.UTC())
		}
		var ms int64
		fmt.Sscan(f.m.HGet(r.source.key, "expires"), &ms)
		if got := time.UnixMilli(ms); got.After(truth.Add(time.Minute)) {
			f.t.Errorf("the token expires at %v, and the fleet is told %v", truth.UTC(), got.UTC())
		}
	})
}

// The clock of Redis goes back, as by a failover to a host whose clock is behind.
// A newcomer may then believe a token to live longer than it does, but for no
// longer than a token lives; and nobody asks for more tokens than before, although
// what is issued now seems to be older than what was there. Those who had the
// token know better.
func TestRedisClockIsSetBack(t *testing.T) {
	for _, by := range []time.Duration{2 * time.Second, 5 * time.Hour, 12 * time.Hour, 48 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
				f.together(f.start(3))
				issued := time.Now()
				time.Sleep(time.Hour)
				behind := make(chan struct{})
				go func() { // the clock of miniredis stands still once it is set
					for {
						f.m.SetTime(time.Now().Add(-by))
						select {
						case <-time.After(time.Second):
						case <-behind:
							return
						}
					}
				}()
				defer close(behind)
				synctest.Wait()
				r := f.start(1)[0]
				tok, err := r.source.Token(f.t.Context())
				if err != nil {
					f.t.Fatal(err)
				}
				if got, want := tok.Expiry, issued.Add(10*time.Hour); got.After(want.Add(time.Hour + time.Minute)) {
					f.t.Errorf("expires at %v, is served until %v: %v from now, with a life of 10 h", want.UTC(), got.UTC(), time.Until(got))
				}
				r.close()
				f.replicas = f.replicas[:3]
				f.serve(29*time.Hour, 10*time.Second)
				if got := f.requests(); got > 4 {
					f.t.Errorf("got %d token requests in thirty hours, want 4 at most", got)
				}
			})
		})
	}
}
