package model

// This file is what happens to a fleet: time, mishaps, and what ends by itself.

// limits bound a world: how many replicas there are, how long it lasts, and how
// often each thing may happen.
type limits struct {
	name     string
	replicas int
	ticks    uint8
	faults   [faults]uint8
}

// mayHappen counts a fault, and reports whether there may be one more.
func (r *run) mayHappen(s *state, f fault) bool {
	if s.happened[f] >= r.limits.faults[f] {
		return false
	}
	s.happened[f]++
	return true
}

// world makes the steps of Redis, the endpoint and time.
func (r *run) world() {
	if s := r.from; s.clock < r.limits.ticks {
		s.clock++
		if !s.valid(s.record) {
			s.record = token{}
		}
		r.emit(ticks, -1, &s)
	}
	if s := r.from; s.leased && !s.named() {
		s.leased = false
		r.emit(leaseEnds, -1, &s)
	}
	if s := r.from; s.mood != well {
		s.mood, s.block = well, false // and blocks end
		for i := range s.replicas {
			q := &s.replicas[i]
			q.block, q.told, q.owes = false, false, false
		}
		r.emit(troubleEnds, -1, &s)
	}
	if s := r.from; s.leased && s.named() && r.mayHappen(&s, leaseLost) {
		s.loseLease()
		r.emit(loseLease, -1, &s)
	}
	if s := r.from; r.mayHappen(&s, storeLost) {
		if s.named() {
			s.happened[leaseToo]++
		}
		s.loseLease()
		s.record, s.floor, s.block = token{}, 0, false
		s.gone = 0
		r.emit(loseStore, -1, &s)
	}
	if s := r.from; s.record.asked != 0 && r.mayHappen(&s, evicted) {
		s.record = token{}
		r.emit(evict, -1, &s)
	}
	if s := r.from; s.mood == well && r.mayHappen(&s, trouble) {
		s.mood = strict
		r.emit(refuses, -1, &s)
		s.mood = silent
		r.emit(fallsSilent, -1, &s)
	}
	if s := r.from; !s.short && r.mayHappen(&s, shortening) {
		s.short = true
		r.emit(shortens, -1, &s)
	}
}

// named reports whether the lease has the name of a replica that lives.
func (s *state) named() bool {
	for i := range s.replicas {
		if s.replicas[i].lease {
			return true
		}
	}
	return false
}

// loseLease takes the lease from whoever has it, who does not notice.
func (s *state) loseLease() {
	s.leased = false
	for i := range s.replicas {
		if q := &s.replicas[i]; q.lease {
			q.lease, q.robbed = false, true
		}
	}
}

// strike makes what may happen to replica i.
func (r *run) strike(i int) {
	if s := r.from; s.replicas[i].cut {
		s.replicas[i].cut = false
		r.emit(heals, i, &s)
	} else if r.mayHappen(&s, cutOff) {
		p := &s.replicas[i]
		p.cut = true
		p.rotating, p.since, p.old, p.must = false, 0, 0, 0 // its Rotate fails
		r.emit(isCutOff, i, &s)
	}
	if s := r.from; s.replicas[i] != (process{}) && r.mayHappen(&s, crash) {
		p := &s.replicas[i]
		if p.at == asking || p.at == calling || p.at == paid || p.at == refused || p.owes || p.held.asked != 0 && !p.shared {
			s.happened[wasted]++
		}
		*p = process{} // a lease with its name ends by itself
		r.emit(crashes, i, &s)
	}
	if s := r.from; !s.replicas[i].cut && !s.replicas[i].rotating && r.mayHappen(&s, rotation) {
		p := &s.replicas[i]
		p.told = p.told || s.block
		r.apply(&s, p, true, func(c *core) { c.Merge(c.now, 0, s.snapshot(), 0) })
		p.rotating, p.since, p.old, p.must = true, s.now(), p.held.asked, s.newest
		if r.wrong.anyOtherToken {
			p.since = 0
		}
		r.emit(rotates, i, &s)
	}
}

// calm reports whether a step of this kind needs no fault, no operator and no
// time: a fleet that is left alone takes it.
func (v verb) calm() bool { return v < ticks }
