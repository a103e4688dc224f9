package model

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file runs the core of many replicas for a long time on a virtual clock, without
// Redis, network or goroutines, and counts what a fleet costs: token requests, and commands
// that replicas send to Redis. Nothing fails here. A command takes no time, and a token
// request takes requestTakes. The commands of each step are those of the shell (renew.go and
// coldstart.go of package tokencache), which a test there holds to what Redis sees.

const (
	requestTakes = 100 * time.Millisecond
	dialTakes    = 2 * time.Millisecond // until a subscription stands
)

// A simulation is a fleet and its Redis.
type simulation struct {
	terms    replica.Terms
	lifetime time.Duration
	luck     *rand.Rand

	now      time.Duration
	replicas []simulated
	due      queue

	record   *replica.Record
	holder   int // has the lease, or -1
	leaseEnd time.Duration

	requests  int
	commands  int
	perSecond map[int64]int // commands, in the seconds with many
	second    int64
	burst     int // commands in second
	gaps      int // of a replica in which it had no valid token after its first
}

// A simulated replica is in use all the time.
type simulated struct {
	core       replica.State
	served     bool // it has had a token
	subscribed bool
	dialling   bool
	opened     replica.Instant
	wakes      time.Duration // the earliest entry of the queue for it
}

// An event is something that happens to a replica: it wakes, its subscription stands, or
// its request is answered.
type event struct {
	at   time.Duration
	who  int
	what func(r int)
}

