package replica

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A Refused is a token request that brought no token.
type Refused struct {
	Priority quota.Priority
	Reason   Reason
	Blocks   []quota.Block

	// Err makes the error for callers, given when the fleet asks next.
	Err func(retryAt time.Time) error
}

// RequestFailed applies the answer to a request that brought no token. Callers do not
// notice as long as a token is valid.
func (s *State) RequestFailed(now Instant, id int, r Refused, random float64) {
	until := s.addLocalBlocks(now, r.Blocks, random)
	if denied := s.Blocked(now, id); denied != nil { // the fleet's block may last longer
		until = now.Mono + denied.RetryIn
	}
	err := r.Err(s.wall(now, until-now.Mono))
	s.notify(Notice{Kind: RequestFailed, ID: id, Err: err, Reason: r.Reason, Held: s.Tokens[id].Held})
	s.applyFailure(now, id, Failure{Err: err, Until: until}, r.Priority == quota.Forced || s.Tokens[id].Insist)
}

// Denied notes that the ledger denied a request. If it denies the whole client every
// request, the replica's other tokens need not take the lease to be denied the same.
func (s *State) Denied(now Instant, id int, denied *quota.DeniedError) {
	if denied.Priority == quota.Need && (denied.Count > 0 || denied.Reason == quota.Spent) {
		s.keepBlock(now, *denied)
	}
	s.deny(now, id, denied)
}

// deny puts off a request that may not be sent yet.
func (s *State) deny(now Instant, id int, denied *quota.DeniedError) {
	s.notify(Notice{Kind: RequestDenied, ID: id, Denied: denied, Held: s.Tokens[id].Held})
	s.applyFailure(now, id, Failure{Err: denied, Until: now.Mono + denied.RetryIn}, denied.Priority == quota.Forced || s.Tokens[id].Insist)
}

// applyFailure puts off the next request until a failure is over.
func (s *State) applyFailure(now Instant, id int, f Failure, forced bool) {
	s.expectBurst(f.Until)
	t := &s.Tokens[id]
	h := t.Held
	switch valid := h.Valid(now); {
	case valid && forced:
		// The token that there is must do until it is refused again: a forced
		// renewal is not repeated by itself.
		f.FailFast, f.NoRetry = true, true
		t.Refusal, t.Replace, t.Insist, t.Hold = f, "", false, Hold{}
	case valid:
		// What is refused to an early renewal may be granted to a greater need.
		at, age := f.Until, h.Age(now)
		for _, greater := range []time.Duration{h.Plan.Urgent, h.Plan.Expire} {
			if greater > age {
				at = min(at, now.Mono+greater-age)
			}
		}
		t.Hold = Hold{Until: max(at, now.Mono+time.Second)}
	default:
		s.setUnavailable(now, id, f)
		return
	}
	s.wake(id)
}

// deferRetry puts off the next fetch by a pause, after an error that has no end of its
// own.
func (s *State) deferRetry(now Instant, id int, err error, pause time.Duration) {
	t := &s.Tokens[id]
	f := Failure{Err: err, Until: now.Mono + pause, FailFast: true}
	if !t.Held.Valid(now) {
		s.setUnavailable(now, id, f)
		return
	}
	if t.Replace != "" {
		f.NoRetry = true
		t.Refusal, t.Replace, t.Insist = f, "", false
	}
	t.Hold = Hold{Until: f.Until}
	t.FetchAt = f.Until
	s.wake(id)
}

// setUnavailable notes why there is no token.
func (s *State) setUnavailable(now Instant, id int, f Failure) {
	t := &s.Tokens[id]
	f.CheckedAt = now.Mono
	t.Failure, t.FetchAt, t.Polls = f, 0, 0
	s.wake(id)
}
