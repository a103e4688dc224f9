package model

import "slices"

// This file looks for states from which no way leads to one in which all is well, though
// nothing happens any more.

// heldUp reports whether no replica can help itself until the next tick: requests are
// blocked, or the quota is spent.
func (x *search) heldUp(s *state) bool {
	return s.world.blocked > s.world.tick || s.world.spent > s.world.tick || x.any(s, func(f *facts) bool { return f.heldUp })
}

// checkRecovery holds all states against the promises about what may follow.
func (x *search) checkRecovery() {
	for _, goal := range []struct {
		promise promise
		ways    [][2]uint32
		how     string
		of      func(*state) bool
	}{
		{recovers, x.ways, "from here, no way leads to a valid token for all replicas",
			func(s *state) bool { return s.world.tick < x.limits.ticks || !x.heldUp(s) }},
		{recoversAtNoCost, x.free, "from here, no way but another token request leads to a valid token for all replicas", x.supplied},
	} {
		reached := x.reaching(goal.ways)
		for n := 1; n < len(x.states); n++ {
			if !reached[n] && goal.of(&x.states[n]) {
				x.broken = broken{goal.promise, goal.how}
				x.tell(uint32(n), nil)
				return
			}
		}
	}
}

// reaching finds out from which states one can be reached in which every replica has a
// valid token.
func (x *search) reaching(ways [][2]uint32) []bool {
	begin := make([]uint32, len(x.states)+1) // where the ways to a state begin in back
	for _, w := range ways {
		begin[w[1]+1]++
	}
	for i := range x.states {
		begin[i+1] += begin[i]
	}
	back := make([]uint32, len(ways))
	fill := slices.Clone(begin)
	for _, w := range ways {
		back[fill[w[1]]] = w[0]
		fill[w[1]]++
	}
	reached := make([]bool, len(x.states))
	var todo []uint32
	for n := 1; n < len(x.states); n++ {
		if !x.any(&x.states[n], func(f *facts) bool { return !f.valid }) {
			reached[n] = true
			todo = append(todo, uint32(n))
		}
	}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, before := range back[begin[n]:begin[n+1]] {
			if !reached[before] {
				reached[before] = true
				todo = append(todo, before)
			}
		}
	}
	return reached
}

// supplied reports whether the fleet needs nothing from the endpoint: a replica has a token
// that all may have, and none is about to ask.
func (x *search) supplied(s *state) bool {
	has := s.world.has() && s.world.record.issued >= s.world.floor
	for _, id := range s.replicas[:x.limits.replicas] {
		f := &x.facts[id]
		if f.busy {
			return false
		}
		has = has || f.valid && f.issued >= s.world.floor
	}
	return has
}