type queue []event

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)        { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

func newSimulation(replicas int, lifetime time.Duration) *simulation {
	s := &simulation{
		terms:    replica.Terms{RequestTimeout: 10 * time.Second, Lease: 20 * time.Second},
		lifetime: lifetime, luck: rand.New(rand.NewPCG(1, 2)), now: time.Second, holder: -1, perSecond: make(map[int64]int),
	}
	s.replicas = make([]simulated, replicas)
	return s
}

// instant is what the clocks of all hosts show. That of Redis shows it in milliseconds.
func (s *simulation) instant() replica.Instant { return replica.Instant{Mono: s.now, Wall: s.now} }

func (s *simulation) at(at time.Duration, who int, what func(int)) {
	heap.Push(&s.due, event{at, who, what})
}

// start starts a replica, or starts it again, with a caller who waits.
func (s *simulation) start(who int) {
	r := &s.replicas[who]
	*r = simulated{core: replica.State{Terms: s.terms}}
	r.core.Add("t", []quota.Scope{quota.Client})
	r.core.Wait(0)
	s.arm(who)
}

// run lets time pass until an end.
func (s *simulation) run(until time.Duration) {
	for len(s.due) > 0 && s.due[0].at <= until {
		e := heap.Pop(&s.due).(event)
		s.now = max(s.now, e.at)
		e.what(e.who)
	}
	s.now = until
}

// arm does what follows every transition: it serves the caller, opens or closes the
// subscription, and wakes the replica when State.Next says.
func (s *simulation) arm(who int) {
	r := &s.replicas[who]
	now := s.instant()
	t := &r.core.Tokens[0]
	if t.Waiting > 0 && t.Held.Valid(now) {
		r.core.Leave(now, 0, false)
		r.served = true
	}
	if t.Held.Valid(now) && !t.Used {
		r.core.Touch(now, 0)
	}
	if r.served && !t.Held.Valid(now) {
		s.gaps++
		r.served = false
		r.core.Wait(0)
	}
	r.core.Drain()
	switch wanted := r.core.Wanted(now); {
	case wanted && !r.subscribed && !r.dialling:
		r.dialling, r.opened = true, now
		s.at(s.now+dialTakes, who, s.subscribe)
	case !wanted && r.subscribed:
		r.subscribed = false
		r.core.Unsubscribed(now, false, 0)
	}
	if s.holder == who { // its refresh is in progress
		return
	}
	due, at := r.core.Next(now)
	if len(due) > 0 {
		at = s.now
	}
	if at != 0 && (r.wakes < s.now || at < r.wakes || r.wakes == 0) {
		r.wakes = at
		s.at(at, who, s.wake)
	}
}

func (s *simulation) subscribe(who int) {
	r := &s.replicas[who]
	r.dialling = false
	if !r.core.Wanted(s.instant()) {
		return
	}
	s.sends(2) // HELLO and SUBSCRIBE
	r.subscribed = true
	r.core.Subscribed(s.instant(), r.opened, false, s.luck.Float64())
	s.arm(who)
}

// wake refreshes a replica that is due.
func (s *simulation) wake(who int) {
	r := &s.replicas[who]
	if r.wakes > s.now {
		return
	}
	r.wakes = 0
	now := s.instant()
	if due, _ := r.core.Next(now); len(due) > 0 {
		s.refresh(who)
	}
	s.arm(who)
}

func (s *simulation) refresh(who int) {
	r := &s.replicas[who]
	now := s.instant()
	if r.core.ColdStart(now, 0) {
		s.sends(1)
		if s.record == nil {
			r.core.Probed(0, r.core.Listening())
			if s.leased() {
				r.core.LeaseHeld(now, []int{0}, s.terms.Lease, s.luck.Float64())
				return
			}
			s.sends(3) // the lease, the fetch and the admission, in one pipeline
			s.request(who)
			return
		}
	}
	s.sends(1)
	v := s.snapshot()
	step := r.core.Fetched(now, 0, v, replica.Context{}, s.luck.Float64())
	switch step {
	case replica.Wait:
		r.core.LeaseHeld(now, []int{0}, v.Lease, s.luck.Float64())
	case replica.Renew:
		s.sends(3) // the lease, the fetch under it and the admission
		s.request(who)
	}
}

func (s *simulation) snapshot() replica.Snapshot {
	v := replica.Snapshot{At: s.instant(), Now: s.now.Milliseconds()}
	if s.record != nil && s.record.Expires > v.Now {
		r := *s.record
		v.Record = &r
	}
	if s.leased() {
		v.Lease = s.leaseEnd - s.now
	}
	return v
}

func (s *simulation) leased() bool { return s.holder >= 0 && s.now < s.leaseEnd }

// request takes the lease and sends a token request, which is answered later.
func (s *simulation) request(who int) {
	r := &s.replicas[who]
	s.holder, s.leaseEnd = who, s.now+s.terms.Lease
	v := s.snapshot()
	v.Lease = 0
	if r.core.Fetched(s.instant(), 0, v, replica.Context{UnderLease: true}, s.luck.Float64()) != replica.Renew {
		s.release(who)
		return
	}
	req, needed := r.core.Request(s.instant(), 0, replica.Readable)
	if !needed {
		s.release(who)
		return
	}
	s.requests++
	admitted := s.instant()
	s.at(s.now+requestTakes, who, func(who int) {
		record := replica.Record{Token: fmt.Sprint("token ", s.requests), Lifetime: s.lifetime}
		issue := replica.Issue{Record: record, Sent: admitted, Admitted: admitted, Now: admitted.Mono.Milliseconds()}
		issued, _ := s.replicas[who].core.Issued(s.instant(), req, issue, s.luck.Float64())
		s.sends(2) // the commit and the report
		s.record = &issued
		s.replicas[who].core.Committed(s.instant(), 0, issued, true)
		s.release(who)
		s.publish(who)
		s.arm(who)
	})
}

// release gives the lease back, and publishes that.
func (s *simulation) release(int) {
	s.sends(2)
	s.holder = -1
}

// publish notifies those who subscribe.
func (s *simulation) publish(from int) {
	for who := range s.replicas {
		r := &s.replicas[who]
		if who != from && r.subscribed {
			r.core.Heard(s.instant(), 0, *s.record, s.now.Milliseconds(), r.opened, s.luck.Float64())
			s.arm(who)
		}
	}
}

// sends counts commands.
func (s *simulation) sends(n int) {
	s.commands += n
	if at := int64(s.now / time.Second); at != s.second {
		s.second, s.burst = at, 0
	}
	s.burst += n
	s.perSecond[s.second] = max(s.perSecond[s.second], s.burst)
}

// peak returns the most commands in one second of a time.
func (s *simulation) peak(from, to time.Duration) (most int) {
	for at, n := range s.perSecond {
		if at >= int64(from/time.Second) && at < int64(to/time.Second) {
			most = max(most, n)
		}
	}
	return most
}

// A fleet of any size sends the same few token requests. It starts at once, runs for a
// month, and is restarted once, one replica after the other.
//
//	go test ./tokencache/model -run FleetForAMonth -v -timeout 30m -args -large
func TestFleetForAMonth(t *testing.T) {
	const month = 30 * 24 * time.Hour
	replicas := 500
	if *large {
		replicas = 100_000
	}
	for _, lifetime := range []time.Duration{10 * time.Hour, 24 * time.Hour} {
		t.Run(lifetime.String(), func(t *testing.T) {
			began := time.Now()
			s := newSimulation(replicas, lifetime)
			start := s.now
			for who := range s.replicas {
				s.at(start, who, s.start)
			}
			s.run(start + time.Minute)
			cold := s.commands
			if s.requests != 1 {
				t.Errorf("got %d token requests at the start, want one", s.requests)
			}
			half := start + month/2 + 150*time.Minute // between renewals
			s.run(half)
			before := s.commands
			for who := range s.replicas {
				s.at(half+time.Duration(who)*time.Hour/time.Duration(replicas), who, s.start)
			}
			s.run(half + time.Hour)
			restart := s.commands - before
			s.run(start + month - time.Second)

			period := lifetime - s.terms.Window(lifetime)
			if want := int((month + period - 1) / period); s.requests != want {
				t.Errorf("got %d token requests in a month, want %d", s.requests, want)
			}
			if s.gaps > 0 {
				t.Errorf("replicas were %d times without a valid token", s.gaps)
			}
			for who := range s.replicas {
				if err := s.replicas[who].core.Check(s.instant()); err != nil || !s.replicas[who].served {
					t.Fatalf("replica %d: served: %v, %v", who, s.replicas[who].served, err)
				}
			}
			lives := float64(s.requests - 1)
			perLife := float64(s.commands-cold-restart) / float64(replicas) / lives
			if perLife > 1.2 {
				t.Errorf("got %.2f commands a replica and life, want 1.2 at most", perLife)
			}
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			t.Log(strings.Join([]string{
				fmt.Sprintf("%d replicas, %d token requests", replicas, s.requests),
				fmt.Sprintf("commands: %.2f a replica at the start, %.2f at a restart, %.2f in a life", float64(cold)/float64(replicas), float64(restart)/float64(replicas), perLife),
				fmt.Sprintf("in the busiest second: %d at the start, %d after", s.peak(0, start+time.Minute), s.peak(start+time.Minute, start+month)),
				fmt.Sprintf("simulated in %v with %d MB", time.Since(began).Round(time.Millisecond), memory.Sys>>20),
			}, "; "))
		})
	}
}
