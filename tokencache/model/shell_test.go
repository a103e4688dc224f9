package model

import (
	"errors"
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/quota"
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
	case p.reading:
		step(receives, faults, (*turn).receives)
	case quiet && len(due) == 0:
	case quiet && p.cut && wrong.errorIsNone:
		step(asks, faults, (*turn).asksAtOnce)
	case quiet && p.cut && wrong.errorIsHeld:
		step(standsBy, faults, func(t *turn) { t.p.stuck = t.w.newest + 1 })
	case quiet && p.cut:
		step(findsRedisDown, faults, (*turn).redisFailed)
	case quiet:
		step(fetches, faults, (*turn).fetches)
		step(reads, slow, (*turn).reads)
	case p.at == trace.Fetched:
		step(flushes, faults, (*turn).flushes)
	case p.at == trace.WritingBack || p.at == trace.LeasedWritingBack:
		step(writesBack, faults, (*turn).writesBack)
		step(writesBack, replyLost, func(t *turn) { t.commit(t.p.token().Held.Record); t.wroteBack(false) })
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
		step(asks, faults, func(t *turn) { t.asks(true) })
		step(asks, slow, func(t *turn) { t.asks(false); t.skip = t.p.at != trace.LeasedSending })
		step(findsRedisDown, replyLost, (*turn).admissionLost)
		if p.robbed {
			step(findsLeaseShort, faults, func(t *turn) { t.p.short = true; t.redisFailed() })
		}
	case p.at == trace.LeasedSending && !p.sent:
		step(sends, faults, (*turn).sends)
		if p.robbed {
			step(findsLeaseShort, faults, (*turn).unsent)
		}
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
	t.learn(t.w.blocked)
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
	if len(t.p.reports) == 0 {
		t.fetched()
	}
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

func (t *turn) obtains() {
	switch {
	case t.p.cut:
		t.verb = findsRedisDown
		t.redisFailed()
	case t.w.leased:
		t.verb = standsBy
		t.leaseHeld(lease / 2)
	default:
		t.w.leased, t.p.lease = true, true
		t.event("LeaseTaken")
		if t.x.wrong.noSecondFetch {
			t.p.at = trace.LeasedNeeding
		}
	}
}

// asks asks the ledger, and sends the request if it is admitted, at once or a while later.
func (t *turn) asks(atOnce bool) {
	var held, needed bool
	t.apply(func(s *replica.State) { held = s.HeldBack(t.w.now(), 0) })
	t.event(fmt.Sprint("HeldBack:", held))
	if !held {
		needed = t.requests()
	}
	switch {
	case !needed:
		t.verb = isDenied
	case t.p.cut:
		t.verb = findsRedisDown
		t.notAdmitted()
	default:
		t.admits(atOnce)
	}
}

func (t *turn) requests() (needed bool) {
	t.apply(func(s *replica.State) { t.p.request, needed = s.Request(t.w.now(), 0, replica.Readable) })
	t.event(fmt.Sprint("Request:", needed))
	if !needed {
		t.p.request = replica.Request{}
	}
	return needed
}

func (t *turn) admits(atOnce bool) {
	if denied := t.w.admit(t.p.request.Priority); denied != nil {
		t.verb = isDenied
		t.learn(t.w.blocked)
		t.apply((*replica.State).RedisWorked)
		t.transition("Denied", func(s *replica.State) { s.Denied(t.w.now(), 0, denied) })
		t.p.request = replica.Request{}
		return
	}
	t.event("Admitted")
	t.apply((*replica.State).RedisWorked)
	t.p.asked = replica.Issue{Now: millis(t.w.requested()), Admitted: t.w.now()}
	t.p.coming = record{n: t.w.seq}
	if atOnce {
		t.sends()
	}
}

// admissionLost is an admission whose reply is lost.
func (t *turn) admissionLost() {
	held := false
	t.apply(func(s *replica.State) { held = s.HeldBack(t.w.now(), 0) })
	t.event(fmt.Sprint("HeldBack:", held))
	if t.skip = t.p.cut || held || !t.requests(); t.skip {
		return
	}
	t.w.admit(t.p.request.Priority)
	t.notAdmitted()
}

func (t *turn) notAdmitted() {
	t.p.request = replica.Request{}
	t.transition("QueueReports", func(s *replica.State) { s.QueueReports(unsent) })
	t.redisFailed()
}

var unsent = replica.Report{Answer: quota.Answer{Outcome: quota.Unsent}}

// sends sends the request that was admitted.
func (t *turn) sends() {
	t.ask()
	n := t.p.coming.n
	if t.p.coming = t.w.issue(); t.p.coming.n != 0 {
		t.p.coming.n = n
	} else {
		t.marks |= refused
	}
	t.p.sent, t.p.asked.Sent = true, t.w.now()
}

func (t *turn) ask() {
	t.marks |= asked
	if t.p.told > t.w.tick {
		t.breaks(blockHolds, "it sends a token request, although it knows of a block")
	}
}

// unsent is a request that is not sent, since too little is left of the lease.
func (t *turn) unsent() {
	t.p.request, t.p.asked, t.p.coming = replica.Request{}, replica.Issue{}, record{}
	t.report(unsent)
	t.redisFailed()
}

// report tells the ledger, or queues that.
func (t *turn) report(r replica.Report) {
	if t.p.cut {
		t.transition("QueueReports", func(s *replica.State) { s.QueueReports(r) })
		return
	}
	t.sendReport(r)
}

// isAnswered is the end of a token request under the lease.
func (t *turn) isAnswered() {
	if t.p.coming.n != 0 {
		t.issued()
		return
	}
	if t.x.wrong.retryUnderLease {
		t.p.at, t.p.sent, t.p.request, t.p.asked = trace.LeasedNeeding, false, replica.Request{}, replica.Issue{}
		return
	}
	t.report(t.failure(false))
	t.failed()
}

// failure is the report of a request that brought no token.
func (t *turn) failure(unadmitted bool) replica.Report {
	t.learn(t.w.tick + 1)
	return replica.Report{Received: t.w.now(), Unadmitted: unadmitted, Answer: quota.Answer{
		Outcome: quota.Refused, Blocks: []quota.Block{{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: tick / 2}},
	}}
}

func (t *turn) failed() {
	r := replica.Refused{
		Priority: t.p.request.Priority, Reason: t.p.request.Reason, Blocks: t.failure(false).Answer.Blocks,
		Err: func(time.Time) error { return errTest },
	}
	t.transition("RequestFailed", func(s *replica.State) { s.RequestFailed(t.w.now(), 0, r, 0) })
	t.p.request, t.p.asked, t.p.sent = replica.Request{}, replica.Issue{}, false
}

// issued makes the token of an answer this replica's.
func (t *turn) issued() {
	t.p.asked.Record = t.p.coming.core()
	t.transition("Issued", func(s *replica.State) { t.p.made, _ = s.Issued(t.w.now(), t.p.request, t.p.asked, 0) })
	t.p.told = 0
	t.p.request, t.p.asked, t.p.coming, t.p.sent = replica.Request{}, replica.Issue{}, record{}, false
}

func (t *turn) commits() {
	switch {
	case t.p.cut:
		t.p.commit = failed
	case t.commit(t.p.made):
		t.p.commit = kept
	default:
		t.p.commit = older
	}
}

// reportsIssue tells the ledger of a token, and then finishes the commit.
func (t *turn) reportsIssue() {
	t.report(replica.Report{Received: t.w.now(), Answer: quota.Answer{Outcome: quota.Issued}})
	now, made := t.w.now(), t.p.made
	if t.p.commit == failed {
		t.transition("CommitFailed", func(s *replica.State) { s.CommitFailed(now, 0, 0) })
	} else {
		t.transition("Committed", func(s *replica.State) { s.Committed(now, 0, made, t.p.commit == kept) })
	}
	t.p.made, t.p.commit = replica.Record{}, pending
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
	t.p.lease, t.p.robbed, t.p.short = false, false, false
	t.event("LeaseReleased")
	if !short {
		t.event("Published")
	}
}

// redisFailed is an error of Redis: the token may be requested without it.
func (t *turn) redisFailed() {
	t.p.view, t.p.gone = replica.Snapshot{}, 0
	var beyond []int
	t.apply(func(s *replica.State) { beyond = s.RedisFailed(t.w.now(), []int{0}, errTest, 1) })
	t.event(fmt.Sprint("RedisFailed:", len(beyond) > 0))
}

// goesBeyond requests the token without Redis, if the budget allows it.
func (t *turn) goesBeyond() {
	may := false
	t.apply(func(s *replica.State) { may = s.RequestBeyondRedis(t.w.now(), 0, errTest, 0) })
	t.event(fmt.Sprint("RequestBeyondRedis:", may))
	if !may || !t.requests() {
		return
	}
	t.verb = asksWithoutRedis
	t.ask()
	t.marks |= direct_
	t.w.seq++
	if t.p.coming = t.w.issue(); t.p.coming.n == 0 {
		t.marks |= refused
	}
	t.p.sent, t.p.asked = true, replica.Issue{Sent: t.w.requested()}
}

// isAnsweredBeyond is the end of a token request without Redis.
func (t *turn) isAnsweredBeyond() {
	if t.p.coming.n == 0 {
		r := t.failure(true)
		t.transition("QueueReports", func(s *replica.State) { s.QueueReports(r) })
		t.failed()
		return
	}
	r := replica.Report{Received: t.w.now(), Unadmitted: true, Answer: quota.Answer{Outcome: quota.Issued}}
	t.transition("QueueReports", func(s *replica.State) { s.QueueReports(r) })
	t.issued()
	t.p.made = replica.Record{}
}

// asksAtOnce is what a mistake leads to.
func (t *turn) asksAtOnce() {
	t.requestsUnasked()
	t.w.seq++
	t.p.at = trace.LeasedSending
	t.p.asked = replica.Issue{Now: millis(t.w.requested()), Admitted: t.w.now()}
	t.p.coming = record{n: t.w.seq}
	t.sends()
}

func (t *turn) requestsUnasked() {
	t.apply(func(s *replica.State) { t.p.request, _ = s.Request(t.w.now(), 0, replica.Readable) })
}
