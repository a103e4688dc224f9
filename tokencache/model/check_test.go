package model

import (
	"slices"

	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file goes through all states that can be reached, nearest first. So the
// way to the first broken promise is a shortest one.

// A search is what was found.
type search struct {
	limits limits
	wrong  mistakes

	states []state            // as they were met, in order
	from   []uint32           // the one before each
	index  map[print]uint32   // by what they are, whichever replica is which
	depth  int                // how many steps the farthest one is away
	steps  int                // how many there are
	ways   [][2]uint32        // calm steps, from and to
	free   [][2]uint32        // those of them that send no token request
	rows   map[trace.Row]bool // of package trace, that were taken
	taken  [verbs]int         // how often each kind of step was made
	broken broken
	story  []string // how
}

// explore goes through all states, until a promise is broken.
func explore(l limits, wrong mistakes) *search {
	x := &search{limits: l, wrong: wrong, index: make(map[print]uint32), rows: make(map[trace.Row]bool)}
	first := state{next: 2}
	x.meet(&first, 0)
	levelEnds := 1
	for at := 0; at < len(x.states) && x.broken.promise == none; at++ {
		if at == levelEnds {
			levelEnds = len(x.states)
			x.depth++
		}
		x.follow(at)
	}
	if x.broken.promise == none {
		x.checkRecovery()
	}
	return x
}

// meet returns the number of a state, and gives it one if it is new.
func (x *search) meet(s *state, from int) uint32 {
	same := printOf(s, x.limits.replicas)
	if n, ok := x.index[same]; ok {
		return n
	}
	n := uint32(len(x.states))
	x.index[same] = n
	x.states = append(x.states, *s)
	x.from = append(x.from, uint32(from))
	return n
}

// follow makes all steps from a state.
func (x *search) follow(at int) {
	r := &run{limits: x.limits, wrong: x.wrong, rows: x.rows, from: x.states[at]}
	r.yield = func(st step) {
		if x.broken.promise != none {
			return
		}
		x.steps++
		x.taken[st.verb]++
		if st.why.promise == none {
			st.why = judge(&st.to)
		}
		if st.why.promise != none {
			x.broken = st.why
			x.tell(at, &st)
			return
		}
		n := x.meet(&st.to, at)
		if st.verb.calm() {
			x.ways = append(x.ways, [2]uint32{uint32(at), n})
			if st.verb != asks && st.verb != asksWithoutRedis {
				x.free = append(x.free, [2]uint32{uint32(at), n})
			}
		}
	}
	r.all()
}

// all makes every step there is.
func (r *run) all() {
	for i := range r.limits.replicas {
		r.steps(i)
		r.strike(i)
	}
	r.world()
}

// tell writes down the way to a state, and the step after it, if there is one.
func (x *search) tell(at int, last *step) {
	var path []int
	for n := at; n != 0; n = int(x.from[n]) {
		path = append(path, n)
	}
	n := 0
	for _, next := range slices.Backward(path) {
		x.story = append(x.story, x.line(n, next))
		n = next
	}
	if last != nil {
		x.story = append(x.story, describe(last, x.limits.replicas))
	}
}

// line describes the step from one state to the next.
func (x *search) line(at, next int) (text string) {
	r := &run{limits: x.limits, wrong: x.wrong, rows: x.rows, from: x.states[at]}
	r.yield = func(st step) {
		if text == "" && st.to == x.states[next] {
			text = describe(&st, x.limits.replicas)
		}
	}
	r.all()
	return text
}

// checkRecovery looks for states from which no way leads to one in which all is
// well, though nothing happens any more.
func (x *search) checkRecovery() {
	for _, goal := range []struct {
		promise promise
		ways    [][2]uint32
		how     string
		of      func(*run) bool
	}{
		{recovers, x.ways, "from here, no way leads to a valid token for everybody",
			func(*run) bool { return true }},
		{recoversAtNoCost, x.free, "from here, no way but another token request leads to a valid token for everybody",
			func(r *run) bool { return r.supplied(&r.from) }},
	} {
		reached := x.reaching(goal.ways)
		for n, ok := range reached {
			r := &run{limits: x.limits, wrong: x.wrong, rows: x.rows, from: x.states[n]}
			if !ok && goal.of(r) {
				x.broken = broken{goal.promise, goal.how}
				x.tell(n, nil)
				return
			}
		}
	}
}

// reaching finds out from which states one can be reached in which every replica
// has a valid token.
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
	for n := range x.states {
		if s := x.states[n]; s.served(x.limits.replicas) {
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
