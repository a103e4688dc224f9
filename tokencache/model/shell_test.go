package model

import (
	"errors"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file is the refresh of a replica: the I/O of renew.go, redisdown.go and report.go of
// package tokencache, in the same order. Each step ends with an I/O in progress. What to do
// next, package replica decides. The order is held to the table of package trace.

var errTest = errors.New("an error")

// steps makes every step that a replica can make.
func (p *process) steps(w *world, wrong mistakes, step func(v verb, f fault, make func(*turn))) {
	quiet := p.at == trace.Idle || p.at == trace.Released
	due, _ := p.core.Next(w.now())
	switch {
	case p.stuck != 0:
	case p.reading && p.at == trace.Acquiring:
		step(receives, faults, (*turn).receivesCold)
	case p.reading:
		step(receives, faults, (*turn).receives)
	case quiet && len(due) == 0:
	case quiet && p.cut && wrong.errorIsNone:
		step(asks, faults, (*turn).asksAtOnce)
	case quiet && p.cut && wrong.errorIsHeld:
		step(standsBy, faults, func(t *turn) { t.p.stuck = t.w.newest + 1 })
	case quiet && p.cut:
		step(findsRedisDown, faults, (*turn).redisFailed)
	case quiet && p.core.ColdStart(w.now(), 0) && !w.has():
		step(probes, faults, (*turn).probes)
	case quiet:
		step(fetches, faults, (*turn).fetches)
		if !p.undated() {
			step(reads, slow, (*turn).reads)
		}
	case p.at == trace.Fetched:
		step(flushes, faults, (*turn).flushes)
	case p.at == trace.WritingBack || p.at == trace.LeasedWritingBack:
		step(writesBack, faults, (*turn).writesBack)
		step(writesBack, replyLost, func(t *turn) { t.commit(t.p.token().Held.Record); t.wroteBack(false) })
	case p.at == trace.Acquiring && p.early.cold:
		step(obtains, faults, (*turn).obtainsCold)
	case p.at == trace.Acquiring:
		step(obtains, faults, (*turn).obtains)
		if !p.cut && !w.leased {
			step(findsRedisDown, replyLost, func(t *turn) { t.w.leased = true; t.redisFailed() })
		}
	case p.at == trace.Leased && p.cut:
		step(findsRedisDown, faults, (*turn).redisFailed)
	case p.at == trace.Leased:
		step(fetchesAgain, faults, (*turn).fetchesAgain)
		step(reads, slow, (*turn).reads)
	case p.at == trace.LeasedNeeding:
		p.requests(w, step)
	case p.at == trace.LeasedSending && !p.sent:
		step(sends, faults, (*turn).sends)
	case p.at == trace.LeasedSending:
		step(isAnswered, faults, (*turn).isAnswered)
	case p.at == trace.Beyond || p.at == trace.LeasedBeyond:
		step(isDenied, faults, (*turn).goesBeyond)
	case p.at == trace.BeyondSending || p.at == trace.LeasedBeyondSending:
		step(isAnswered, faults, (*turn).isAnsweredBeyond)
	case p.at == trace.LeasedCommitting && p.commit == pending:
		step(commits, faults, (*turn).commits)
		step(commits, replyLost, func(t *turn) { t.commit(t.p.made); t.p.commit = failed })
	case p.at == trace.LeasedCommitting:
		step(reports, faults, (*turn).reportsIssue)
	case p.at == trace.LeasedDone:
		step(releases, faults, (*turn).releases)
	default:
		panic("model: a replica stays " + p.at.String())
	}
	p.notified(w, step)
	p.calls(w, step)
	p.suffers(w, step)
}

// reads begins a fetch whose reply takes a while.
func (t *turn) reads() {
	t.p.view, t.p.reading, t.p.gone = t.w.snapshot(), true, t.w.gone
}

func (t *turn) receives() {
	switch t.p.reading = false; {
	case t.p.cut:
		t.redisFailed()
	case t.p.at.UnderLease():
		t.fetched()
	default:
		t.takeReports()
	}
}

// learn notes for the promises that the replica knows of a block.
func (t *turn) learn(until uint8) {
	if until > t.w.tick {
		t.p.told = max(t.p.told, until)
	}
}

func (t *turn) fetches() {
	t.reads()
	t.p.reading = false
	t.takeReports()
}

func (t *turn) fetchesAgain() {
	t.reads()
	t.p.reading = false
	t.fetched()
}

func (t *turn) takeReports() {
	t.transition("TakeReports", func(s *replica.State) { t.p.reports = s.TakeReports() })
	switch {
	case len(t.p.reports) == 0:
		t.fetched()
	case t.p.undated():
		t.flushes()
	}
}

// undated reports whether the token was requested without Redis, and is to be dated by the
// reply, as old as it can be: so the reply comes at once.
func (p *process) undated() bool {
	r := p.token().Held.Record
	return r.Token != "" && r.Expires == 0
}

// flushes sends the queued reports.
func (t *turn) flushes() {
	for len(t.p.reports) > 0 {
		r := t.p.reports
		if t.p.cut {
			t.transition("QueueReports", func(s *replica.State) { s.QueueReports(r...) })
			break
		}
		t.p.reports = r[1:]
		t.sendReport(r[0])
	}
	t.p.reports, t.p.reported = nil, true
	t.fetched()
}

func (t *turn) sendReport(r replica.Report) {
	t.w.report(r)
	t.learn(t.w.blocked)
	t.transition("Reported", func(s *replica.State) { s.Reported(t.w.now(), t.w.blocks()) })
}

func (t *turn) context() replica.Context {
	return replica.Context{UnderLease: t.p.at.UnderLease(), Reported: t.p.reported, EncryptionKey: errTest}
}

func (t *turn) fetched() {
	for _, b := range t.p.view.Blocked {
		t.learn(tickOf(t.p.view.At.Mono + b.Remaining))
	}
	var next replica.Step
	t.apply(func(s *replica.State) { next = s.Fetched(t.w.now(), 0, t.p.view, t.context(), 0) })
	t.event("Fetched:" + next.String())
	t.follow(next)
}

// follow goes on where a fetch leads.
func (t *turn) follow(next replica.Step) {
	switch next {
	case replica.WriteBack:
		return
	case replica.Wait:
		t.leaseHeld(t.p.view.Lease)
	case replica.Done:
		if !t.p.at.UnderLease() {
			t.apply((*replica.State).RedisWorked)
		}
	}
	t.p.view, t.p.gone, t.p.reported = replica.Snapshot{}, 0, false
}

func (t *turn) leaseHeld(remaining time.Duration) {
	t.transition("LeaseHeld", func(s *replica.State) { s.LeaseHeld(t.w.now(), []int{0}, remaining, 0) })
}

func (t *turn) writesBack() {
	t.wroteBack(!t.p.cut && t.commit(t.p.token().Held.Record))
}

func (t *turn) wroteBack(kept bool) {
	var next replica.Step
	t.apply(func(s *replica.State) { next = s.WroteBack(t.w.now(), 0, kept, t.p.view, t.context(), 0) })
	t.event("WroteBack:" + next.String())
	t.follow(next)
	if t.p.early.cold {
		t.takesBack()
	}
}

// commit merges a record into what the fleet has.
func (t *turn) commit(r replica.Record) bool {
	if t.p.cut {
		return false
	}
	kept, back := t.w.commit(recordOf(r), t.x.wrong.lastWriterWins || t.x.wrong.fence && t.p.at == trace.LeasedCommitting)
	if back {
		t.breaks(storeNeverBack, "the record in Redis is replaced by an older one")
	}
	return kept
}

func (t *turn) takes() { t.w.leased, t.p.lease, t.p.taken = true, true, t.w.tick }

func (t *turn) obtains() {
	switch {
	case t.p.cut:
		t.verb = findsRedisDown
		t.redisFailed()
	case t.w.leased:
		t.verb = standsBy
		t.leaseHeld(lease / 2)
	default:
		t.takes()
		t.event("LeaseTaken")
		if t.x.wrong.noSecondFetch {
			t.p.at = trace.LeasedNeeding
		}
	}
}

// releases gives the lease back, which is published unless too little of it was left.
func (t *turn) releases() {
	if t.x.wrong.releaseAnyones && !t.p.cut && !t.p.lease {
		t.marks |= stripped
		t.w.leased = false
	}
	if t.p.lease && !t.p.cut {
		t.w.leased = false
	}
	short := t.p.short
	t.p.lease, t.p.taken, t.p.robbed, t.p.short = false, 0, false, false
	t.event("LeaseReleased")
	if !short {
		t.event("Published")
	}
}
