package replica

import (
	"errors"
	"fmt"
	"time"
)

// Check returns which invariants of the package documentation a state breaks, and nil
// if it keeps all. Tests call it after every transition.
func (s *State) Check(now Instant) error {
	var errs []error
	broken := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for id := range s.Tokens {
		t := &s.Tokens[id]
		h := t.Held
		if p := h.Plan; h.Exists() && (p.Renew > p.Urgent || p.Urgent > p.Expire || p.Expire > h.Remaining || h.Remaining > h.Record.Lifetime) {
			broken("I1: token %d has a plan %v that its remaining life %v of %v does not allow", id, p, h.Remaining, h.Record.Lifetime)
		}
		if (h.Record.Issued == 0) != (h.Record.Expires == 0) || h.Record.Expires == 0 && t.Shared {
			broken("I2: token %d is dated %d to %d, shared %v", id, h.Record.Issued, h.Record.Expires, t.Shared)
		}
		if t.Replace != "" && (t.Replace != h.Record.Token || t.Refusal.Err != nil) {
			broken("I3: token %d is to be replaced, and is not the one that is held, or that was refused", id)
		}
		if t.Waiting < 0 {
			broken("I4: %d callers wait for token %d", t.Waiting, id)
		}
		at, due := t.Due(now)
		if t.HasWaiters(now) && t.Blocking(now) && !due {
			broken("I5: callers wait for token %d, and nothing is due", id)
		}
		if due && at > now.Mono+longestWait {
			broken("I6: token %d is due only in %v", id, at-now.Mono)
		}
	}
	for i, b := range s.Blocks {
		for _, other := range s.Blocks[:i] {
			if other.Denied.Scope == b.Denied.Scope {
				broken("I7: two blocks of %s", b.Denied.Scope)
			}
		}
	}
	if len(s.Reports) > maxReports {
		broken("I8: %d reports are queued", len(s.Reports))
	}
	if n := len(s.Outage.Sent); n > s.Terms.RedisDownRequests {
		broken("I9: %d requests were sent in an hour without Redis, of %d", n, s.Terms.RedisDownRequests)
	}
	return errors.Join(errs...)
}

// longestWait is longer than any token lives, and any block lasts.
const longestWait = 31 * 24 * time.Hour

// CheckStep returns which invariants the step from one state to the next breaks.
func CheckStep(before, after *State, now Instant) error {
	var errs []error
	for id := range before.Tokens {
		b, a := &before.Tokens[id], &after.Tokens[id]
		old, h := b.Held.Record, a.Held.Record
		if b.Held.Valid(now) && old.Expires != 0 && h.Expires != 0 && h.Compare(old) < 0 {
			errs = append(errs, fmt.Errorf("S1: token %d went back from one issued at %d to one of %d", id, old.Issued, h.Issued))
		}
		if a.MinIssued < b.MinIssued {
			errs = append(errs, fmt.Errorf("S2: token %d may be one issued at %d again", id, a.MinIssued))
		}
		if b.Held.Exists() && !a.Held.Exists() {
			errs = append(errs, fmt.Errorf("S3: token %d is lost", id))
		}
		if same := old.Token == h.Token && old.Issued == h.Issued; same && a.Held.Remaining > b.Held.atMost(a.Held.Since) {
			errs = append(errs, fmt.Errorf("S4: token %d had %v left, and has %v", id, b.Held.Left(now), a.Held.Left(now)))
		}
	}
	return errors.Join(errs...)
}
