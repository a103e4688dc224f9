package replica

import (
	"testing"
	"time"
)

// A reply that was sent before a token was issued does not measure its age: the token is
// fresh, and not renewed.
func TestSlowReplyDoesNotAgeANewerToken(t *testing.T) {
	const lifetime = time.Hour
	at := func(m time.Duration) Instant { return Instant{Mono: m * time.Minute, Wall: m * time.Minute} }
	redis := func(m int64) int64 { return 1_000_000 + m*time.Minute.Milliseconds() }
	record := func(token string, issued int64) *Record {
		return &Record{Token: token, Issued: redis(issued), Expires: redis(issued) + lifetime.Milliseconds(), Lifetime: lifetime}
	}
	s := State{Terms: usual}
	id := s.Add("t", nil)
	s.Wait(id)
	s.Touch(at(0), id)
	s.Fetched(at(1), id, Snapshot{At: at(1), Now: redis(1), Record: record("old", 0)}, Context{}, 0)

	slow := Snapshot{At: at(5), Now: redis(5), Record: record("old", 0)}
	opened := Instant{Mono: at(55).Mono - time.Second, Wall: at(55).Wall - time.Second}
	s.Heard(at(55), id, *record("new", 54), redis(55), opened, 0)
	s.Touch(at(55), id)
	if step := s.Fetched(at(56), id, slow, Context{}, 0); step != WriteBack {
		t.Fatalf("got %s, want WriteBack", step)
	}
	if step := s.WroteBack(at(56), id, true, slow, Context{}, 0); step != Done {
		t.Errorf("got %s, want Done: the token is two minutes old", step)
	}
	held := s.Tokens[id].Held
	if left := held.Left(at(56)); held.Record.Token != "new" || !held.Estimated() || left < lifetime-3*time.Minute {
		t.Errorf("got %q, estimated %v, with %v left, want the new one, not measured, with 58 minutes", held.Record.Token, held.Estimated(), left)
	}
	if err := s.Check(at(56)); err != nil {
		t.Error(err)
	}

	// The next reply measures it.
	if step := s.Fetched(at(57), id, Snapshot{At: at(57), Now: redis(57), Record: record("new", 54)}, Context{}, 0); step != Done || s.Tokens[id].Held.Estimated() {
		t.Errorf("got %s, estimated %v, want a measured age", step, s.Tokens[id].Held.Estimated())
	}
}

// A newer token that has expired before the reply was applied does not replace one that is
// valid: the process was stopped, and the provider has shortened lifetimes.
func TestExpiredRecordDoesNotReplaceAValidToken(t *testing.T) {
	at := func(m time.Duration) Instant { return Instant{Mono: m * time.Minute, Wall: m * time.Minute} }
	redis := func(m int64) int64 { return 1_000_000 + m*time.Minute.Milliseconds() }
	record := func(token string, issued int64, lifetime time.Duration) *Record {
		return &Record{Token: token, Issued: redis(issued), Expires: redis(issued) + lifetime.Milliseconds(), Lifetime: lifetime}
	}
	s := State{Terms: usual}
	id := s.Add("t", nil)
	s.Wait(id)
	s.Fetched(at(1), id, Snapshot{At: at(1), Now: redis(1), Record: record("old", 0, 10*time.Hour)}, Context{}, 0)
	slow := Snapshot{At: at(3), Now: redis(3), Record: record("new", 2, 10*time.Minute)}
	if step := s.Fetched(at(30), id, slow, Context{}, 0); step != WriteBack {
		t.Errorf("got %s, want WriteBack", step)
	}
	if held := s.Tokens[id].Held; held.Record.Token != "old" || !held.Valid(at(30)) {
		t.Errorf("got %q, valid %v, want the old one, which is valid", held.Record.Token, held.Valid(at(30)))
	}
	if step := s.WroteBack(at(30), id, false, slow, Context{}, 0); step != Done {
		t.Errorf("got %s, want Done", step)
	}

	// In time, it does.
	s.Fetched(at(31), id, Snapshot{At: at(31), Now: redis(31), Record: record("newer", 30, 10*time.Minute)}, Context{}, 0)
	if held := s.Tokens[id].Held; held.Record.Token != "newer" || !held.Valid(at(31)) {
		t.Errorf("got %q, valid %v, want the newer one", held.Record.Token, held.Valid(at(31)))
	}
}

// A token whose age is only estimated needs no request, however old it may be: it is
// measured first.
func TestEstimateIsNoNeed(t *testing.T) {
	const lifetime = 30 * time.Second
	at := func(s time.Duration) Instant { return Instant{Mono: s * time.Second, Wall: s * time.Second} }
	redis := func(s int64) int64 { return 1_000_000 + s*1000 }
	r := Record{Token: "new", Issued: redis(19), Expires: redis(19) + lifetime.Milliseconds(), Lifetime: lifetime}
	s := State{Terms: usual}
	id := s.Add("t", nil)
	s.Wait(id)
	s.Subscribed(at(1), at(1), false, 0)
	s.Heard(at(20), id, r, redis(20), at(1), 0)
	s.Touch(at(20), id)
	tok := &s.Tokens[id]
	if !tok.Held.Estimated() || tok.Held.Age(at(26)) < tok.Held.Look {
		t.Fatalf("estimated: %v, age %v, look at %v: this shows nothing", tok.Held.Estimated(), tok.Held.Age(at(26)), tok.Held.Look)
	}
	if _, why, needed := tok.Need(at(26)); needed {
		t.Errorf("a token request is needed: %s", why)
	}
	if due, any := tok.Due(at(26)); !any || due > at(26).Mono {
		t.Errorf("got due at %v (%v), want a fetch now", due, any)
	}
	v := Snapshot{At: at(26), Now: redis(26), Record: &r}
	if step := s.Fetched(at(26), id, v, Context{}, 0); step != Done || tok.Held.Estimated() {
		t.Errorf("got %s, estimated: %v, want a measured age and no request: the token is seven seconds old", step, tok.Held.Estimated())
	}
}

// A new token is dated after the one that it was requested in place of, although the
// clock of Redis went back and a token of that time came in between.
func TestIssuedAfterTheOneThatItReplaces(t *testing.T) {
	at := func(m time.Duration) Instant { return Instant{Mono: m * time.Minute, Wall: m * time.Minute} }
	s := State{Terms: usual}
	id := s.Add("t", nil)
	before := Record{Token: "before", Issued: 5_000_000}
	between := Record{Token: "between", Issued: 1_000_000, Expires: 1_000_001, Lifetime: time.Millisecond}
	s.Tokens[id].Held.Record = between
	r, _ := s.Issued(at(10), Request{ID: id, Before: before}, Issue{
		Record: Record{Token: "new", Lifetime: time.Hour}, Sent: at(9), Admitted: at(9), Now: 2_000_000,
	}, 0)
	if r.Issued <= before.Issued {
		t.Errorf("issued at %d, want after the one before, at %d", r.Issued, before.Issued)
	}
}
