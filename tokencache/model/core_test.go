package model

import (
	"errors"
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file makes a replica.State of what the world remembers of a process, and the other
// way round. The decisions in between are those of the package that ships.
//
// What is not remembered may be forgotten by any replica at any time: when it would
// refresh next, and why there is no token. So a refresh may begin at any time.

var terms = replica.Terms{
	RenewBefore: window * tick, RequestTimeout: 10 * time.Second, Lease: 20 * time.Second,
	RedisDownRequests: 1, RedisDownSpread: time.Nanosecond,
}

// real returns a time of the world as both clocks of a replica show it, and millis as
// Redis does.
func (t instant) real() replica.Instant {
	d := time.Duration(t.millis()) * time.Millisecond
	return replica.Instant{Mono: d, Wall: d}
}

func (t instant) millis() int64 {
	return int64(t/momentsPerTick)*tick.Milliseconds() + int64(t%momentsPerTick)
}

// ofMillis is the inverse of millis.
func ofMillis(ms int64) instant {
	if ms == 0 {
		return 0
	}
	ticks, moments := ms/tick.Milliseconds(), ms%tick.Milliseconds()
	if moments >= momentsPerTick { // a little before the next tick
		ticks, moments = ticks+1, 0
	}
	return at(uint8(ticks), uint8(moments))
}

func (t token) record() replica.Record {
	if t.asked == 0 {
		return replica.Record{}
	}
	r := replica.Record{
		Token: name(t.asked), Issued: t.issued.millis(), Expires: t.expires.millis(), Lifetime: time.Duration(t.life) * tick,
		Forced: t.forced, Payload: t.asked,
	}
	if t.issued == 0 { // not known yet
		r.Issued, r.Expires = 0, 0
	}
	return r
}

func name(asked instant) string { return fmt.Sprint("t", asked) }

func tokenOf(r replica.Record) token {
	if r.Token == "" {
		return token{}
	}
	t := token{asked: r.Payload.(instant), issued: ofMillis(r.Issued), expires: ofMillis(r.Expires), life: uint8(r.Lifetime / tick), forced: r.Forced}
	if t.issued == 0 {
		t.expires = t.dies()
	}
	return t
}

// A core is the state of a process, and what its transitions came to.
type core struct {
	*replica.State
	p       *process
	now     replica.Instant
	broken  error // an invariant of the package
	started *replica.State
}

var errKey = errors.New("an encryption key")

// core returns the state of p.
func (s *state) core(p *process) *core {
	now := s.now().real()
	st := &replica.State{Terms: terms}
	st.Add("t", []quota.Scope{quota.Client})
	t := &st.Tokens[0]
	t.Waiting, t.Used, t.MinIssued, t.Shared = 1, true, p.floor.millis(), p.shared
	if p.held.asked != 0 {
		left := time.Duration(p.held.expires.millis()-s.now().millis()) * time.Millisecond
		r := p.held.record()
		t.Held = replica.Held{Record: r, Since: now, Remaining: min(left, r.Lifetime), Plan: terms.PlanFor(r.Lifetime, min(left, r.Lifetime)), Jitter: 1}
		t.Held.Look = t.Held.Plan.Renew + 1
	}
	if p.rotating && s.valid(p.held) && !p.rotated() {
		st.Rotate(0, t.Held.Record.Token)
	}
	if p.block {
		st.Blocks = []replica.Block{{Denied: quota.DeniedError{Scope: quota.Client, Reason: quota.QuotaExceeded, Count: 1}, Until: now.Mono + 1000*tick}}
	}
	if p.owes {
		st.QueueReports(replica.Report{})
	}
	if p.sent {
		st.Outage.Sent = []time.Duration{now.Mono}
	}
	before := *st
	before.Tokens = append([]replica.Token(nil), st.Tokens...)
	return &core{State: st, p: p, now: now, started: &before}
}

// rotated reports whether the token that is held ends a rotation.
func (p *process) rotated() bool { return p.held.asked != p.old && p.held.issued >= p.since }

// end remembers what came of the transitions.
func (c *core) end() {
	t := &c.Tokens[0]
	c.p.held, c.p.shared, c.p.floor = tokenOf(t.Held.Record), t.Shared, ofMillis(t.MinIssued)
	c.p.block = c.Blocked(c.now, 0) != nil
	c.p.owes = len(c.Reports) > 0
	c.p.sent = len(c.Outage.Sent) > 0
	if t.Refusal.Err != nil { // Rotate fails
		c.p.rotating, c.p.since, c.p.old, c.p.must = false, 0, 0, 0
	}
	c.broken = errors.Join(c.broken, c.Check(c.now), replica.CheckStep(c.started, c.State, c.now))
}

// snapshot is what p reads from Redis.
func (s *state) snapshot() replica.Snapshot {
	v := replica.Snapshot{At: s.now().real(), Now: s.now().millis(), MinIssued: s.floor.millis()}
	if s.valid(s.record) && s.record.issued >= s.floor {
		r := s.record.record()
		v.Record = &r
	}
	if s.leased {
		v.Lease = terms.Lease
	}
	if s.block {
		v.Blocked = []quota.Blocked{{Scope: quota.Client, Reason: quota.QuotaExceeded, Remaining: 1000 * tick, Count: 1}}
	}
	return v
}
