package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file puts steps into words.

// A verb is one kind of step.
type verb uint8

const (
	fetches verb = iota
	probes
	reads
	receives
	flushes
	writesBack
	obtains
	standsBy
	fetchesAgain
	asks
	isDenied
	findsLeaseShort
	sends
	isAnswered
	commits
	reports
	releases
	findsRedisDown
	asksWithoutRedis
	hears
	resubscribes
	waits
	hasRotated

	// What becomes of things by themselves.
	heals
	troubleEnds
	leaseEnds
	ticks

	// Faults.
	losesLease
	losesStore
	evicts
	crashes
	isCutOff
	refuses
	fallsSilent
	spendsQuota
	rotates
	invalidates
	shortens
	verbs
)

// calm reports whether a step of this kind needs no fault, no operator and no time: a
// fleet that is left alone takes it.
func (v verb) calm() bool { return v < ticks }

var words = [verbs]string{
	fetches:          "fetches",
	probes:           "probes, since it has just started",
	reads:            "begins a fetch whose reply takes long",
	receives:         "receives the reply",
	flushes:          "sends the queued reports",
	writesBack:       "writes its token back",
	obtains:          "takes the lease",
	standsBy:         "finds the lease held, and waits",
	fetchesAgain:     "fetches again, under the lease",
	asks:             "asks the ledger",
	isDenied:         "need not or may not send a request",
	findsLeaseShort:  "finds that too little of the lease is left",
	sends:            "sends the token request",
	isAnswered:       "has its answer",
	commits:          "commits its token",
	reports:          "reports the token to the ledger",
	releases:         "gives the lease back",
	findsRedisDown:   "finds Redis unreachable",
	asksWithoutRedis: "sends a token request without Redis",
	hears:            "hears of the fleet's token",
	resubscribes:     "subscribes again",
	waits:            "goes on with the rotation",
	hasRotated:       "has rotated: Rotate returns nil",
	heals:            "can reach Redis again",
	troubleEnds:      "the endpoint's trouble is over",
	leaseEnds:        "a lease without a holder ends",
	ticks:            "time passes",
	losesLease:       "the lease is lost, and its holder does not notice",
	losesStore:       "Redis loses its data",
	evicts:           "Redis evicts the record",
	crashes:          "crashes, and starts again",
	isCutOff:         "is cut off from Redis",
	refuses:          "the endpoint begins to refuse all requests",
	fallsSilent:      "the endpoint begins to lose its answers",
	spendsQuota:      "the quota is spent",
	rotates:          "begins to rotate the token",
	invalidates:      "has its token refused by an API",
	shortens:         "the provider shortens the lives of tokens",
}

// tell writes down the way to a state, and the step after it, if there is one.
func (x *search) tell(at uint32, last *step) {
	path := []uint32{}
	for n := at; n != 0; n = x.from[n] {
		path = append(path, n)
	}
	slices.Reverse(path)
	s := x.states[path[0]] // with the replicas where they were
	for _, n := range path[1:] {
		x.line(&s, &step{to: x.states[n]})
	}
	if last != nil {
		x.line(&s, last)
	}
}

// line describes a step, and makes it. The replicas keep their places.
func (x *search) line(s *state, st *step) {
	sorted := func(s state) state {
		slices.Sort(s.replicas[:x.limits.replicas])
		return s
	}
	from, found := *s, false
	x.each(&from, func(same *step) {
		if !found && same.why == st.why && sorted(same.to) == sorted(st.to) {
			found, *s = true, same.to
			x.story = append(x.story, x.describe(same))
		}
	})
	if !found { // the state itself breaks the promise
		why := st.why
		st.why = broken{}
		if why.promise != none {
			x.line(s, st)
		}
	}
}

// describe tells a step, and what there is after it.
func (x *search) describe(st *step) string {
	var b strings.Builder
	text := words[st.verb]
	if st.who >= 0 {
		text = fmt.Sprintf("%c %s", 'A'+st.who, text)
	}
	w := &st.to.world
	fmt.Fprintf(&b, "%-52s tick %d, Redis: %s", text, w.tick, w.name(w.record))
	for _, mark := range []struct {
		on   bool
		name string
	}{
		{w.floor > 0, fmt.Sprintf(", none issued before %d", w.floor)},
		{w.blocked > w.tick, ", block"},
		{w.spent > w.tick, ", quota spent"},
		{w.leased && !x.any(&st.to, func(f *facts) bool { return f.lease }), ", a lease without a holder"},
	} {
		if mark.on {
			b.WriteString(mark.name)
		}
	}
	for i, id := range st.to.replicas[:x.limits.replicas] {
		p := &x.processes[id]
		fmt.Fprintf(&b, " | %c: %s", 'A'+i, w.name(recordOf(p.token().Held.Record)))
		for _, mark := range []struct {
			on   bool
			name string
		}{
			{p.at != trace.Idle, p.at.String()},
			{p.lease, "lease"},
			{p.robbed, "lease lost"},
			{p.told > w.tick, "knows of the block"},
			{p.rotation.phase != notRotating, "rotating"},
			{p.cut, "cut off"},
		} {
			if mark.on {
				b.WriteString(", " + mark.name)
			}
		}
	}
	return b.String()
}

// name names a token by its number, and by when its record claims that it was issued.
func (w *world) name(r record) string {
	switch {
	case r.n == 0:
		return "none"
	case w.tick >= r.dies:
		return "expired"
	case r.issued == 0:
		return fmt.Sprintf("token %d, not dated", r.n)
	default:
		return fmt.Sprintf("token %d of %d", r.n, r.issued)
	}
}
