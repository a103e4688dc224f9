package model

import (
	"cmp"
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file is what the shell of a replica does: renew.go, redisdown.go and the Rotate of
// package tokencache, and commit.lua, with the same I/O in the same order. What to do
// next, package replica decides.

// A verb is one kind of step.
type verb uint8

const (
	fetches verb = iota
	writesBack
	obtains
	standsBy
	fetchesAgain
	isDenied
	asks
	isAnswered
	commits
	reports
	releases
	hears
	findsRedisDown
	asksWithoutRedis
	hasRotated

	// What others do, and what becomes of things by themselves.
	heals
	troubleEnds
	leaseEnds
	ticks

	// Faults.
	loseLease
	loseStore
	evict
	crashes
	isCutOff
	refuses
	fallsSilent
	rotates
	shortens
	verbs
)

// A step is what leads from one state to the next.
type step struct {
	verb verb
	who  int // the replica; -1: none
	to   state
	why  broken
}

// A run is what one step needs to know: the mistakes that are made, and where to send
// what may follow.
type run struct {
	limits  limits
	wrong   mistakes
	rows    map[trace.Row]bool // of package trace that were taken
	yield   func(step)
	from    state
	problem broken   // of the step being made
	events  []string // what package trace calls it
}

// does notes an event of the step being made.
func (r *run) does(event string, detail ...any) {
	for _, d := range detail {
		event += fmt.Sprint(":", d)
	}
	r.events = append(r.events, event)
}

// emit passes a step on, if it changes anything.
func (r *run) emit(v verb, who int, to *state) {
	problem, events := r.problem, r.events
	r.problem, r.events = broken{}, nil
	if who >= 0 && v < ticks && problem.promise == none {
		problem = r.follows(events, r.from.replicas[who].at, to.replicas[who].at)
	}
	if *to == r.from && problem.promise == none {
		return
	}
	r.yield(step{v, who, *to, problem})
}

// states are the places, as package trace calls them.
var states = map[place]trace.State{
	idle: trace.Idle, giving: trace.WritingBack, due: trace.Acquiring, leased: trace.Leased, wants: trace.LeasedNeeding,
	asking: trace.LeasedSending, paid: trace.LeasedCommitting, refused: trace.LeasedSending, done: trace.LeasedDone, calling: trace.BeyondSending,
}

// follows holds a step to the table of package trace, as the tests of package tokencache
// hold each refresh of their stories. A shell that makes a mistake is not held to it.
func (r *run) follows(events []string, from, to place) broken {
	if r.wrong != (mistakes{}) {
		return broken{}
	}
	at := states[from]
	for _, event := range events {
		next, ok := at.Next(event)
		if !ok {
			return broken{inOrder, fmt.Sprintf("%s may not follow when the refresh is %s, in %v", event, at, events)}
		}
		r.rows[trace.Row{From: at, Event: event, To: next}] = true
		at = next
	}
	if len(events) > 0 && at != states[to] && !(at == trace.Released && to == idle) {
		return broken{inOrder, fmt.Sprintf("after %v the refresh is %s, and not %s", events, at, states[to])}
	}
	return broken{}
}

// apply lets f make transitions of p, and holds what p serves then against the promises.
// shared says that a token which is new to p came from the fleet.
func (r *run) apply(s *state, p *process, shared bool, f func(c *core)) {
	before, rotating := p.held, p.rotating
	c := s.core(p)
	f(c)
	c.end()
	if c.broken != nil {
		r.breaks(invariants, c.broken.Error())
	}
	if rotating && !p.rotating && s.valid(p.held) && !shared {
		p.must = 0
	}
	if p.held.asked == before.asked {
		return
	}
	if s.valid(before) && cmp.Or(before.issued, before.asked) > cmp.Or(p.held.issued, p.held.asked) {
		r.breaks(neverBack, "it serves a token that is older than the one it had")
	}
	if shared && p.held.asked < s.gone {
		r.breaks(rotatedIsGone, "it adopts a token that was requested before one that was rotated away")
	}
}

// fetch lets p read Redis and decide.
func (r *run) fetch(s *state, p *process, in replica.Context) (next replica.Step) {
	if p.owes && !in.UnderLease {
		in.Reported = true
		s.block = s.mood != well
	}
	p.told = p.told || s.block
	if !in.UnderLease {
		r.does("TakeReports")
		if in.Reported {
			r.does("Reported")
		}
	}
	r.apply(s, p, true, func(c *core) {
		if in.Reported {
			c.TakeReports()
		}
		in.EncryptionKey = errKey
		next = c.Fetched(c.now, 0, s.snapshot(), in, 0)
	})
	r.does("Fetched", next)
	return next
}

// writeBack gives the fleet the token of p, and lets it decide.
func (r *run) writeBack(s *state, p *process, in replica.Context) (next replica.Step) {
	kept := r.commit(s, p.held, r.wrong.lastWriterWins)
	r.apply(s, p, false, func(c *core) { next = c.WroteBack(c.now, 0, kept, s.snapshot(), in, 0) })
	r.does("WroteBack", next)
	return next
}

// commit merges t into what the fleet has, and reports whether that is what the fleet has
// then. blind is how a mistake writes.
func (r *run) commit(s *state, t token, blind bool) bool {
	if t.issued < s.floor {
		return false
	}
	if t.forced {
		s.floor = max(s.floor, t.issued)
	}
	if s.valid(s.record) {
		c := cmp.Or(cmp.Compare(t.issued, s.record.issued), cmp.Compare(t.expires, s.record.expires))
		switch {
		case c == 0:
			return true
		case c < 0 && !blind:
			return false
		case c < 0:
			r.breaks(storeNeverBack, "the record in Redis is replaced by an older one")
		}
	}
	r.wake(s)
	s.record = t
	s.newest = max(s.newest, t.issued)
	if !s.valid(t) { // it has expired on the way
		s.record = token{}
	}
	return true
}

// request sends a token request: what comes of it is decided here, and arrives later.
func (r *run) request(s *state, p *process, req replica.Request) {
	if p.told {
		r.breaks(blockHolds, "it sends a token request, although it knows of a block")
	}
	p.before, p.bound, p.forced = p.held, p.floor, req.Forced
	s.requests++
	p.coming = token{}
	if s.mood != well {
		s.refusals++
		return
	}
	p.coming = token{asked: s.now(), life: s.life()}
	s.next += 2
}

// leave is what is left to a replica that finds Redis unreachable: it goes on with what it
// has. A lease that it held ends by itself.
func (p *process) leave() {
	p.at, p.lease, p.robbed = idle, false, false
	p.coming, p.before, p.bound, p.forced = token{}, token{}, 0, false
}

// steps makes every step that replica i can make.
func (r *run) steps(i int) {
	s := r.from
	p := &s.replicas[i]
	if p.cut {
		r.alone(i)
		return
	}
	switch p.at {
	case idle:
		r.goOn(&s, p, r.fetch(&s, p, replica.Context{}))
		r.emit(fetches, i, &s)

	case giving:
		p.at = idle
		r.goOn(&s, p, r.writeBack(&s, p, replica.Context{}))
		r.emit(writesBack, i, &s)

	case due:
		if s.leased {
			p.at = idle
			r.apply(&s, p, false, func(c *core) { c.LeaseHeld(c.now, []int{0}, terms.Lease, 0) })
			r.does("LeaseHeld")
			r.emit(standsBy, i, &s)
			break
		}
		s.leased, p.lease = true, true
		p.at = leased
		if r.wrong.noSecondFetch {
			p.at = wants
		}
		r.does("LeaseTaken")
		r.emit(obtains, i, &s)

	case leased:
		in := replica.Context{UnderLease: true}
		next := r.fetch(&s, p, in)
		if next == replica.WriteBack {
			next = r.writeBack(&s, p, in)
		}
		p.at = done
		if next == replica.Renew {
			p.at = wants
		}
		r.emit(fetchesAgain, i, &s)

	case wants:
		r.admit(&s, i)

	case asking, calling:
		r.answer(&s, i)

	case paid:
		kept := r.commit(&s, p.coming, r.wrong.lastWriterWins || r.wrong.fence)
		r.apply(&s, p, false, func(c *core) { c.Committed(c.now, 0, p.coming.record(), kept) })
		p.at, p.coming = done, token{}
		r.does("Reported")
		r.does("Committed")
		r.emit(commits, i, &s)

	case refused:
		s.block = s.mood != well
		p.told = p.told || s.block
		r.apply(&s, p, false, func(c *core) { c.Reported(c.now, s.snapshot().Blocked) })
		r.does("Reported")
		r.fails(&s, p)
		p.at = done
		r.emit(reports, i, &s)

	case done:
		if p.lease || r.wrong.releaseAnyones {
			s.leased = false
			for j := range s.replicas {
				s.replicas[j].lease = false
			}
			r.wake(&s)
		}
		p.leave()
		r.does("LeaseReleased")
		r.does("Published")
		r.emit(releases, i, &s)
	}
	r.hear(i)
	r.acknowledge(i)
}

// goOn takes p to where a fetch leads.
func (r *run) goOn(s *state, p *process, next replica.Step) {
	switch next {
	case replica.WriteBack:
		p.at = giving
	case replica.Renew:
		p.at = due
	case replica.Wait:
		r.apply(s, p, false, func(c *core) { c.LeaseHeld(c.now, []int{0}, terms.Lease, 0) })
		r.does("LeaseHeld")
	}
}

// fails applies the failure of the request of p.
func (r *run) fails(s *state, p *process) {
	priority := quota.Need
	if p.forced {
		priority = quota.Forced
	}
	if s.mood != well { // else it was refused, and that is over
		r.apply(s, p, false, func(c *core) {
			c.RequestFailed(c.now, 0, replica.Refused{
				Priority: priority, Err: func(time.Time) error { return errKey },
				Blocks: []quota.Block{{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: quota.MaxWait}},
			}, 0)
		})
	}
	r.does("RequestFailed")
	p.before, p.bound, p.forced = token{}, 0, false
}

// admit asks the ledger, and sends the request if it may be sent.
func (r *run) admit(s *state, i int) {
	p := &s.replicas[i]
	var req replica.Request
	var needed, held bool
	r.apply(s, p, false, func(c *core) {
		if held = c.HeldBack(c.now, 0); !held {
			req, needed = c.Request(c.now, 0, replica.Readable)
		}
		if needed && s.block {
			c.Denied(c.now, 0, &quota.DeniedError{Scope: quota.Client, Reason: quota.QuotaExceeded, Priority: req.Priority, Count: 1, RetryIn: 1000 * tick})
		}
	})
	r.does("HeldBack", held)
	if !held {
		r.does("Request", needed)
	}
	if held || !needed || s.block {
		if needed {
			r.does("Denied")
		}
		p.told = p.told || s.block
		p.at = done
		r.emit(isDenied, i, s)
		return
	}
	r.request(s, p, req)
	r.does("Admitted")
	p.at = asking
	r.emit(asks, i, s)
}

// answer is the end of a token request.
func (r *run) answer(s *state, i int) {
	p := &s.replicas[i]
	withoutRedis := p.at == calling
	req := replica.Request{Before: p.before.record(), MinIssued: p.bound.millis(), Forced: p.forced}
	if p.forced {
		req.Priority = quota.Forced
	}
	switch {
	case p.coming.asked != 0:
		issue := replica.Issue{Sent: p.coming.asked.real(), Record: replica.Record{
			Token: name(p.coming.asked), Lifetime: time.Duration(p.coming.life) * tick, Payload: p.coming.asked,
		}}
		if !withoutRedis {
			issue.Now, issue.Admitted = p.coming.asked.millis(), p.coming.asked.real()
		}
		if r.wrong.liveFromAnswer {
			issue.Sent = s.now().real()
		}
		p.at = paid
		r.apply(s, p, false, func(c *core) {
			record, _ := c.Issued(c.now, req, issue, 0)
			p.coming = tokenOf(record)
		})
		p.told = p.told && p.block
	case r.wrong.retryUnderLease && s.mood == silent && !withoutRedis:
		p.at = wants
	default:
		p.told = p.told || s.mood != well
		p.at = refused
	}
	if p.at != paid {
		p.coming = token{}
	}
	if withoutRedis {
		r.apply(s, p, false, func(c *core) { c.QueueReports(replica.Report{}) })
		r.does("QueueReports")
		if p.at == refused {
			r.fails(s, p)
		} else {
			r.does("Issued")
		}
		p.at, p.coming = idle, token{}
	} else if p.at == paid {
		r.does("Issued")
	}
	if p.at != refused {
		p.before, p.bound, p.forced = token{}, 0, false
	}
	r.emit(isAnswered, i, s)
}

// alone makes the steps of a replica that cannot reach Redis.
func (r *run) alone(i int) {
	s := r.from
	p := &s.replicas[i]
	switch p.at {
	case idle:
		c := s.core(p)
		switch _, _, needs := c.Tokens[0].Need(c.now); {
		case !needs:
		case r.wrong.errorIsNone:
			r.request(&s, p, replica.Request{})
			p.at = asking
			r.emit(asks, i, &s)
		case r.wrong.errorIsHeld:
			p.at = stuck
			r.emit(standsBy, i, &s)
		default:
			may := false
			var beyond []int
			r.apply(&s, p, false, func(c *core) {
				for range c.RedisFailed(c.now, []int{0}, errKey, 0) {
					beyond = append(beyond, 0)
					c.Outage.From = 0 // the spread is over
					may = c.RequestBeyondRedis(c.now, 0, errKey, 0)
				}
			})
			r.does("RedisFailed", len(beyond) > 0)
			if len(beyond) > 0 {
				r.does("RequestBeyondRedis", may)
			}
			if may {
				r.does("Request", true)
			}
			if may && !r.mayHappen(&s, direct) {
				r.events = nil
			} else if may {
				r.request(&s, p, replica.Request{})
				p.at = calling
				r.emit(asksWithoutRedis, i, &s)
			}
		}
	case asking, calling:
		r.answer(&s, i)
	case stuck:
	default:
		r.withoutRedis(&s, p)
		p.leave()
		r.emit(findsRedisDown, i, &s)
	}
}

// withoutRedis is the rest of a refresh that finds Redis unreachable.
func (r *run) withoutRedis(s *state, p *process) {
	underLease := true
	switch p.at {
	case refused:
		r.apply(s, p, false, func(c *core) { c.QueueReports(replica.Report{}) })
		r.does("QueueReports")
		r.fails(s, p)
	case paid:
		r.apply(s, p, false, func(c *core) {
			c.QueueReports(replica.Report{})
			c.CommitFailed(c.now, 0, 0)
		})
		r.does("QueueReports")
		r.does("CommitFailed")
	case giving: // Redis did not take the token
		r.apply(s, p, false, func(c *core) { c.WroteBack(c.now, 0, false, s.snapshot(), replica.Context{}, 0) })
		r.events = nil // what follows is the next refresh
		return
	case due, leased, wants:
		r.apply(s, p, false, func(c *core) { c.RedisFailed(c.now, []int{0}, errKey, 0) })
		r.does("RedisFailed", false)
		underLease = p.at != due
	}
	if underLease {
		r.does("LeaseReleased")
		r.does("Published")
	}
}

// wake is the notification of a holder: there is a token, or the lease is free.
func (r *run) wake(s *state) {
	for j := range s.replicas {
		if q := &s.replicas[j]; q.at == stuck && !q.cut {
			q.at = idle
		}
	}
}

// hear is a notification, which may come at any time. To an idle replica it is a fetch.
func (r *run) hear(i int) {
	s := r.from
	p := &s.replicas[i]
	if p.at == idle || p.at == stuck || !s.valid(s.record) || s.record.issued < s.floor {
		return
	}
	r.apply(&s, p, true, func(c *core) {
		c.Heard(c.now, 0, s.record.record(), s.now().millis(), c.now, 0)
	})
	r.emit(hears, i, &s)
}

// acknowledge is the end of a rotation: Rotate returns nil.
func (r *run) acknowledge(i int) {
	s := r.from
	p := &s.replicas[i]
	if !p.rotating || !s.valid(p.held) || !p.shared || !p.rotated() {
		return
	}
	if p.held.issued <= p.must {
		r.breaks(rotatedIsGone, "Rotate returns, and the token is one that the fleet had before")
	}
	if !p.held.forced && !r.wrong.borrowedRotation {
		t := p.held // of another replica's renewal
		t.forced = true
		r.commit(&s, t, false)
	}
	s.gone = max(s.gone, p.held.asked)
	p.rotating, p.since, p.old, p.must = false, 0, 0, 0
	r.emit(hasRotated, i, &s)
}
