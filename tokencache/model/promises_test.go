package model

import "fmt"

// This file is what the package promises.

// A promise is one of them.
type promise uint8

const (
	none promise = iota
	oneInFlight
	storeNeverBack
	neverBack
	neverExpired
	requestsBounded
	blockHolds
	rotatedIsGone
	recovers
	recoversAtNoCost
	invariants
	inOrder
	promises
)

func (p promise) String() string {
	return [...]string{
		none:             "nothing",
		oneInFlight:      "one token request in flight, and one more for each lease that was lost",
		storeNeverBack:   "the record in Redis never goes back",
		neverBack:        "no replica goes back to an older token",
		neverExpired:     "no replica serves an expired token",
		requestsBounded:  "one token request a life, and one for each fault",
		blockHolds:       "no replica that knows of a block sends a request; one probe for each loss",
		rotatedIsGone:    "what was rotated away does not come back",
		recovers:         "when the faults are over, every replica gets a valid token",
		recoversAtNoCost: "no replica requests what another one has",
		invariants:       "the invariants of package replica",
		inOrder:          "the order of a refresh, as package trace has it",
	}[p]
}

// A broken promise, and how.
type broken struct {
	promise promise
	how     string
}

func (r *run) breaks(p promise, how string) {
	if r.problem.promise == none {
		r.problem = broken{p, how}
	}
}

// judge holds a state against the promises that a state can break.
func judge(s *state) broken {
	inFlight, robbed := 0, 0
	for i := range s.replicas {
		p := &s.replicas[i]
		if p.at == asking {
			inFlight++
			if p.robbed {
				robbed++
			}
		}
		if s.valid(p.held) && s.clock >= p.held.dies().tick() {
			return broken{neverExpired, "a token is served that has expired"}
		}
	}
	h := &s.happened
	// A request whose sender has lost its lease by a fault is the only kind
	// that may be there besides another one. So there are never more than one
	// and the leases lost.
	if inFlight > robbed+1 {
		return broken{oneInFlight, fmt.Sprintf("%d token requests are in flight, and %d of the senders lost their leases", inFlight, robbed)}
	}
	period := uint8(life - window)
	if h[shortening] > 0 {
		period = shortLife - window
	}
	lives := 1 + s.clock/period
	// A replica that loses Redis with an answer on the way cannot share it.
	costs := h[leaseLost] + h[leaseToo] + h[storeLost] + h[evicted] + h[wasted] + h[rotation] + h[cutOff] + h[direct]
	if n := s.requests - s.refusals; n > lives+costs {
		return broken{requestsBounded, fmt.Sprintf("%d tokens were issued, and %d are due for %d ticks and %d for what happened", n, lives, s.clock, costs)}
	}
	probes := h[leaseLost] + h[leaseToo] + h[storeLost] + h[wasted] + h[cutOff] + h[direct]
	if s.refusals > h[trouble]+probes {
		return broken{blockHolds, fmt.Sprintf("%d token requests brought none, in %d times of trouble, with %d losses of what was known", s.refusals, h[trouble], probes)}
	}
	return broken{}
}

// served reports whether all of n replicas have a valid token.
func (s *state) served(n int) bool {
	for i := range n {
		if !s.valid(s.replicas[i].held) {
			return false
		}
	}
	return true
}

// supplied reports whether the fleet needs nothing from the endpoint: somebody
// has a token that all may have, and nobody is about to ask.
func (r *run) supplied(s *state) bool {
	has := s.valid(s.record) && s.record.issued >= s.floor
	for i := range r.limits.replicas {
		switch p := &s.replicas[i]; p.at {
		case idle, due, leased:
			has = has || s.valid(p.held) && p.held.issued >= s.floor
		default:
			return false
		}
	}
	return has
}
