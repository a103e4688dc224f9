package model

import "cmp"

// This file is what a replica does: renew.go, adopt.go and commit.lua of package
// tokencache, with the same steps in the same order.

// A verb is one kind of step.
type verb uint8

const (
	looks verb = iota
	givesBack
	obtains
	standsBy
	looksAgain
	isDenied
	asks
	isAnswered
	commits
	accounts
	releases
	hears
	findsRedisAway
	callsPastRedis
	rotated

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

// A step is a way from one state to the next.
type step struct {
	verb verb
	who  int // the replica; -1: none
	to   state
	why  broken
}

// A run is what one step of the model needs to know: the mistakes that are made,
// and where to send what may follow.
type run struct {
	limits  limits
	wrong   mistakes
	yield   func(step)
	from    state
	problem broken // of the step being made
}

// emit passes a step on, if it changes anything.
func (r *run) emit(v verb, who int, to *state) {
	problem := r.problem
	r.problem = broken{}
	if *to == r.from && problem.promise == none {
		return
	}
	r.yield(step{v, who, *to, problem})
}

// order says which of two records is the newer one.
func (r *run) order(a, b token) int {
	if r.wrong.orderByCount {
		return cmp.Or(cmp.Compare(a.count, b.count), cmp.Compare(a.ends, b.ends), cmp.Compare(a.asked, b.asked))
	}
	return cmp.Or(cmp.Compare(a.issued, b.issued), cmp.Compare(a.ends, b.ends))
}

// belowFloor reports whether t was issued before the last forced renewal.
func (r *run) belowFloor(s *state, t token) bool {
	switch {
	case r.wrong.noFloor:
		return false
	case r.wrong.orderByCount:
		return t.count < s.floor
	default:
		return t.issued < s.floor
	}
}

// moment is when t was asked for, as far as anybody can know.
func (t token) moment() uint8 { return cmp.Or(t.issued, t.asked) }

// unwanted reports whether a rotation has yet to replace the token in memory.
func (p *replica) unwanted() bool { return p.since != 0 && p.held.issued <= p.since }

// needs reports whether p needs a token request.
func (s *state) needs(p *replica) bool {
	return !s.valid(p.held) || s.stale(p.held) || p.unwanted()
}

// adopt makes t the token in memory.
func (r *run) adopt(s *state, p *replica, t token, shared bool) {
	if s.valid(p.held) && p.held.moment() > t.moment() {
		r.breaks(neverBack, "it serves a token that is older than the one it had")
	}
	if shared && t.asked < s.gone {
		r.breaks(rotatedIsGone, "it adopts a token that was asked for before one that was rotated away")
	}
	p.held, p.shared = t, shared
}

// learn keeps a copy of the fleet's block.
func (r *run) learn(s *state, p *replica) {
	if p.owes {
		p.owes = false
		s.block = s.mood != well
	}
	if !s.block {
		return
	}
	p.told = true
	p.block = !r.wrong.forgetBlocks
	if s.valid(p.held) {
		p.since, p.must = 0, 0 // a forced renewal is not repeated by itself: Rotate fails
	}
}

// merge takes the better of two tokens: the one in memory and the fleet's. It
// reports whether the fleet should have the one in memory.
func (r *run) merge(s *state, p *replica) (mine bool) {
	if p.held.asked != 0 && p.held.issued == 0 { // asked for past Redis: now it is known when
		p.held.issued = p.held.asked
		if r.wrong.liftToFloor {
			p.held.issued = max(p.held.issued, s.floor)
		}
	}
	valid := s.valid(p.held)
	if s.valid(s.record) && !r.belowFloor(s, s.record) && (!valid || r.order(s.record, p.held) >= 0) {
		if p.held != s.record {
			r.adopt(s, p, s.record, true)
		}
		p.shared = true
		return false
	}
	return valid && !r.belowFloor(s, p.held) && !r.wrong.keepBack
}

// commit merges t into what the fleet has, and reports whether that is what the
// fleet has then. blind is how a mistake writes.
func (r *run) commit(s *state, t token, blind bool) bool {
	if r.belowFloor(s, t) {
		return false
	}
	switch {
	case r.wrong.orderByCount:
		s.floor = max(s.floor, t.count)
	case t.forced:
		s.floor = max(s.floor, t.issued)
	}
	if s.valid(s.record) {
		switch c := r.order(t, s.record); {
		case c == 0:
			return true
		case c < 0 && !blind:
			return false
		}
		if cmp.Or(cmp.Compare(t.issued, s.record.issued), cmp.Compare(t.ends, s.record.ends)) < 0 {
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

// request sends a token request: what comes of it is decided here, and arrives
// later.
func (r *run) request(s *state, p *replica) {
	if p.told {
		r.breaks(blockHolds, "it asks, although it was told that nobody may")
	}
	s.requests++
	p.coming = token{}
	if s.mood != well {
		s.refusals++
		return
	}
	p.coming = token{asked: s.next, ends: s.clock + s.life(), dies: s.clock + s.life()}
	s.next += 2
}

// leave is what is left to a replica that finds Redis away: it goes on with what
// it has. A lease that it held ends by itself.
func (p *replica) leave() {
	p.at, p.lease, p.robbed = idle, false, false
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
		r.learn(&s, p)
		switch mine := r.merge(&s, p); {
		case mine:
			p.at = giving
		case s.needs(p) && !p.block && !s.block:
			p.at = due
		}
		r.emit(looks, i, &s)

	case giving:
		p.shared = r.commit(&s, p.held, r.wrong.lastWriterWins)
		p.at = idle
		r.emit(givesBack, i, &s)

	case due:
		if s.leased {
			p.at = idle
			r.emit(standsBy, i, &s)
			break
		}
		s.leased, p.lease = true, true
		p.at = leased
		if r.wrong.noSecondLook {
			p.at = wants
		}
		r.emit(obtains, i, &s)

	case leased:
		r.learn(&s, p)
		if r.merge(&s, p) {
			p.shared = r.commit(&s, p.held, r.wrong.lastWriterWins)
		}
		p.at = done
		if s.needs(p) && !p.block && !s.block {
			p.at = wants
		}
		r.emit(looksAgain, i, &s)

	case wants:
		if s.block || p.block || !s.needs(p) {
			r.learn(&s, p)
			p.at = done
			r.emit(isDenied, i, &s)
			break
		}
		forced := s.valid(p.held) && p.unwanted()
		r.request(&s, p)
		if p.coming.asked != 0 {
			p.coming.forced = forced
			p.coming.issued = p.coming.asked
			if r.wrong.orderByCount {
				p.coming.count = max(p.held.count, s.floor)
				if forced {
					p.coming.count++
				}
			}
		}
		p.at = asking
		r.emit(asks, i, &s)

	case asking, calling:
		r.answer(&s, i)

	case paid:
		p.shared = r.commit(&s, p.held, r.wrong.lastWriterWins || r.wrong.fence)
		p.at = done
		r.emit(commits, i, &s)

	case refused:
		p.owes = true
		r.learn(&s, p)
		p.at = done
		r.emit(accounts, i, &s)

	case done:
		if p.lease || r.wrong.releaseAnyones {
			s.leased = false
			for j := range s.replicas {
				s.replicas[j].lease = false
			}
			r.wake(&s)
		}
		p.at, p.lease, p.robbed = idle, false, false
		r.emit(releases, i, &s)
	}
	r.hear(i)
	r.acknowledge(i)
}

// answer is the end of a token request.
func (r *run) answer(s *state, i int) {
	p := &s.replicas[i]
	direct := p.at == calling
	switch {
	case p.coming.asked != 0:
		t := p.coming
		if r.wrong.liveFromAnswer {
			t.ends += s.clock + s.life() - t.dies
		}
		p.block = false // a success disproves it
		p.at = paid
		switch heard := s.valid(p.held) && p.held.moment() > t.asked; {
		case heard && direct && r.wrong.pastIsNewest, !heard:
			r.adopt(s, p, t, false)
		case heard && !direct && r.wrong.answerIsNewest:
			t.issued = p.held.issued + 1
			r.adopt(s, p, t, false)
		default: // the fleet has a newer one, which it heard of meanwhile
			p.at = done
		}
	case s.mood == well: // it was refused, and that is over
		p.at = done
	case r.wrong.retryUnderLease && s.mood == silent && !direct:
		p.at = wants
	default:
		p.told = true
		p.block = !r.wrong.forgetBlocks
		p.owes = true
		if s.valid(p.held) {
			p.since, p.must = 0, 0
		}
		p.at = refused
	}
	p.coming = token{}
	if direct {
		p.at = idle
	}
	r.emit(isAnswered, i, s)
}

// alone makes the steps of a replica that cannot reach Redis.
func (r *run) alone(i int) {
	s := r.from
	p := &s.replicas[i]
	switch p.at {
	case idle:
		switch {
		case s.valid(p.held) && !s.stale(p.held) || p.block:
		case r.wrong.errorIsNone:
			r.request(&s, p)
			p.coming.issued = p.coming.asked
			p.at = asking
			r.emit(asks, i, &s)
		case r.wrong.errorIsHeld:
			p.at = stuck
			r.emit(standsBy, i, &s)
		case !s.valid(p.held) && r.mayHappen(&s, direct):
			r.request(&s, p)
			p.at = calling
			r.emit(callsPastRedis, i, &s)
		}
	case asking, calling:
		r.answer(&s, i)
	case stuck:
	default:
		if p.at == refused {
			p.owes = true
		}
		p.leave()
		r.emit(findsRedisAway, i, &s)
	}
}

// wake is the word of a holder: there is a token, or the lease is free.
func (r *run) wake(s *state) {
	for j := range s.replicas {
		if q := &s.replicas[j]; q.at == stuck && !q.cut {
			q.at = idle
		}
	}
}

// hear is news, which may come at any time. To those who are idle it is a look.
func (r *run) hear(i int) {
	s := r.from
	p := &s.replicas[i]
	if p.at == idle || p.at == stuck || p.held.issued == 0 && p.held.asked != 0 {
		return
	}
	if s.valid(s.record) && !r.belowFloor(&s, s.record) && r.order(s.record, p.held) > 0 {
		r.adopt(&s, p, s.record, true)
		r.emit(hears, i, &s)
	}
}

// acknowledge is the end of a rotation: Rotate returns nil.
func (r *run) acknowledge(i int) {
	s := r.from
	p := &s.replicas[i]
	if p.since == 0 || !s.valid(p.held) || !p.shared || p.unwanted() {
		return
	}
	if p.held.issued <= p.must {
		r.breaks(rotatedIsGone, "Rotate returns, and the token is one that the fleet had before")
	}
	if !r.wrong.borrowedRotation {
		t := p.held
		t.forced = true
		r.commit(&s, t, false) // raises the floor, if that was somebody else's token
	}
	s.gone = max(s.gone, p.held.asked)
	p.since, p.must = 0, 0
	r.emit(rotated, i, &s)
}
