package model

import (
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file is a token request under the lease, from the ledger to the commit, and one
// that is sent without Redis.

// then says how a request goes on when it is admitted.
type then int

const (
	atOnce  then = iota // it is sent
	later               // the replica stops first, after it has found that there is time
	tooLate             // it is not sent, since too little is left of the lease
)

// requests makes the steps of a replica that needs a token, and has the lease as it
// believes. It knows when the lease that it took ends, and not whether it was lost.
func (p *process) requests(w *world, step func(v verb, f fault, make func(*turn))) {
	ended := p.taken < w.tick
	if ended || p.robbed {
		if p.early.cold {
			step(findsLeaseShort, faults, func(t *turn) { t.asks(tooLate) })
		} else {
			step(findsLeaseShort, faults, func(t *turn) { t.p.short = true; t.redisFailed() })
			step(findsLeaseShort, slow, func(t *turn) { t.asks(tooLate); t.skip = t.p.at != trace.LeasedDone })
		}
	}
	if ended {
		return
	}
	step(asks, faults, func(t *turn) { t.asks(atOnce) })
	step(asks, slow, func(t *turn) { t.asks(later); t.skip = t.p.at != trace.LeasedSending })
	if !p.early.cold {
		step(findsRedisDown, replyLost, (*turn).admissionLost)
	}
}

// asks asks the ledger, and goes on if the request is admitted.
func (t *turn) asks(then then) {
	var held, needed bool
	t.apply(func(s *replica.State) { held = s.HeldBack(t.w.now(), 0) })
	t.event(fmt.Sprint("HeldBack:", held))
	if !held {
		needed = t.requests()
	}
	switch {
	case !needed:
		t.verb = isDenied
		t.takesBack()
	case t.p.early.n != 0 || t.p.early.denied != nil:
		t.admittedEarly(then)
	case t.p.cut:
		t.verb = findsRedisDown
		t.notAdmitted()
	default:
		t.admits(then)
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

func (t *turn) admits(then then) {
	if denied := t.w.admit(t.p.request.Priority); denied != nil {
		t.learn(t.w.blocked)
		t.denied(denied)
		return
	}
	t.admitted(t.w.seq, millis(t.w.requested()), t.w.now(), then)
}

func (t *turn) denied(denied *quota.DeniedError) {
	t.verb = isDenied
	t.apply((*replica.State).RedisWorked)
	t.transition("Denied", func(s *replica.State) { s.Denied(t.w.now(), 0, denied) })
	t.p.request = replica.Request{}
}

func (t *turn) admitted(n uint8, now int64, at replica.Instant, then then) {
	t.p.early = early{}
	t.event("Admitted")
	t.apply((*replica.State).RedisWorked)
	t.p.asked, t.p.coming = replica.Issue{Now: now, Admitted: at}, record{n: n}
	switch then {
	case atOnce:
		t.sends()
	case tooLate:
		t.unsent()
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
	if t.p.coming = t.w.issue(t.p.coming.n); t.p.coming.n == 0 {
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
	for t.p.made.Issued >= millis(t.w.now()) { // a request takes some milliseconds
		t.w.seq++
	}
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

// redisFailed is an error of Redis: the token may be requested without it.
func (t *turn) redisFailed() {
	t.p.view, t.p.gone, t.p.early = replica.Snapshot{}, 0, early{}
	var beyond []int
	t.apply(func(s *replica.State) { beyond = s.RedisFailed(t.w.now(), []int{0}, errTest, false, 1) })
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
	if t.p.coming = t.w.issue(t.w.seq); t.p.coming.n == 0 {
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
	t.p.asked, t.p.coming = replica.Issue{Now: millis(t.w.requested()), Admitted: t.w.now()}, record{n: t.w.seq}
	t.sends()
}

func (t *turn) requestsUnasked() {
	t.apply(func(s *replica.State) { t.p.request, _ = s.Request(t.w.now(), 0, replica.Readable) })
}
