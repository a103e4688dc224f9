package replica

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// Terms are the durations that the options of a cache set.
type Terms struct {
	// RenewBefore is how long before its expiry a token is renewed. Zero means
	// an hour, and a quarter of the lifetime of tokens that live less than four
	// hours.
	RenewBefore time.Duration

	// RequestTimeout bounds a token request.
	RequestTimeout time.Duration

	// Lease is how long a lease lasts.
	Lease time.Duration

	// RedisDownRequests is how many token requests this replica may send in an
	// hour while Redis is unreachable. Zero means none. The first of an outage
	// starts at a random time within RedisDownSpread.
	RedisDownRequests int
	RedisDownSpread   time.Duration
}

// A Plan divides the life of one token in the memory of one replica. Its fields
// are ages, counted from when the age was measured.
//
//	0 ────────────── Renew ──────────── Urgent ───────── Expire
//	      fresh              stale: served, and renewed     │ expired: never served
//	                    quota.Early  │  quota.Expiring      │ quota.Need
type Plan struct {
	Renew, Urgent, Expire time.Duration
}

// PlanFor returns the plan of a token with the given lifetime, of which remaining
// is left.
func (t Terms) PlanFor(lifetime, remaining time.Duration) Plan {
	window := t.Window(lifetime)
	p := Plan{Renew: remaining - window, Urgent: remaining - window/4, Expire: remaining - Leeway(lifetime)}
	p.Urgent = min(p.Urgent, p.Expire)
	p.Renew = min(p.Renew, p.Urgent)
	return p
}

// Window is how long before its expiry a token of this lifetime is renewed, W.
// It is the longest outage of the token endpoint that callers do not notice, and
// costs H/(TTL-W) - H/TTL more requests in a time H.
func (t Terms) Window(lifetime time.Duration) time.Duration {
	if t.RenewBefore > 0 {
		return max(min(t.RenewBefore, lifetime/2), 2*Leeway(lifetime))
	}
	return min(lifetime/4, time.Hour)
}

// Leeway is how long before its expiry a token is no longer served. It has to
// travel to the API, which checks it by a clock of its own.
func Leeway(lifetime time.Duration) time.Duration { return min(lifetime/20, 10*time.Second) }

// Spread is the first part of the window, J. Each replica fetches the new token
// at a random time in it. It leaves time for three lease holders in a row to die,
// each with its lease and a request's time, before the token expires.
func (t Terms) Spread(lifetime time.Duration) time.Duration {
	window := t.Window(lifetime)
	return min(window/10, max(window-3*(t.Lease+t.RequestTimeout), window/20))
}

// Need returns how badly a token request is needed for a token of this age. It
// returns false if none is.
func (p Plan) Need(age time.Duration) (quota.Priority, bool) {
	switch {
	case age >= p.Expire:
		return quota.Need, true
	case age >= p.Urgent:
		return quota.Expiring, true
	case age >= p.Renew:
		return quota.Early, true
	}
	return 0, false
}

// Backoff returns how long to wait after the n-th failure in a row, n from 1: a
// random part of a bound that doubles from base to limit, so that replicas that
// failed together do not return together. random is from 0 to 1.
func Backoff(n int, base, limit time.Duration, random float64) time.Duration {
	bound := base
	for range n - 1 {
		if bound > limit/2 { // doubling it might overflow
			bound = limit
			break
		}
		bound *= 2
	}
	bound = min(bound, limit)
	return bound/10 + part(bound-bound/10, random)
}

// part returns the given part of d, random from 0 to 1.
func part(d time.Duration, random float64) time.Duration {
	return time.Duration(random * float64(d))
}
