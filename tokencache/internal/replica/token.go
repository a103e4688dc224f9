package replica

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A Reason says why a token request is made.
type Reason string

// The reasons for token requests. Expiring and Early are the priorities of those
// names.
const (
	Cold        Reason = "cold"        // there is no valid token
	Expiring    Reason = "expiring"    // it is about to expire
	Early       Reason = "early"       // it is in its renewal window
	Invalidated Reason = "invalidated" // an API refused it
	Rotated     Reason = "rotated"     // an operator replaces it
	Damaged     Reason = "damaged"     // the record in Redis cannot be read
)

// A Token is what a replica knows of the fleet's token for one set of
// credentials. All its times are of the monotonic clock.
type Token struct {
	// Key names the token in the fleet. Two Tokens of one State may share it:
	// they are two ways to request one token.
	Key    string
	Scopes []quota.Scope // whose blocks hold back its requests

	Closed bool // it is wanted no longer
	Gone   bool // and nothing is left of it: another one may have its id

	Held   Held
	Used   bool // a caller got this token
	Shared bool // the fleet has it

	// MinIssued is the earliest issue that may be adopted, Unix milliseconds by
	// the clock of Redis.
	MinIssued int64

	Waiting     int           // callers that wait
	RecentUntil time.Duration // until then, a caller that gave up still counts as waiting

	// Replace identifies the access token to be replaced although it is valid,
	// and Why says for which reason.
	Replace string
	Why     Reason
	Insist  bool // an operator replaces it, also beyond the budget for that

	Failure Failure // why there is no token
	Refusal Failure // why the valid one was not replaced

	Hold    Hold          // a renewal is put off
	FetchAt time.Duration // a fetch is wanted then, whatever else; 0: none is
	Heard   int           // the subscription that was open when the last fetch or probe was sent
	Probes  int           // in a row, since the last fetch
	Polls   int           // in a row, while another replica holds the lease
}

// A Hold puts off the refresh of a token.
type Hold struct {
	Until time.Duration
	Cold  bool // there was no valid token; once there is, or was, it does not apply
}

// HasWaiters reports whether callers wait for a token, or gave up a short time
// ago: what an impatient caller began is finished for the next one.
func (t *Token) HasWaiters(now Instant) bool { return t.Waiting > 0 || now.Mono < t.RecentUntil }

// Blocking reports whether callers have to wait for a refresh.
func (t *Token) Blocking(now Instant) bool {
	return !t.Closed && t.HasWaiters(now) && (t.Replace != "" || !t.Held.Valid(now))
}

// Failing reports whether there is no token, and it is known why.
func (t *Token) Failing(now Instant) bool {
	return !t.Held.Valid(now) && t.Failure.Stands(now.Mono)
}

// Idle reports whether no caller would miss a new token: one is valid and was
// never used, or none is and no caller waits, or it is wanted no longer.
func (t *Token) Idle(now Instant) bool {
	if t.Closed {
		return true
	}
	if t.Held.Valid(now) {
		return !t.Used && t.Replace == "" && t.Shared
	}
	return !t.HasWaiters(now)
}

// Need returns how badly a token request is needed now, and why. It returns false
// if none is. An age that is only estimated needs a measurement first.
func (t *Token) Need(now Instant) (quota.Priority, Reason, bool) {
	h := t.Held
	if t.Closed {
		return 0, "", false
	}
	if !h.Valid(now) {
		return quota.Need, Cold, t.HasWaiters(now)
	}
	if t.Replace == h.Record.Token {
		return quota.Forced, t.Why, true
	}
	if h.Estimated() || h.Age(now) < h.Look {
		return 0, "", false
	}
	priority, any := h.Plan.Need(h.Age(now))
	return priority, Reason(priority.String()), any
}

// Due returns when the token wants a refresh, by the monotonic clock: in the past
// if it is due. It returns false if it does not.
func (t *Token) Due(now Instant) (time.Duration, bool) {
	if t.Idle(now) {
		return 0, false
	}
	var at time.Duration
	switch valid := t.Held.Valid(now); {
	case valid && t.Replace == "":
		at = max(now.Mono+t.Held.Look-t.Held.Age(now), t.Hold.Until)
	case t.Failing(now):
		at = t.Failure.Next()
	case valid || t.Hold.Cold:
		at = t.Hold.Until
	}
	if t.FetchAt != 0 {
		at = min(at, t.FetchAt)
	}
	return at, true
}

// fetchBy asks for a fetch at a time, or earlier if one is wanted earlier.
func (t *Token) fetchBy(at time.Duration) {
	at = max(at, 1) // zero is none
	if t.FetchAt == 0 || at < t.FetchAt {
		t.FetchAt = at
	}
}

// replace asks for another token than the one that is held.
func (t *Token) replace(why Reason) {
	if t.Replace != t.Held.Record.Token {
		t.Replace, t.Why, t.Insist, t.Refusal, t.Hold = t.Held.Record.Token, why, false, Failure{}, Hold{}
	}
}
