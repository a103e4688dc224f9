package model

import (
	"errors"
	"fmt"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file is one step of one replica: how it begins, what it may use, and how it ends.

// A turn is a step of one replica that is being made.
type turn struct {
	x      *search
	from   uint32
	p      process // to be changed
	w, was world
	skip   bool // it is not a step
	outcome
}

// An outcome is what a step of a replica comes to. It depends on nothing but the replica
// and the world, so it is worked out once.
type outcome struct {
	verb   verb
	fault  fault // that it took; none: faults
	to     uint32
	world  world
	marks  marks
	broken broken
}

// marks are what the promises have to know of a step.
type marks uint8

const (
	asked    marks = 1 << iota // a token request was sent,
	refused                    // and no token comes of it
	direct_                    // it was sent without Redis
	wasted_                    // what only this replica knew is lost
	stripped                   // the lease was taken from whoever has it: a mistake
)

// local returns what the steps of a replica come to.
func (x *search) local(id uint32, w world) []outcome {
	key := place{id, w}
	if known, ok := x.outcomes[key]; ok {
		return known
	}
	var all []outcome
	step := func(v verb, f fault, make func(*turn)) {
		if f != faults && x.limits.faults[f] == 0 {
			return
		}
		t := turn{x: x, from: id, p: x.processes[id].clone(), w: w, was: w, outcome: outcome{verb: v, fault: f}}
		make(&t)
		if t.end() {
			all = append(all, t.outcome)
		}
	}
	x.processes[id].steps(&w, x.wrong, step)
	x.outcomes[key] = all
	return all
}

// A place is a replica in a world.
type place struct {
	id uint32
	w  world
}

// end finishes a step, and reports whether it changes anything.
func (t *turn) end() bool {
	now := t.w.now()
	if !t.p.token().Used && t.p.token().Held.Valid(now) { // there are callers always
		t.apply(func(s *replica.State) { s.Touch(now, 0) })
	}
	t.p.forget(now)
	if err := t.p.core.Check(now); err != nil {
		t.breaks(invariants, err.Error())
	}
	t.to, t.world = t.x.intern(&t.p), t.w
	return !t.skip && (t.to != t.from || t.w != t.was || t.broken.promise != none || t.marks != 0)
}

// breaks notes that the step breaks a promise.
func (t *turn) breaks(p promise, how string) {
	if t.broken.promise == none {
		t.broken = broken{p, how}
	}
}

// event goes along a row of the table that the real refresh is held to.
func (t *turn) event(name string) {
	next, ok := t.p.at.Next(name)
	if !ok {
		panic(fmt.Sprintf("model: %s may not follow when the refresh is %s", name, t.p.at))
	}
	t.x.rows[trace.Row{From: t.p.at, Event: name, To: next}]++
	t.p.at = next
}

// apply makes a transition, and holds it against the invariants of package replica and the
// promises about what a replica serves.
func (t *turn) apply(f func(s *replica.State)) {
	now, before := t.w.now(), cloned(&t.p.core)
	f(&t.p.core)
	t.p.core.Drain()
	old, h := before.Tokens[0].Held, t.p.token().Held
	if h.Record.Token != old.Record.Token {
		n, was := recordOf(h.Record), recordOf(old.Record)
		fleets := t.p.token().Shared
		back := n.n < was.n
		if n.issued != 0 && was.issued != 0 {
			back = n.issued < was.issued
		}
		gone := t.w.gone
		if t.p.view.Now != 0 {
			gone = t.p.gone // when that was read
		}
		switch {
		case old.Valid(now) && back:
			t.breaks(neverBack, "it serves a token that is older than the one it had")
		case fleets && n.era < gone:
			t.breaks(rotatedIsGone, "it adopts a token that was requested before one that was rotated away")
		case fleets && h.Record.Issued < t.p.token().MinIssued:
			t.breaks(rotatedIsGone, "it adopts a token although it knows that it was rotated away")
		}
	}
	if err := errors.Join(t.p.core.Check(now), replica.CheckStep(&before, &t.p.core, now)); err != nil {
		t.breaks(invariants, err.Error())
	}
}

// transition makes a transition that decides nothing, and is called like its event.
func (t *turn) transition(name string, f func(s *replica.State)) {
	t.apply(f)
	t.event(name)
}
