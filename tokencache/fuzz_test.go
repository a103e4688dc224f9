package tokencache

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
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64/2), int64(maxLife), int64(-maxLife), int64(maxLife))
	f.Fuzz(func(t *testing.T, renewBefore, request, ttl, left, age int64) {
		// As Options and parseGrant let them be.
		terms := terms{renewBefore: within(renewBefore, 0, math.MaxInt64), request: within(request, int64(minRequestTimeout), math.MaxInt64/2)}
		terms.lease = 2 * terms.request
		life := within(ttl, int64(time.Millisecond), int64(maxLife))
		remains := within(left, -int64(maxLife), int64(life))
		old := within(age, 0, int64(2*maxLife))

		window, leeway, spread := terms.window(life), leeway(life), terms.spread(life)
		if window < 0 || window > life/2 || leeway < 0 || leeway > life/20 || leeway > 10*time.Second || spread < 0 || spread > window/10 {
			t.Errorf("%+v, life %v: window %v, leeway %v, spread %v", terms, life, window, leeway, spread)
		}
		p := terms.planFor(life, remains)
		if p.renew > p.urgent || p.urgent > p.expire || p.expire > remains || p.expire < remains-10*time.Second {
			t.Errorf("%+v, life %v, %v left: plan %+v", terms, life, remains, p)
		}
		now, any := p.need(old)
		later, anyLater := p.need(old + 1)
		if any && !anyLater || any && later > now { // the smaller the number, the greater the need
			t.Errorf("plan %+v: the need at %v is %v, %v, and then %v, %v", p, old, now, any, later, anyLater)
		}
		if any != (old >= p.renew) || (any && now == quota.Need) != (old >= p.expire) {
			t.Errorf("plan %+v: the need at %v is %v, %v", p, old, now, any)
		}
	})
}

// A pause after failures is bounded, never nothing, and does not get shorter by
// failing again.
func FuzzPause(f *testing.F) {
	f.Add(1, int64(100*time.Millisecond), int64(time.Second), 0.5)
	f.Add(1<<40, int64(time.Second), int64(math.MaxInt64/4), 0.999)
	f.Fuzz(func(t *testing.T, failures int, first, most int64, luck float64) {
		n := int(within(int64(failures), 1, 1000))
		base := within(first, 10, math.MaxInt64/8)
		limit := within(most, int64(base), math.MaxInt64-4096) // which a float cannot tell from the next
		if !(luck >= 0 && luck < 1) {
			luck = 0.5 // rand.Float64 gives no other
		}
		got, next := backoff(n, base, limit, luck), backoff(n+1, base, limit, luck)
		const rounding = 1024
		if got < base/10 || got-limit > rounding || got-next > rounding {
			t.Errorf("backoff(%d, %v, %v, %v): got %v, and then %v", n, base, limit, luck, got, next)
		}
	})
}

// A token's expiry is never later than its life counted from when it was asked
// for, and its age is what the clock says that says more.
func FuzzExpiry(f *testing.F) {
	f.Add(int64(1700000000000), int64(5*time.Millisecond), int64(time.Second), int64(24*time.Hour))
	f.Add(int64(1), int64(0), int64(0), int64(1))
	f.Fuzz(func(t *testing.T, clock, read, left, ttl int64) {
		const year = int64(365 * 24 * time.Hour)
		now := int64(within(clock, 1, 9e15))
		seen, sent, life := within(read, 0, year), within(left, 0, year), within(ttl, int64(time.Second), int64(maxLife))
		// Redis showed now at some moment before seen; the request left at sent.
		began := time.Unix(1e9, 0)
		x := expiry(now, began.Add(seen), began.Add(sent), life)
		if lived := sent - seen + life; x > now+max(lived.Milliseconds(), 0) || x < now+lived.Milliseconds()-1 {
			t.Errorf("expiry(%d, %v, %v, %v): got %d", now, seen, sent, life, x)
		}
		if sent <= seen && x > now+life.Milliseconds() {
			t.Errorf("expiry(%d, %v, %v, %v): got %d, which is later than a whole life", now, seen, sent, life, x)
		}
		if age := ageBy(seen, sent); age < seen || age < sent {
			t.Errorf("ageBy(%v, %v): got %v", seen, sent, age)
		}
		r := record{expires: x, body: body{TTL: life.Milliseconds()}}
		if left := min(millis(r.expires-now), r.ttl()); left > life {
			t.Errorf("%v is left of a life of %v", left, life)
		}
	})
}
