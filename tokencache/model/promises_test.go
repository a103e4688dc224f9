package model

import (
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

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
	promises
)

// String returns the name of p.
func (p promise) String() string {
	return [promises]string{
		"none", "oneInFlight", "storeNeverBack", "neverBack", "neverExpired", "requestsBounded", "blockHolds", "rotatedIsGone",
		"recovers", "recoversAtNoCost", "invariants",
	}[p]
}

// A broken promise, and how.
type broken struct {
	promise promise
	how     string
}

// facts are what the promises have to know of a replica.
type facts struct {
	valid    bool // it has a token that it serves
	heldUp   bool // it has none, and knows that it gets none before the next tick
	lease    bool // the lease has its name
	robbed   bool // it does not know that the lease is lost
	inFlight bool // its token request is, under a lease
	busy     bool // it is about to send a token request, or has the answer
	dies     uint8
	issued   int32
}

func (p *process) facts() facts {
	at := begins(p.tick) + time.Millisecond
	now := replica.Instant{Mono: at, Wall: at}
	held := recordOf(p.token().Held.Record)
	f := facts{
		valid: p.token().Held.Valid(now), lease: p.lease, robbed: p.robbed, inFlight: p.at == trace.LeasedSending && p.sent,
		dies: held.dies, issued: held.issued,
	}
	f.heldUp = !f.valid && (p.core.Blocked(now, 0) != nil || p.token().Failing(now) || p.sent && p.coming.n == 0 || len(p.view.Blocked) > 0)
	switch p.at {
	case trace.Idle, trace.Released, trace.Fetched, trace.WritingBack, trace.Acquiring, trace.Leased, trace.LeasedWritingBack, trace.LeasedDone:
		f.busy = p.reading && p.at != trace.Idle && p.at != trace.Released // it may have read too early
	default:
		f.busy = true
	}
	return f
}

// judge holds a state against the promises that a state can break.
func (x *search) judge(s *state) broken {
	inFlight, robbed := 0, 0
	for _, id := range s.replicas[:x.limits.replicas] {
		f := &x.facts[id]
		if f.inFlight {
			inFlight++
			if f.robbed {
				robbed++
			}
		}
		if f.valid && s.world.tick >= f.dies {
			return broken{neverExpired, "a token is served that has expired"}
		}
	}
	h := &s.happened
	// A request whose sender has lost its lease by a fault is the only kind that may be
	// there besides another one. So there are never more than one and the leases lost.
	if inFlight > robbed+1 {
		return broken{oneInFlight, fmt.Sprintf("%d token requests are in flight, and %d of the senders lost their leases", inFlight, robbed)}
	}
	period := uint8((longLife - window + tick) / tick)
	if h[shortening] > 0 {
		period = uint8((shortLife - window + tick) / tick)
	}
	lives := 1 + s.world.tick/period
	// A replica that loses Redis with an answer on the way cannot share it.
	losses := h[leaseLost] + h[leaseToo] + h[storeLost] + h[wasted] + h[cutOff] + h[direct] + h[replyLost]
	costs := losses + h[evicted] + h[rotation_] + h[invalidation]
	if n := s.requests - s.refusals; n > lives+costs {
		return broken{requestsBounded, fmt.Sprintf("%d tokens were issued, and %d are due for %d ticks and %d for what happened", n, lives, s.world.tick, costs)}
	}
	if s.refusals > s.troubles+losses {
		return broken{blockHolds, fmt.Sprintf("%d token requests brought none, in %d ticks of trouble, with %d losses of what was known", s.refusals, s.troubles, losses)}
	}
	return broken{}
}
