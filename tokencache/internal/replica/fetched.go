package replica

import (
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A Step is what the refresh of a token does next.
type Step int

const (
	Done      Step = iota // nothing
	WriteBack             // give the fleet the token in memory
	Wait                  // for the replica that holds the lease
	Renew                 // under the lease
)

// String returns the name of the step.
func (s Step) String() string { return [...]string{"Done", "WriteBack", "Wait", "Renew"}[s] }

// A Context says what a decision may rely on.
type Context struct {
	// UnderLease is set if this replica holds the lease.
	UnderLease bool

	// Reported is set if a queued report was sent since the snapshot: what the
	// ledger denied may be granted after it.
	Reported bool

	// EncryptionKey is the error for callers if the record is encrypted with an
	// unknown key.
	EncryptionKey error
}

// Fetched applies a snapshot, and returns what the refresh of the token does next.
// After WriteBack, the refresh goes on with WroteBack.
func (s *State) Fetched(now Instant, id int, v Snapshot, in Context, random float64) Step {
	t := &s.Tokens[id]
	t.FetchAt, t.Heard, t.Probes = 0, v.Heard, 0
	s.mergeBlocks(now, v.Blocked)
	mine := s.merge(now, id, v, measured, random)
	switch v.Problem {
	case UnknownKey:
		s.notify(Notice{Kind: KeyUnknown, ID: id})
		s.deferRetry(now, id, in.EncryptionKey, time.Minute)
		return Done
	case DamagedRecord:
		s.notify(Notice{Kind: RecordDamaged, ID: id})
	}
	if mine {
		return WriteBack
	}
	return s.decide(now, id, v, in)
}

// maxProbes is how often in a row a cold replica probes before it fetches. One that has found
// the lease held so often fetches without a probe: a record is likely to be there by then.
const maxProbes = 2

// ColdStart reports whether a token is not here and callers wait for it, as when a whole
// fleet starts at once. As a rule, a probe of two keys then shows as much as a fetch: whether
// another replica renews already. It is not enough once anything else is known.
func (s *State) ColdStart(now Instant, id int) bool {
	t := &s.Tokens[id]
	return !t.Held.Exists() && t.HasWaiters(now) && t.Failure.Err == nil && max(t.Probes, t.Polls) < maxProbes &&
		len(s.Blocks) == 0 && len(s.Reports) == 0 && s.Outage.Failures == 0
}

// Probed notes that a probe found nothing to adopt. heard is the subscription that was
// open when it was sent.
func (s *State) Probed(id, heard int) {
	t := &s.Tokens[id]
	t.FetchAt, t.Heard = 0, heard
	t.Probes++
}

// Contended notes that another replica took the lease that a probe had found free. The next
// refresh fetches, since there is more to know: replicas that start together must not all
// take the lease, one after the other, to be denied the same.
func (s *State) Contended(id int) { s.Tokens[id].Probes = maxProbes }

// WroteBack notes whether the fleet has the token in memory, and goes on where
// Fetched left off.
func (s *State) WroteBack(now Instant, id int, kept bool, v Snapshot, in Context, random float64) Step {
	t := &s.Tokens[id]
	if kept {
		t.Shared = true
		s.notify(Notice{Kind: WrittenBack, ID: id})
	} else { // Redis failed, or another replica was faster
		t.fetchBy(now.Mono + Backoff(1, 5*time.Second, 5*time.Second, random))
	}
	return s.decide(now, id, v, in)
}

// decide returns what a refresh does after a fetch, but for writing back.
func (s *State) decide(now Instant, id int, v Snapshot, in Context) Step {
	t := &s.Tokens[id]
	priority, reason, any := t.Need(now)
	switch {
	case !any:
		t.Hold = Hold{}
		s.wake(id)
		return Done
	case !in.UnderLease && t.Failing(now): // the reason still stands, so to fetch was all there was to do
		s.checked(now, id)
		return Done
	case s.heldBack(now, id, priority):
		return Done
	}
	// The locker repairs a lease without an end, or with one that no Locker sets.
	leased := v.Lease > 0 && v.Lease <= s.Terms.Lease
	if !in.UnderLease && !leased && !in.Reported && s.deniedAlready(now, id, v, priority, reason) {
		return Done
	}
	if leased && !in.UnderLease {
		return Wait
	}
	return Renew
}

// checked notes that the fleet has no token yet, and the reason still stands.
func (s *State) checked(now Instant, id int) {
	s.Tokens[id].Failure.CheckedAt = now.Mono
	s.Tokens[id].FetchAt = 0
	s.wake(id)
}

// HeldBack reports whether a block holds back the token's request. If so, it is
// denied.
func (s *State) HeldBack(now Instant, id int) bool {
	priority, _, _ := s.Tokens[id].Need(now)
	return s.heldBack(now, id, priority)
}

func (s *State) heldBack(now Instant, id int, priority quota.Priority) bool {
	denied := s.Blocked(now, id)
	if denied == nil {
		return false
	}
	denied.Priority = priority
	s.deny(now, id, denied)
	return true
}

// deniedAlready reports whether the ledger has denied another replica what this one
// needs, and no request was answered since. Otherwise each replica of a fleet would
// take the lease, to be denied the same.
func (s *State) deniedAlready(now Instant, id int, v Snapshot, priority quota.Priority, reason Reason) bool {
	priority, _ = s.Tokens[id].account(v.Problem, priority, reason)
	for _, denied := range v.Denied {
		if denied.Priority == priority && slices.Contains(s.Tokens[id].Scopes, denied.Scope) {
			s.Denied(now, id, denied)
			return true
		}
	}
	return false
}

// account returns the priority to account a request under, and its reason. Replacing
// a damaged record is Forced, so whoever corrupts Redis cannot spend the whole quota.
func (t *Token) account(p Problem, priority quota.Priority, reason Reason) (quota.Priority, Reason) {
	switch {
	case p != Readable && priority == quota.Need:
		return quota.Forced, Damaged
	case t.Insist && priority == quota.Forced:
		return quota.Expiring, reason
	}
	return priority, reason
}

// LeaseHeld notes that another replica holds the lease for remaining. A token that is
// valid is served on, and fetched again when the lease would end: at a random time, so
// that not all replicas are next. Where callers wait, a notification comes first, or
// the fetch that does not rely on one.
func (s *State) LeaseHeld(now Instant, ids []int, remaining time.Duration, random float64) {
	turn := now.Mono + remaining + part(min(remaining/10, time.Second), random)
	for _, id := range ids {
		t := &s.Tokens[id]
		cold := !t.Held.Valid(now)
		t.Hold = Hold{Until: turn, Cold: cold}
		if !t.Blocking(now) {
			continue
		}
		t.Polls++
		t.Hold.Until = min(turn, now.Mono+s.Subscription.Poll(t.Polls))
		if s.Subscription.Open && t.Heard != s.Subscription.Number {
			t.fetchBy(now.Mono + s.Subscription.grace()) // what was published before it stood was missed
		}
	}
}
