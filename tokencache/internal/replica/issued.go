package replica

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A Request is a token request that is about to be made.
type Request struct {
	ID       int
	Priority quota.Priority // to account it under
	Reason   Reason
	Forced   bool // it replaces a token that is valid

	Before    Record // what was held when it was decided
	MinIssued int64  // the earliest issue that might be adopted then
}

// Request returns the token request that a token needs now. It returns false if it
// needs none any more: those who waited have left.
func (s *State) Request(now Instant, id int, p Problem) (Request, bool) {
	t := &s.Tokens[id]
	priority, reason, any := t.Need(now)
	r := Request{ID: id, Forced: priority == quota.Forced, Before: t.Held.Record, MinIssued: t.MinIssued}
	r.Priority, r.Reason = t.account(p, priority, reason)
	return r, any
}

// An Issue is an access token that a request has brought.
type Issue struct {
	Record Record  // without its times
	Sent   Instant // before the request was sent

	// Now is what the clock of Redis showed when the request was admitted, at
	// Admitted or earlier. Zero if Redis was unreachable.
	Now      int64
	Admitted Instant
}

// Issued applies the answer to a request. It returns the record that the fleet is to
// have, and whether this replica has adopted it. It has not if it knows of a token that
// was issued later: the lease was lost, or Redis was unreachable, and a late answer
// outranks none.
func (s *State) Issued(now Instant, req Request, issue Issue, random float64) (Record, bool) {
	t := &s.Tokens[req.ID]
	r := issue.Record
	r.Forced = req.Forced
	if issue.Now != 0 {
		// It counts as issued when it was admitted, but after the one that it
		// replaces, also if the clock of Redis went back in between.
		r.Issued = max(issue.Now, req.MinIssued)
		if req.Before.Token != "" {
			r.Issued = max(r.Issued, req.Before.Issued+1)
		}
		if h := t.Held.Record; h.Token == req.Before.Token { // it may have been dated since
			r.Issued = max(r.Issued, h.Issued+1)
		}
		r.Expires = issue.Now + (issue.Sent.Mono - issue.Admitted.Mono + r.Lifetime).Milliseconds()
	}
	s.dropBlocks(t.Scopes)
	if h := t.Held; h.Valid(now) && h.Record.Token != req.Before.Token && h.Record.Compare(r) > 0 {
		return r, false
	}
	s.adopt(now, req.ID, r, r.Lifetime, issue.Sent, requested, random)
	s.notify(Notice{Kind: Adopted, ID: req.ID, Held: t.Held, Requested: true})
	if issue.Now == 0 {
		t.fetchBy(now.Mono + Backoff(1, time.Second, time.Second, random)) // until the fleet has it
	}
	return r, true
}

// Committed notes whether the fleet has a record that Issued returned. It has not if
// another replica was faster: the lease was lost.
func (s *State) Committed(now Instant, id int, r Record, kept bool) {
	t := &s.Tokens[id]
	if !kept {
		t.fetchBy(now.Mono)
		return
	}
	if h := t.Held.Record; h.Token == r.Token && h.Issued == r.Issued {
		t.Shared = true
	}
	s.wake(id)
}

// CommitFailed notes that Redis did not take a record. The next fetch writes it back.
func (s *State) CommitFailed(now Instant, id int, random float64) {
	s.Tokens[id].fetchBy(now.Mono + Backoff(1, time.Second, time.Second, random))
}
