package model

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is what the replicas of a simulated fleet share: a virtual clock with a queue
// of events, Redis, and the token endpoint. A replica is in simreplica_test.go, and a fleet
// of them in plan_test.go.

// A fleetPlan says which fleet to simulate, and for how long. Callers use every replica
// all the time.
type fleetPlan struct {
	replicas   int
	duration   time.Duration
	lifetime   time.Duration // of each token
	terms      replica.Terms
	roundTrip  time.Duration // to Redis, on average: each takes from a half to three halves of it
	endpoint   time.Duration // how long a token request takes
	starting   time.Duration // replicas start evenly within this time; zero: all in one instant
	restarting time.Duration // a rolling restart in the middle takes this long; zero: there is none
}

// A fleetCost is what a simulation counted. A pipeline counts as its commands, a script
// as one command. The handshakes of connections are not counted.
type fleetCost struct {
	requests  []time.Duration // when each token request was sent
	commands  []uint32        // that Redis received in each second
	delivered int             // notifications: one for each subscriber of each publication

	slowest time.Duration // the longest time from the start of a replica to its first token
	without int           // how often a replica, once served, had no valid token
	checked int           // transitions whose states were held to the invariants
	broken  error         // the first invariant or step of package trace that did not hold
}

// total returns the number of commands in a time.
func (c *fleetCost) total(from, to time.Duration) (n int) {
	for _, in := range c.commands[from/time.Second : to/time.Second] {
		n += int(in)
	}
	return n
}

// peak returns the most commands in one second of a time.
func (c *fleetCost) peak(from, to time.Duration) (most int) {
	for _, in := range c.commands[from/time.Second : to/time.Second] {
		most = max(most, int(in))
	}
	return most
}

// requested returns the number of token requests in a time.
func (c *fleetCost) requested(from, to time.Duration) (n int) {
	for _, at := range c.requests {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

// A simulation is what the replicas of a fleet share, at one time.
type simulation struct {
	fleetPlan
	cost   fleetCost
	random *rand.Rand

	now     time.Duration
	queue   simQueue
	entered int // how many events were added

	sample      int // one in so many transitions is checked
	transitions int

	// What is in Redis.
	record      *replica.Record
	leasedUntil time.Duration
	subscribers []*simSubscriber
}

// A simSubscriber receives notifications: that the lease is free if record is nil, and
// otherwise the record that was published at redisNow.
type simSubscriber struct {
	receive func(record *replica.Record, redisNow int64)
	index   int // in subscribers; negative: it has unsubscribed
}

func newSimulation(p fleetPlan, sample int) *simulation {
	s := &simulation{fleetPlan: p, sample: sample, random: rand.New(rand.NewPCG(1, 2))}
	s.cost.commands = make([]uint32, p.duration/time.Second+1)
	return s
}

// run lets all events happen, in order, until the duration of the plan is over.
func (s *simulation) run() {
	for len(s.queue) > 0 && s.queue[0].at < s.duration {
		e := s.queue.pop()
		s.now = e.at
		e.do()
	}
	s.now = s.duration
}

// fail keeps the first error.
func (s *simulation) fail(err error) {
	if err != nil && s.cost.broken == nil {
		s.cost.broken = fmt.Errorf("after %v: %w", s.now, err)
	}
}

// draw returns a random number for a transition.
func (s *simulation) draw() float64 { return s.random.Float64() }

// instant returns the time as a replica reads it: its two clocks agree.
func (s *simulation) instant() replica.Instant { return replica.Instant{Mono: s.now, Wall: s.now} }

// redisNow returns the clock of Redis, in Unix milliseconds.
func (s *simulation) redisNow() int64 { return 1_700_000_000_000 + s.now.Milliseconds() }

// after calls do after a time.
func (s *simulation) after(d time.Duration, do func()) {
	s.entered++
	s.queue.push(simEvent{s.now + d, s.entered, do})
}

// send sends some commands to Redis in one round trip. They are executed together, and
// then the reply is on its way.
func (s *simulation) send(commands int, execute, reply func()) {
	half := func() time.Duration { return time.Duration((0.5 + s.draw()) * float64(s.roundTrip) / 2) }
	s.after(half(), func() {
		s.cost.commands[s.now/time.Second] += uint32(commands)
		execute()
		s.after(half(), reply)
	})
}

// request sends a token request, which brings the number of the token.
func (s *simulation) request(answer func(token string)) {
	s.cost.requests = append(s.cost.requests, s.now)
	token := fmt.Sprint("token ", len(s.cost.requests))
	s.after(s.endpoint, func() { answer(token) })
}

// read is read.lua.
func (s *simulation) read(sent replica.Instant, heard int) replica.Snapshot {
	v := replica.Snapshot{At: sent, Heard: heard, Now: s.redisNow(), Lease: max(0, s.leasedUntil-s.now)}
	if s.record != nil && s.record.Expires > v.Now {
		v.Record = s.record
	}
	return v
}

// commit is commit.lua.
func (s *simulation) commit(r replica.Record) (kept bool) {
	if s.record != nil && s.record.Expires > s.redisNow() {
		if order := r.Compare(*s.record); order <= 0 {
			return order == 0
		}
	}
	s.record = &r
	s.publish(&r)
	return true
}

// take takes the lease, unless it is held.
func (s *simulation) take() bool {
	if s.leasedUntil > s.now {
		return false
	}
	s.leasedUntil = s.now + s.terms.Lease
	return true
}

func (s *simulation) subscribe(n *simSubscriber) {
	n.index = len(s.subscribers)
	s.subscribers = append(s.subscribers, n)
}

func (s *simulation) unsubscribe(n *simSubscriber) {
	last := s.subscribers[len(s.subscribers)-1]
	s.subscribers[n.index], last.index = last, n.index
	s.subscribers = s.subscribers[:len(s.subscribers)-1]
	n.index = -1
}

// publish delivers a notification to each replica that is subscribed now. All take the
// same time, so that no notification overtakes another.
func (s *simulation) publish(record *replica.Record) {
	published := s.redisNow()
	for _, n := range s.subscribers {
		s.cost.delivered++
		s.after(s.roundTrip/2, func() {
			if n.index >= 0 {
				n.receive(record, published)
			}
		})
	}
}

// A simEvent happens at a time. Events of one time happen in the order in which they were
// added.
type simEvent struct {
	at    time.Duration
	order int
	do    func()
}

func (e *simEvent) before(other *simEvent) bool {
	return e.at < other.at || e.at == other.at && e.order < other.order
}

// A simQueue is a binary heap of events, the earliest first.
type simQueue []simEvent

func (q *simQueue) push(e simEvent) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 && e.before(&h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = e
	*q = h
}

func (q *simQueue) pop() simEvent {
	h := *q
	first, last := h[0], h[len(h)-1]
	h[len(h)-1].do = nil
	h = h[:len(h)-1]
	*q = h
	for i := 0; len(h) > 0; {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if child >= len(h) || !h[child].before(&last) {
			h[i] = last
			break
		}
		h[i] = h[child]
		i = child
	}
	return first
}
