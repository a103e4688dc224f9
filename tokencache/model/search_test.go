package model

import (
	"hash/maphash"
	"slices"

	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file goes through all states that can be reached, nearest first. So the way to the
// first broken promise is a shortest one.

// A state is one of a fleet and the world around it.
type state struct {
	replicas [maxReplicas]uint32 // interned; in order, since all of them run the same program
	world    world

	// For the promises.
	requests uint8 // token requests
	refusals uint8 // of those, the ones that no token came of
	troubles uint8 // the ticks in which the endpoint gave no tokens, each time counted
	happened [faults]uint8
}

const maxReplicas = 4

// A search is what was found.
type search struct {
	limits limits
	wrong  mistakes

	processes []process
	facts     []facts
	ids       map[string]uint32
	outcomes  map[place][]outcome
	after     map[change]uint32
	buffer    []byte

	states []state  // as they were met, in order
	from   []uint32 // the one before each
	index  []uint32 // a hash table of them; 0: free
	seed   maphash.Seed

	depth  int         // how many steps the farthest one is away
	steps  int         // how many there are
	ways   [][2]uint32 // steps that a fleet takes without a fault, from and to
	free   [][2]uint32 // those of them that take no time, and send no token request
	taken  [verbs]int  // how often each kind of step was made
	rows   map[trace.Row]int
	broken broken
	story  []string // how
}

// explore goes through all states, until a promise is broken.
func explore(l limits, wrong mistakes) *search {
	x := &search{
		limits: l, wrong: wrong, ids: make(map[string]uint32), outcomes: make(map[place][]outcome), after: make(map[change]uint32),
		processes: make([]process, 1), facts: make([]facts, 1), index: make([]uint32, 1<<12), seed: maphash.MakeSeed(), rows: make(map[trace.Row]int),
	}
	var first state
	for i := range l.replicas {
		p := cold(l)
		first.replicas[i] = x.intern(&p)
	}
	x.states, x.from = make([]state, 1), make([]uint32, 1) // no state has the number zero
	x.meet(&first, 0)
	levelEnds := 2
	for at := 1; at < len(x.states) && x.broken.promise == none; at++ {
		if at == levelEnds {
			levelEnds = len(x.states)
			x.depth++
		}
		x.follow(uint32(at))
	}
	if x.broken.promise == none {
		x.checkRecovery()
	}
	return x
}

// meet returns the number of a state, and gives it one if it is new.
func (x *search) meet(s *state, from uint32) uint32 {
	if 2*len(x.states) > len(x.index) {
		x.index = make([]uint32, 2*len(x.index))
		for n := 1; n < len(x.states); n++ {
			x.index[x.slot(&x.states[n])] = uint32(n)
		}
	}
	slot := x.slot(s)
	if x.index[slot] == 0 {
		x.index[slot] = uint32(len(x.states))
		x.states, x.from = append(x.states, *s), append(x.from, from)
	}
	return x.index[slot]
}

// slot returns where a state is in the index, or is to be.
func (x *search) slot(s *state) int {
	mask := len(x.index) - 1
	at := int(maphash.Comparable(x.seed, *s)) & mask
	for x.index[at] != 0 && x.states[x.index[at]] != *s {
		at = (at + 1) & mask
	}
	return at
}

// A step is what leads from one state to the next.
type step struct {
	verb  verb
	who   int // the place of the replica in the state before; -1: none
	marks marks
	to    state // its replicas are in the order of the state before
	why   broken
}

// follow makes all steps from a state.
func (x *search) follow(at uint32) {
	from := x.states[at]
	waits := x.heldUp(&from)
	x.each(&from, func(st *step) {
		if x.broken.promise != none {
			return
		}
		x.steps++
		x.taken[st.verb]++
		if st.why.promise == none {
			st.why = x.judge(&st.to)
		}
		if st.why.promise != none {
			x.broken = st.why
			x.tell(at, st)
			return
		}
		to := st.to
		slices.Sort(to.replicas[:x.limits.replicas])
		n := x.meet(&to, at)
		if st.verb.calm() || st.verb == ticks && waits {
			x.ways = append(x.ways, [2]uint32{at, n})
		}
		if st.verb.calm() && st.marks&asked == 0 {
			x.free = append(x.free, [2]uint32{at, n})
		}
	})
}

// each makes every step from a state.
func (x *search) each(from *state, yield func(*step)) {
	for i, id := range from.replicas[:x.limits.replicas] {
		if slices.Contains(from.replicas[:i], id) {
			continue // it does what the other one does
		}
		for _, o := range x.local(id, from.world) {
			to := *from
			if o.fault != faults && !x.mayHappen(&to, o.fault) {
				continue
			}
			to.replicas[i], to.world = o.to, o.world
			x.mark(&to, i, o.marks)
			yield(&step{o.verb, i, o.marks, to, o.broken})
		}
	}
	x.changes(from, func(v verb, to *state) { yield(&step{v, -1, 0, *to, broken{}}) })
}

// mark counts what the promises have to know of a step.
func (x *search) mark(s *state, who int, m marks) {
	for flag, n := range map[marks]*uint8{asked: &s.requests, refused: &s.refusals, direct_: &s.happened[direct], wasted_: &s.happened[wasted]} {
		if m&flag != 0 {
			*n++
		}
	}
	if m&stripped != 0 {
		for j := range s.replicas[:x.limits.replicas] {
			s.replicas[j] = x.changed(s.replicas[j], strips)
		}
	}
}

// intern returns the number of a replica.
func (x *search) intern(p *process) uint32 {
	x.buffer = p.encode(x.buffer[:0])
	if id, ok := x.ids[string(x.buffer)]; ok {
		return id
	}
	id := uint32(len(x.processes))
	x.ids[string(x.buffer)] = id
	x.processes, x.facts = append(x.processes, p.clone()), append(x.facts, p.facts())
	return id
}
