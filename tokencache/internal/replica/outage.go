package replica

import (
	"fmt"
	"time"
)

// budget returns when the next token request may be sent although Redis is
// unreachable, and why not before. The zero time is now.
func (o *Outage) budget(now time.Duration, terms Terms) (at time.Duration, spent bool) {
	for len(o.Sent) > 0 && now-o.Sent[0] >= time.Hour {
		o.Sent = o.Sent[1:]
	}
	switch {
	case now < o.From:
		return o.From, false
	case len(o.Sent) >= terms.RedisDownRequests:
		return o.Sent[0] + time.Hour, true
	}
	return 0, false
}

// After maxHasty tries in a row, a Redis that refuses is asked once in refusedPause. It is no
// longer, since callers without a token fail meanwhile, also when Redis is back.
const (
	maxHasty     = 3
	refusedPause = 2 * time.Second
)

// RedisFailed notes that a refresh of some tokens could not use Redis. A valid
// token is served on, and Redis is tried again later. Without one, callers get
// the error, unless RequestBeyondRedis lets this replica ask all the same: it
// returns the tokens for which that is to be found out. A Redis error is never
// treated as a held lease or a missing token. replied is set if Redis answered, and
// refused: after some tries it is asked less often, for it may go on refusing, as a replica
// without a primary does.
func (s *State) RedisFailed(now Instant, ids []int, err error, replied bool, random float64) (beyond []int) {
	s.Outage.Failures++
	s.expectBurst(now.Mono)
	n := s.Outage.Failures
	if n == 1 {
		s.Outage.From = now.Mono + part(s.Terms.RedisDownSpread, random)
		s.notify(Notice{Kind: RedisDown, Err: err})
	}
	for _, id := range ids {
		t := &s.Tokens[id]
		t.Polls = 0
		switch h := t.Held; {
		case t.Failing(now):
			s.checked(now, id)
		case h.Valid(now):
			// The less is left, the more often: a single try shortly before the end
			// may be in vain.
			left := h.Plan.Expire - h.Age(now)
			s.deferRetry(now, id, err, Backoff(n, time.Second, min(20*time.Second, max(left/4, 100*time.Millisecond)), random))
		case t.HasWaiters(now) && s.Terms.RedisDownRequests > 0:
			beyond = append(beyond, id)
		default:
			pause := Backoff(n, 100*time.Millisecond, time.Second, random)
			if replied && n > maxHasty {
				pause = refusedPause
			}
			s.deferRetry(now, id, err, pause)
		}
	}
	return beyond
}

// RedisWorked notes that Redis did all that it was asked to. That it can be read
// is not enough: without a primary, or without memory, nothing can be written.
func (s *State) RedisWorked() {
	if n := s.Outage.Failures; n > 0 {
		s.Outage.Failures = 0
		s.notify(Notice{Kind: RedisUp, Failures: n})
	}
}

// RequestBeyondRedis reports whether this replica may send a token request although
// Redis is unreachable, and charges it to the budget. Otherwise it notes what callers
// get: down is the error of Redis.
func (s *State) RequestBeyondRedis(now Instant, id int, down error, random float64) bool {
	if denied := s.Blocked(now, id); denied != nil { // costs nothing of the budget
		s.deny(now, id, denied)
		return false
	}
	at, spent := s.Outage.budget(now.Mono, s.Terms)
	if at == 0 {
		s.Outage.Sent = append(s.Outage.Sent, now.Mono)
		return true
	}
	why := fmt.Errorf("%w; this replica sends a token request all the same at %s", down, clock(s.wall(now, at-now.Mono)))
	if spent {
		why = fmt.Errorf("%w, and this replica's budget of %d token requests an hour while Redis is unreachable is spent", down, s.Terms.RedisDownRequests)
	}
	again := now.Mono + Backoff(s.Outage.Failures, time.Second, 5*time.Second, random) // Redis may be back first
	s.setUnavailable(now, id, Failure{Err: why, Until: min(at, again), BudgetAt: at})
	return false
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
