package replica

import (
	"errors"
	"time"
)

// ErrSameToken means that a token which was to be replaced was issued again.
var ErrSameToken = errors.New("the token endpoint issued the same token again")

// sameTokenRest is how long no other token is requested after that.
const sameTokenRest = 15 * time.Minute

// An origin says how a token came.
type origin int

const (
	measured  origin = iota // from Redis, together with the time
	estimated               // by a notification; its age is a bound
	requested               // this replica requested it
)

// adopt makes r the token in memory, of whose life remaining was left at since, at
// least. A token that is measured anew stays what it was, but for its age.
func (s *State) adopt(now Instant, id int, r Record, remaining time.Duration, since Instant, from origin, random float64) {
	t := &s.Tokens[id]
	old := t.Held
	same := old.Exists() && old.Record.Token == r.Token
	// The endpoint may issue an access token again, with a life of its own.
	again := same && old.Record.Expires > 0 && r.Issued > old.Record.Issued
	same = same && !again
	if same { // nothing makes a token live longer than was known
		remaining = min(remaining, old.atMost(since))
	}
	h := Held{Record: r, Since: since, Remaining: remaining, Plan: s.Terms.PlanFor(r.Lifetime, remaining)}
	if from == estimated { // it was published between since and now
		h.Slack = now.Mono - since.Mono
	}
	switch { // the lease holder looks first, so the others find the new token when they look
	case same: // the jitter is drawn once a token
		h.Jitter = old.Jitter
	case from != requested:
		h.Jitter = 1 + part(s.Terms.Spread(r.Lifetime), random)
	}
	h.Look = h.Plan.Renew + h.Jitter
	t.Held = h
	if same {
		t.Shared = t.Shared || from != requested
		return
	}
	t.Used, t.Shared = false, from != requested
	replaced := t.Replace != ""
	t.Insist = false
	t.Replace, t.Why, t.Failure, t.Refusal, t.Hold, t.FetchAt, t.Polls = "", "", Failure{}, Failure{}, Hold{}, 0, 0
	if again && replaced { // there is no other token, however often one asks
		t.Refusal = Failure{Err: ErrSameToken, Until: now.Mono + sameTokenRest, FailFast: true, NoRetry: true}
	}
	s.wake(id)
}

// Merge applies a snapshot without deciding what to do next.
func (s *State) Merge(now Instant, id int, v Snapshot, random float64) {
	s.merge(now, id, v, measured, random)
}

// merge takes the better of two tokens: the one in memory and the fleet's. It
// reports whether the one in memory is better, and the fleet is to have it.
func (s *State) merge(now Instant, id int, v Snapshot, from origin, random float64) bool {
	t := &s.Tokens[id]
	t.MinIssued = max(t.MinIssued, v.MinIssued)
	last := t.Held
	if h := t.Held; h.Valid(now) && h.Record.Expires == 0 { // requested while Redis was unreachable
		r := h.Record
		// What is left now was left when Redis read its clock: that was before.
		r.Expires = v.Now + h.Left(now).Milliseconds()
		r.Issued = r.Expires - r.Lifetime.Milliseconds()
		s.adopt(now, id, r, h.Remaining, h.Since, requested, random)
	}
	h := t.Held
	valid := h.Valid(now)
	if r := v.Record; r != nil && r.Issued >= t.MinIssued && (!valid || r.Compare(h.Record) >= 0) {
		// No token has more left than its whole life, whatever the clock of Redis
		// says: it may have been set back.
		remaining := min(millis(r.Expires-v.Now), r.Lifetime)
		// A newer one that has expired, as when the reply took that long, is no better.
		expired := now.Since(v.At) >= s.Terms.PlanFor(r.Lifetime, remaining).Expire
		if !valid || !expired || r.Token == h.Record.Token {
			s.adopt(now, id, *r, remaining, v.At, from, random)
			if t.Held.Record.Token != last.Record.Token {
				s.notify(Notice{Kind: Adopted, ID: id, Held: t.Held})
			}
			return false
		}
	}
	if !valid || v.Problem == UnknownKey {
		return false
	}
	if h.Estimated() && from == measured && v.At.Mono >= h.Since.Mono+h.Slack {
		// The clock of Redis measures it without the record, unless it was read before
		// this replica heard of the token: then the token may not have been issued yet.
		// Without a measurement it would be fetched again at once.
		s.adopt(now, id, h.Record, min(millis(h.Record.Expires-v.Now), h.Record.Lifetime), v.At, measured, random)
	}
	if h.Record.Issued < t.MinIssued { // rotated away, and its successor is lost
		s.Invalidate(now, id, h.Record.Token, Rotated)
		return false
	}
	return from == measured
}
