package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file is the shell around the core of one simulated replica: the order of
// tokencache/renew.go and coldstart.go without faults, with one token. Each function
// ends by sending commands, and goes on with the reply.

// A simReplica is one process with one token, whose id is 0.
type simReplica struct {
	sim     *simulation
	state   replica.State
	started time.Duration
	trace   *trace.Checker // nil: the order of this replica's steps is not checked

	armed      time.Duration // when the timer rings; 0: it is not armed
	refreshing bool
	served     bool // callers got a token
	closed     bool

	subscription *simSubscriber // nil: there is none, and none is being opened
}

// newSimReplica starts a process. A caller waits for its first token.
func newSimReplica(s *simulation, checked bool) *simReplica {
	r := &simReplica{sim: s, state: replica.State{Terms: s.terms}, started: s.now}
	if checked {
		r.trace = &trace.Checker{}
	}
	r.state.Add("token", nil) // no block is ever set, so scopes are of no use
	r.apply(func(_ replica.Instant, state *replica.State) { state.Wait(0) })
	return r
}

// apply is client.apply: it lets f change the state, serves callers, and starts what is due
// or arms the timer.
func (r *simReplica) apply(f func(now replica.Instant, state *replica.State)) {
	now := r.sim.instant()
	r.inspect(now)
	r.check(now, f)
	r.state.Drain()
	t := &r.state.Tokens[0]
	if t.Waiting > 0 {
		if answer := r.state.Answer(now, 0, replica.Want{}, now.Mono+30*time.Second); answer.Done {
			r.sim.fail(answer.Err)
			r.state.Leave(now, 0, false)
			r.served = answer.Err == nil
			r.sim.cost.slowest = max(r.sim.cost.slowest, now.Mono-r.started)
		}
	}
	if t.Held.Valid(now) && !t.Used { // by the caller that waited, or by the next one
		r.state.Touch(now, 0)
	}
	r.begin(now)
}

// inspect counts a time in which callers found no valid token. Only a transition can end
// one, so it is called before each.
func (r *simReplica) inspect(now replica.Instant) {
	if r.served && !r.closed && !r.state.Tokens[0].Held.Valid(now) {
		r.sim.cost.without++
	}
}

// check applies f, and holds some of the states to the invariants of package replica.
func (r *simReplica) check(now replica.Instant, f func(now replica.Instant, state *replica.State)) {
	r.sim.transitions++
	if r.sim.transitions%r.sim.sample != 0 {
		f(now, &r.state)
		return
	}
	before := r.state
	before.Tokens = slices.Clone(before.Tokens)
	f(now, &r.state)
	r.sim.cost.checked++
	r.sim.fail(r.state.Check(now))
	r.sim.fail(replica.CheckStep(&before, &r.state, now))
}

// step notes a step of the refresh, as client.traced does.
func (r *simReplica) step(event string) {
	if r.trace != nil {
		r.sim.fail(r.trace.Step(event, 0))
	}
}

// begin is client.start.
func (r *simReplica) begin(now replica.Instant) {
	switch wanted := r.state.Wanted(now) && !r.closed; {
	case wanted && r.subscription == nil:
		r.listen(now)
	case !wanted && r.state.Subscription.Open:
		r.unsubscribe(now)
	}
	if r.refreshing || r.closed {
		return
	}
	due, at := r.state.Next(now)
	switch {
	case len(due) > 0:
		r.refreshing = true
		r.refresh(now)
	case at != 0 && at != r.armed:
		r.armed = at
		r.sim.after(at-now.Mono, func() {
			if r.armed == at && !r.closed { // it was not armed anew
				r.armed = 0
				r.apply(func(replica.Instant, *replica.State) {})
			}
		})
	}
}

// listen opens a subscription.
func (r *simReplica) listen(opened replica.Instant) {
	sub := &simSubscriber{receive: func(record *replica.Record, redisNow int64) {
		r.apply(func(now replica.Instant, state *replica.State) {
			if record == nil {
				state.Released(now)
			} else {
				state.Heard(now, 0, *record, redisNow, opened, r.sim.draw())
			}
		})
	}}
	r.subscription = sub
	r.sim.send(1, func() { r.sim.subscribe(sub) }, func() {
		r.apply(func(now replica.Instant, state *replica.State) { state.Subscribed(now, opened, false, r.sim.draw()) })
	})
}

func (r *simReplica) unsubscribe(now replica.Instant) {
	r.sim.unsubscribe(r.subscription)
	r.subscription = nil
	r.state.Unsubscribed(now, false, r.sim.draw())
}

// close ends the process. A refresh in progress is finished.
func (r *simReplica) close() {
	r.closed = true
	r.begin(r.sim.instant())
}

// done ends a refresh. If another one is due, it begins at once.
func (r *simReplica) done() {
	r.refreshing = false
	r.apply(func(replica.Instant, *replica.State) {})
}

// refresh is client.refreshOnce.
func (r *simReplica) refresh(now replica.Instant) {
	if r.state.ColdStart(now, 0) {
		r.probe()
		return
	}
	r.catchUp()
}

// catchUp is the rest of client.refreshOnce.
func (r *simReplica) catchUp() {
	r.fetch(false, func(step replica.Step, v replica.Snapshot) {
		switch step {
		case replica.Renew:
			r.renew()
		case replica.Wait:
			r.leaseHeld(v.Lease)
		default:
			r.done()
		}
	})
}

// fetch is client.fetch and client.merge.
func (r *simReplica) fetch(underLease bool, then func(replica.Step, replica.Snapshot)) {
	sent, heard := r.sim.instant(), r.state.Listening()
	var v replica.Snapshot
	r.sim.send(1, func() { v = r.sim.read(sent, heard) }, func() {
		if !underLease {
			r.step("TakeReports")
		}
		r.merge(v, underLease, then)
	})
}

