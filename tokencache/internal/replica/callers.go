package replica

import "time"

// A Want is what a caller waits for: a valid token, unless it names more.
type Want struct {
	Not    string // a token other than this one
	Shared bool   // a token that the fleet has
}

// An Answer is what a caller gets.
type Answer struct {
	Done bool  // the wait is over
	Held Held  // what the caller waited for, if Err is nil
	Err  error // why it cannot be had in time
}

// Wait notes that a caller waits. Leave must follow.
func (s *State) Wait(id int) { s.Tokens[id].Waiting++ }

// Leave notes that a caller waits no longer. If it gave up, what it began is finished
// for the next one.
func (s *State) Leave(now Instant, id int, gaveUp bool) {
	t := &s.Tokens[id]
	t.Waiting--
	if gaveUp {
		t.RecentUntil = now.Mono + s.Terms.Lease
	}
}

// Answer returns what a caller gets that can wait until limit, by the monotonic clock.
// A failure that outlasts it is returned at once. What is known is believed for a
// minute: whoever calls after that waits for one fetch.
func (s *State) Answer(now Instant, id int, want Want, limit time.Duration) Answer {
	if s.has(now, id, want) {
		return Answer{Done: true, Held: s.Tokens[id].Held}
	}
	if f := s.trouble(now, id, want); f.Stands(now.Mono) && f.InVain(limit) && (f.NoRetry || now.Mono < f.Next()) {
		return Answer{Done: true, Err: f.Err}
	}
	return Answer{}
}

// GiveUp returns what a caller gets whose time is over: as a rule, the error of its
// context, which is err.
func (s *State) GiveUp(now Instant, id int, want Want, limit time.Duration, err error) Answer {
	if s.has(now, id, want) { // it came just in time
		return Answer{Done: true, Held: s.Tokens[id].Held}
	}
	if f := s.trouble(now, id, want); f.Err != nil && now.Mono < f.Until && f.InVain(limit) {
		err = f.Err
	}
	return Answer{Done: true, Err: err}
}

func (s *State) has(now Instant, id int, want Want) bool {
	t := &s.Tokens[id]
	switch h := t.Held; {
	case want.Not != "" && h.Record.Token == want.Not, want.Shared && !t.Shared:
		return false
	case want.Not != "" || want.Shared:
		return h.Exists()
	default:
		return h.Valid(now)
	}
}

// trouble returns what stands between a caller and what it wants.
func (s *State) trouble(now Instant, id int, want Want) Failure {
	t := &s.Tokens[id]
	if want == (Want{}) || t.Refusal.Err == nil && !t.Held.Valid(now) {
		return t.Failure
	}
	return t.Refusal
}

// Touch notes that a caller was served from memory: the token is in use, and if its age
// is a guess, it is to be measured.
func (s *State) Touch(now Instant, id int) {
	t := &s.Tokens[id]
	t.Used = true
	if t.Held.Drifted(now) {
		t.fetchBy(now.Mono)
	}
}

// Invalidate notes that a token is to be replaced although it is valid, unless that was
// refused a short time ago. It reports whether that token is the one that is held.
func (s *State) Invalidate(now Instant, id int, token string, why Reason) bool {
	t := &s.Tokens[id]
	if !t.Held.Exists() || t.Held.Record.Token != token {
		return false
	}
	if t.Refusal.Err == nil || now.Mono >= t.Refusal.Until {
		t.replace(why)
	}
	return true
}

// Rotate notes that an operator replaces the token that is held, whatever was refused
// before. If the operator insists, the request is accounted as Expiring: it leaves one token
// for those that have none, and the budget for forced renewals does not bound it.
func (s *State) Rotate(id int, token string, insist bool) {
	if t := &s.Tokens[id]; t.Held.Record.Token == token {
		t.replace(Rotated)
		t.Insist = t.Insist || insist
	}
}
