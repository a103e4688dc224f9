package tokencache

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// This file decides when, from durations alone. It reads no clock.

// terms are what a cache's options say about time.
type terms struct {
	renewBefore time.Duration // zero: windowOf decides
	request     time.Duration // a token request's deadline
	lease       time.Duration // how long a lease lasts
}

// A plan is the life of one token in one replica's memory, as ages: how long
// since it was measured.
//
//	0 ────────────── renew ──────────── urgent ───────── expire
//	      fresh              stale: serve, and renew      │ expired: never served
//	                    Early    │       Expiring         │
type plan struct {
	renew, urgent, expire time.Duration
}

// planFor returns the plan for a token with a lifetime of ttl, of which left
// remains.
func (t terms) planFor(ttl, left time.Duration) plan {
	window := t.window(ttl)
	p := plan{renew: left - window, urgent: left - window/4, expire: left - leeway(ttl)}
	p.urgent = min(p.urgent, p.expire)
	p.renew = min(p.renew, p.urgent)
	return p
}

// window is how long before its expiry a token of this lifetime is renewed, W.
// It buys time to survive an outage of the token endpoint with, at the price of
// H/(TTL-W) - H/TTL more requests in a time H. An hour of the ten to twenty-four
// that tokens usually live is a good bargain; short lives give a quarter.
func (t terms) window(ttl time.Duration) time.Duration {
	if t.renewBefore > 0 {
		return max(min(t.renewBefore, ttl/2), 2*leeway(ttl))
	}
	return min(ttl/4, time.Hour)
}

// leeway is how long before its expiry a token is no longer served. It has to
// travel to the API and be checked there, by a clock that is not ours.
func leeway(ttl time.Duration) time.Duration { return min(ttl/20, 10*time.Second) }

// spread is how far apart the replicas look for a new token, J: each at a
// moment of its own in the first J of the window. Three renewers in a row may
// die, each taking its lease and a request's time with it, before the token
// expires.
func (t terms) spread(ttl time.Duration) time.Duration {
	window := t.window(ttl)
	return min(window/10, max(window-3*(t.lease+t.request), window/20))
}

// need is how badly a source needs a token request, given how old what it holds
// is. Not at all is false.
func (p plan) need(age time.Duration) (quota.Priority, bool) {
	switch {
	case age >= p.expire:
		return quota.Need, true
	case age >= p.urgent:
		return quota.Expiring, true
	case age >= p.renew:
		return quota.Early, true
	}
	return 0, false
}

// backoff is how long to wait after the n-th failure in a row, n from 1, with
// luck from 0 to 1: a random part of a bound that doubles (full jitter), so that
// those who failed together do not come back together.
func backoff(n int, base, limit time.Duration, luck float64) time.Duration {
	bound := base
	for range n - 1 {
		if bound > limit/2 { // twice that may be more than a duration can be
			bound = limit
			break
		}
		bound *= 2
	}
	bound = min(bound, limit)
	return bound/10 + time.Duration(luck*float64(bound-bound/10))
}