func (r *simReplica) merge(v replica.Snapshot, underLease bool, then func(replica.Step, replica.Snapshot)) {
	in := replica.Context{UnderLease: underLease}
	var step replica.Step
	r.apply(func(now replica.Instant, state *replica.State) {
		step = state.Fetched(now, 0, v, in, r.sim.draw())
	})
	r.step("Fetched:" + step.String())
	if step != replica.WriteBack {
		then(step, v)
		return
	}
	var kept bool
	r.sim.send(1, func() { kept = r.sim.commit(r.state.Tokens[0].Held.Record) }, func() {
		r.apply(func(now replica.Instant, state *replica.State) {
			step = state.WroteBack(now, 0, kept, v, in, r.sim.draw())
		})
		r.step("WroteBack:" + step.String())
		then(step, v)
	})
}

func (r *simReplica) leaseHeld(remaining time.Duration) {
	r.apply(func(now replica.Instant, state *replica.State) {
		state.LeaseHeld(now, []int{0}, remaining, r.sim.draw())
	})
	r.step("LeaseHeld")
	r.done()
}

// probe is client.startCold.
func (r *simReplica) probe() {
	heard := r.state.Listening()
	var v replica.Snapshot
	r.sim.send(1, func() { v = r.sim.read(replica.Instant{}, heard) }, func() {
		if v.Record != nil {
			r.catchUp()
			return
		}
		r.apply(func(_ replica.Instant, state *replica.State) { state.Probed(0, heard) })
		if v.Lease > 0 {
			r.step("Probed:held")
			r.leaseHeld(r.sim.terms.Lease)
			return
		}
		r.step("Probed:free")
		r.renewCold()
	})
}

// renewCold is client.renewCold: the lease, a fetch and the admission in one round trip.
func (r *simReplica) renewCold() {
	sent, heard := r.sim.instant(), r.state.Listening()
	var taken, admitted bool
	var v replica.Snapshot
	r.sim.send(3, func() {
		taken = r.sim.take()
		v = r.sim.read(sent, heard)
		admitted = taken && v.Record == nil
	}, func() {
		if !taken {
			r.apply(func(_ replica.Instant, state *replica.State) { state.Contended(0) })
			r.leaseHeld(v.Lease)
			return
		}
		r.step("LeaseTaken")
		r.merge(v, true, func(step replica.Step, v replica.Snapshot) {
			switch {
			case step == replica.Renew && !r.heldBack():
				r.requestToken(v, admitted)
			case admitted: // client.takeBack
				r.sim.send(1, func() {}, r.release)
			default:
				r.release()
			}
		})
	})
}

// renew is client.renew and client.renewUnderLease.
func (r *simReplica) renew() {
	var taken bool
	var left time.Duration
	r.sim.send(1, func() {
		taken = r.sim.take()
		left = r.sim.leasedUntil - r.sim.now
	}, func() {
		if !taken { // a command of its own tells for how long
			r.sim.send(1, func() {}, func() { r.leaseHeld(left) })
			return
		}
		r.step("LeaseTaken")
		r.fetch(true, func(step replica.Step, v replica.Snapshot) {
			if step == replica.Renew && !r.heldBack() {
				r.requestToken(v, false)
				return
			}
			r.release()
		})
	})
}

func (r *simReplica) heldBack() (held bool) {
	r.apply(func(now replica.Instant, state *replica.State) { held = state.HeldBack(now, 0) })
	r.step(fmt.Sprint("HeldBack:", held))
	return held
}

// requestToken is client.requestToken. The ledger admits every request. It has admitted
// this one at v if admitted is set.
func (r *simReplica) requestToken(v replica.Snapshot, admitted bool) {
	var req replica.Request
	var needed bool
	r.apply(func(now replica.Instant, state *replica.State) { req, needed = state.Request(now, 0, v.Problem) })
	r.step(fmt.Sprint("Request:", needed))
	switch {
	case !needed:
		r.release()
	case admitted:
		r.ask(req, v.Now)
	default:
		var at int64
		r.sim.send(1, func() { at = r.sim.redisNow() }, func() { r.ask(req, at) })
	}
}

// ask sends the token request, and gives the fleet the token: one command for the commit,
// one for the report.
func (r *simReplica) ask(req replica.Request, redisNow int64) {
	r.step("Admitted")
	sent := r.sim.instant()
	r.sim.request(func(token string) {
		issue := replica.Issue{Record: replica.Record{Token: token, Lifetime: r.sim.lifetime}, Sent: sent, Now: redisNow, Admitted: sent}
		var record replica.Record
		r.apply(func(now replica.Instant, state *replica.State) {
			record, _ = state.Issued(now, req, issue, r.sim.draw())
		})
		r.step("Issued")
		var kept bool
		r.sim.send(1, func() { kept = r.sim.commit(record) }, func() {
			r.sim.send(1, func() {}, func() {
				r.step("Reported")
				r.apply(func(now replica.Instant, state *replica.State) { state.Committed(now, 0, record, kept) })
				r.step("Committed")
				r.sim.after(r.state.Throttle(r.sim.instant(), sent), r.release)
			})
		})
	})
}

// release gives the lease back, and publishes that.
func (r *simReplica) release() {
	r.sim.send(1, func() { r.sim.leasedUntil = 0 }, func() {
		r.step("LeaseReleased")
		r.sim.send(1, func() { r.sim.publish(nil) }, func() {
			r.step("Published")
			r.done()
		})
	})
}
