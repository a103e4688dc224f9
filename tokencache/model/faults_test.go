package model

import (
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is what happens to a fleet: time, faults, and what ends by itself.

// A fault is something that may go wrong, or that an operator does, a limited number of
// times.
type fault uint8

const (
	leaseLost    fault = iota // the lease of a live holder ends: a pause, or a failover
	storeLost                 // Redis loses its data
	evicted                   // Redis evicts the record, and nothing else
	crash                     // a replica dies; the next one in its place is cold
	cutOff                    // a replica loses Redis
	direct                    // and requests a token without it
	replyLost                 // Redis does what it is asked to, and its reply is lost
	slow                      // a reply takes long, or a replica stops before it sends its request
	trouble                   // the endpoint gives no tokens for a while
	exhausted                 // the quota is spent until the next tick
	rotation_                 // an operator rotates the token
	invalidation              // an API refuses the token
	shortening                // tokens live shorter from now on

	// These are counted only.
	wasted   // of the crashes, those that took with them what only the dead replica knew
	leaseToo // of the losses of all data, those that took the lease of a live holder with them
	faults
)

// limits bound a world: how many replicas there are, how long it lasts, and how often each
// thing may happen. Requests without Redis have a budget instead, if there are any.
type limits struct {
	name     string
	replicas int
	ticks    uint8
	faults   [faults]uint8
}

// mayHappen counts a fault, and reports whether there may be one more.
func (x *search) mayHappen(s *state, f fault) bool {
	if s.happened[f] >= x.limits.faults[f] {
		return false
	}
	s.happened[f]++
	return true
}

// changes makes the steps of Redis, the endpoint and time.
func (x *search) changes(from *state, yield func(verb, *state)) {
	named := x.any(from, func(f *facts) bool { return f.lease })
	if s := *from; s.world.tick < x.limits.ticks {
		s.world.tick++
		if !s.world.has() {
			s.world.record, s.world.stored = record{}, 0
		}
		if s.world.mood != well {
			s.troubles++
		}
		x.changeAll(&s, ages)
		yield(ticks, &s)
	}
	if s := *from; s.world.leased && !named {
		s.world.leased = false
		yield(leaseEnds, &s)
	}
	if s := *from; s.world.mood != well {
		s.world.mood = well
		yield(troubleEnds, &s)
	}
	if s := *from; s.world.leased && named && x.mayHappen(&s, leaseLost) {
		s.world.leased = false
		x.changeAll(&s, robs)
		yield(losesLease, &s)
	}
	if s := *from; x.mayHappen(&s, storeLost) {
		if named {
			s.happened[leaseToo]++
		}
		w := &s.world
		w.record, w.stored, w.floor, w.leased, w.blocked, w.spent, w.denied, w.gone = record{}, 0, 0, false, 0, 0, 0, 0
		x.changeAll(&s, robs)
		x.changeAll(&s, unbounds)
		yield(losesStore, &s)
	}
	if s := *from; s.world.record.n != 0 && x.mayHappen(&s, evicted) {
		s.world.record, s.world.stored = record{}, 0
		yield(evicts, &s)
	}
	if s := *from; s.world.mood == well && x.mayHappen(&s, trouble) {
		s.troubles++
		s.world.mood = strict
		yield(refuses, &s)
		s.world.mood = silent
		yield(fallsSilent, &s)
	}
	if s := *from; s.world.spent <= s.world.tick && x.mayHappen(&s, exhausted) {
		s.world.spent = s.world.tick + 1
		yield(spendsQuota, &s)
	}
	if s := *from; !s.world.short && x.mayHappen(&s, shortening) {
		s.world.short = true
		yield(shortens, &s)
	}
}

// A change is what the world does to a replica.
type change struct {
	id   uint32
	kind kind
}

type kind uint8

const (
	ages     kind = iota // a tick passes
	robs                 // its lease is lost, which it does not notice
	unbounds             // Redis has lost what bounds its rotation
	strips               // its lease is given back by another replica: a mistake
)

func (x *search) changeAll(s *state, k kind) {
	for i, id := range s.replicas[:x.limits.replicas] {
		s.replicas[i] = x.changed(id, k)
	}
}

// changed returns what becomes of a replica.
func (x *search) changed(id uint32, k kind) uint32 {
	if (k == robs || k == strips) && !x.facts[id].lease {
		return id
	}
	c := change{id, k}
	if to, ok := x.after[c]; ok {
		return to
	}
	p := x.processes[id].clone()
	switch k {
	case ages:
		p.tick++
		now := begins(p.tick) + time.Millisecond
		p.forget(replica.Instant{Mono: now, Wall: now})
	case robs:
		p.lease, p.robbed = false, true
	case unbounds:
		p.rotation.lost = p.rotation.phase != notRotating && p.token().Held.Record.Forced
	case strips:
		p.lease = false
	}
	x.after[c] = x.intern(&p)
	return x.after[c]
}

// any reports whether a fact is true of any replica.
func (x *search) any(s *state, fact func(*facts) bool) bool {
	for _, id := range s.replicas[:x.limits.replicas] {
		if fact(&x.facts[id]) {
			return true
		}
	}
	return false
}
