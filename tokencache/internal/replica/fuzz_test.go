package replica

import (
	"math"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// within brings any number there is between two.
func within(n, from, to int64) time.Duration {
	if n >= from && n <= to {
		return time.Duration(n)
	}
	return time.Duration(from + int64(uint64(n)%uint64(to-from+1)))
}

// Whatever a token's life and the options are, it is renewed before it is urgent,
// and urgent before it is over, which is before its end; the need only grows; and
// replicas look within the window.
func FuzzPlan(f *testing.F) {
	f.Add(int64(0), int64(10*time.Second), int64(24*time.Hour), int64(24*time.Hour), int64(time.Hour))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64/2), int64(maxLifetime), int64(-maxLifetime), int64(maxLifetime))
	f.Fuzz(func(t *testing.T, renewBefore, request, ttl, left, age int64) {
		// As Options and package endpoint let them be.
		terms := Terms{RenewBefore: within(renewBefore, 0, math.MaxInt64), RequestTimeout: within(request, int64(500*time.Millisecond), math.MaxInt64/2)}
		terms.Lease = 2 * terms.RequestTimeout
		life := within(ttl, int64(time.Millisecond), int64(maxLifetime))
		remains := within(left, -int64(maxLifetime), int64(life))
		old := within(age, 0, int64(2*maxLifetime))

		window, leeway, spread := terms.Window(life), Leeway(life), terms.Spread(life)
		if window < 0 || window > life/2 || leeway < 0 || leeway > life/20 || leeway > 10*time.Second || spread < 0 || spread > window/10 {
			t.Errorf("%+v, life %v: window %v, leeway %v, spread %v", terms, life, window, leeway, spread)
		}
		p := terms.PlanFor(life, remains)
		if p.Renew > p.Urgent || p.Urgent > p.Expire || p.Expire > remains || p.Expire < remains-10*time.Second {
			t.Errorf("%+v, life %v, %v left: plan %+v", terms, life, remains, p)
		}
		now, any := p.Need(old)
		later, anyLater := p.Need(old + 1)
		if any && !anyLater || any && later > now { // the smaller the number, the greater the need
			t.Errorf("plan %+v: the need at %v is %v, %v, and then %v, %v", p, old, now, any, later, anyLater)
		}
		if any != (old >= p.Renew) || (any && now == quota.Need) != (old >= p.Expire) {
			t.Errorf("plan %+v: the need at %v is %v, %v", p, old, now, any)
		}
	})
}

// A pause after failures is bounded, never nothing, and does not get shorter by
// failing again.
func FuzzBackoff(f *testing.F) {
	f.Add(1, int64(100*time.Millisecond), int64(time.Second), 0.5)
	f.Add(1<<40, int64(time.Second), int64(math.MaxInt64/4), 0.999)
	f.Fuzz(func(t *testing.T, failures int, first, most int64, luck float64) {
		n := int(within(int64(failures), 1, 1000))
		base := within(first, 10, math.MaxInt64/8)
		limit := within(most, int64(base), math.MaxInt64-4096) // which a float cannot tell from the next
		if !(luck >= 0 && luck < 1) {
			luck = 0.5 // rand.Float64 gives no other
		}
		got, next := Backoff(n, base, limit, luck), Backoff(n+1, base, limit, luck)
		const rounding = 1024
		if got < base/10 || got-limit > rounding || got-next > rounding {
			t.Errorf("Backoff(%d, %v, %v, %v): got %v, and then %v", n, base, limit, luck, got, next)
		}
	})
}

// A token's expiry is never later than its lifetime counted from when it was requested,
// and its age is what the clock says that says more.
func FuzzExpiry(f *testing.F) {
	f.Add(int64(1700000000000), int64(5*time.Millisecond), int64(time.Second), int64(24*time.Hour))
	f.Add(int64(1), int64(0), int64(0), int64(1))
	f.Fuzz(func(t *testing.T, clock, read, left, ttl int64) {
		const year = int64(365 * 24 * time.Hour)
		redis := int64(within(clock, 1, 9e15))
		seen, sent, life := within(read, 0, year), within(left, 0, year), within(ttl, int64(time.Second), int64(maxLifetime))
		// Redis showed its clock at some time before seen; the request left at sent.
		s := State{Terms: usual}
		id := s.Add("t", nil)
		now := Instant{Mono: max(seen, sent), Wall: max(seen, sent)}
		issue := Issue{Record: Record{Token: "a", Lifetime: life}, Now: redis, Admitted: Instant{Mono: seen}, Sent: Instant{Mono: sent}}
		r, _ := s.Issued(now, Request{ID: id}, issue, 0)
		if lived := sent - seen + life; r.Expires > redis+max(lived.Milliseconds(), 0) || r.Expires < redis+lived.Milliseconds()-1 {
			t.Errorf("clock %d, seen %v, sent %v, life %v: expires at %d", redis, seen, sent, life, r.Expires)
		}
		if sent <= seen && r.Expires > redis+life.Milliseconds() {
			t.Errorf("clock %d, seen %v, sent %v, life %v: expires at %d, which is later than a whole life", redis, seen, sent, life, r.Expires)
		}
		if age := (Instant{Mono: seen, Wall: sent}).Since(Instant{}); age < seen || age < sent {
			t.Errorf("by clocks of %v and %v: got an age of %v", seen, sent, age)
		}
	})
}

const maxLifetime = 30 * 24 * time.Hour
