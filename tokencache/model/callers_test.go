package model

import (
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file is what happens to a replica beside its refresh: notifications, an operator
// that rotates, and what goes wrong.

// notified makes the steps by which notifications reach a replica. They may do so at any
// time, or never.
func (p *process) notified(w *world, step func(v verb, f fault, make func(*turn))) {
	if p.cut || w.record.issued < p.stuck {
		return
	}
	if r := w.record.core(); w.has() && w.record.issued >= w.floor && (!p.token().Held.Exists() || r.Compare(p.token().Held.Record) > 0) {
		if w.stored == w.tick { // the subscription is young
			step(hears, faults, func(t *turn) { t.hears(time.Second) })
		}
		step(hears, faults, func(t *turn) { t.hears(tick / 2) })
	}
	quiet := p.at == trace.Idle || p.at == trace.Released
	if !quiet || p.stuck != 0 || p.token().FetchAt != 0 {
		return
	}
	step(resubscribes, faults, func(t *turn) {
		t.apply(func(s *replica.State) { s.Unsubscribed(t.w.now(), true, 0) })
		t.apply(func(s *replica.State) { s.Subscribed(t.w.now(), t.w.now(), true, 0) })
	})
}

// hears applies the notification of the record, by a subscription of an age.
func (t *turn) hears(age time.Duration) {
	now := t.w.now()
	opened := replica.Instant{Mono: now.Mono - age, Wall: now.Wall - age}
	t.apply(func(s *replica.State) { s.Heard(now, 0, t.w.record.core(), millis(now), opened, 0) })
	t.p.stuck = 0
}

// calls makes the steps of Source.Rotate, and of an API that refuses the token.
func (p *process) calls(w *world, step func(v verb, f fault, make func(*turn))) {
	if p.token().Held.Valid(w.now()) {
		step(invalidates, invalidation, func(t *turn) {
			t.apply(func(s *replica.State) {
				s.Invalidate(t.w.now(), 0, s.Tokens[0].Held.Record.Token, replica.Invalidated)
			})
		})
	}
	switch p.rotation.phase {
	case notRotating:
		if !p.cut {
			step(rotates, rotation_, (*turn).rotates)
		}
	case bounding:
		step(hasRotated, faults, (*turn).bounds)
	default:
		step(waits, faults, (*turn).waits)
	}
}

// rotates begins a rotation: what is to be replaced is what the fleet has.
func (t *turn) rotates() {
	v := t.w.snapshot()
	t.apply(func(s *replica.State) { s.Merge(t.w.now(), 0, v, 0) })
	t.w.era++
	t.p.rotation = rotation{phase: obtaining, since: v.Now, old: t.p.token().Held.Record.Token, must: t.w.newest, era: t.w.era}
	if t.x.wrong.anyOtherToken {
		t.p.rotation.since = 0
	}
	t.waits()
}

// waits goes on with a rotation as far as it goes.
func (t *turn) waits() {
	now, r := t.w.now(), &t.p.rotation
	for {
		want := map[phase]replica.Want{obtaining: {}, replacing: {Not: r.not}, sharing: {Shared: true}}[r.phase]
		answer := t.p.core.Answer(now, 0, want, now.Mono+tick/2)
		h := answer.Held.Record
		switch {
		case !answer.Done:
			return
		case answer.Err != nil: // Rotate fails
			t.p.rotation = rotation{}
			return
		case r.phase == replacing:
			r.phase, r.not = obtaining, ""
		case r.phase == obtaining && h.Token != r.old && h.Issued >= r.since:
			r.phase = sharing
		case r.phase == obtaining:
			r.phase, r.not = replacing, h.Token
			t.apply(func(s *replica.State) { s.Rotate(0, h.Token, false) })
		case !h.Forced && !t.x.wrong.borrowedRotation:
			r.phase, r.record = bounding, h
			return
		default:
			r.record = h
			t.rotated()
			return
		}
	}
}

// bounds commits the token of an ordinary renewal once more: records issued earlier are
// not adopted any more.
func (t *turn) bounds() {
	if t.p.cut {
		t.p.rotation = rotation{}
		return
	}
	r := t.p.rotation.record
	r.Forced = true
	t.commit(r)
	t.rotated()
}

// rotated is the end of a rotation: Rotate returns nil.
func (t *turn) rotated() {
	h := t.p.rotation.record
	if int32(h.Issued) <= t.p.rotation.must {
		t.breaks(rotatedIsGone, "Rotate returns, and the token is one that the fleet had before")
	}
	t.verb = hasRotated
	if !t.p.rotation.lost || !h.Forced {
		t.w.gone = max(t.w.gone, t.p.rotation.era)
	}
	t.p.rotation = rotation{}
}

// suffers makes what may go wrong with a replica.
func (p *process) suffers(w *world, step func(v verb, f fault, make func(*turn))) {
	if p.cut {
		step(heals, faults, func(t *turn) { t.p.cut = false })
	} else {
		step(isCutOff, cutOff, func(t *turn) { t.p.cut, t.p.rotation = true, rotation{} }) // its Rotate fails
	}
	step(crashes, crash, func(t *turn) {
		if p.sent || p.commit != pending || p.made.Token != "" || len(p.core.Reports)+len(p.reports) > 0 || p.token().Held.Exists() && !p.token().Shared {
			t.marks |= wasted_
		}
		t.p = cold(t.x.limits) // a lease with its name ends by itself
		t.p.tick = w.tick
	})
}
