package model

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"
)

// This file is what a state of a fleet consists of.

// An instant is a time of the world, which all clocks show: whole ticks, in which tokens
// grow old, and moments, of which each token request takes two. So there is room for a
// claim between two requests.
type instant uint16

const momentsPerTick = 32

func at(tick, moment uint8) instant { return instant(tick)*momentsPerTick + instant(moment) }

func (t instant) tick() uint8 { return uint8(t / momentsPerTick) }

// A token is an access token, as its record claims it to be and as it is.
type token struct {
	asked   instant // when it was requested, in truth; it names the token. 0: no token
	issued  instant // when it was, as its record claims. 0: requested without Redis, and not known yet
	expires instant // as its record claims
	life    uint8   // in ticks
	forced  bool    // records issued earlier are not adopted any more
}

// dies is when a token expires, in truth.
func (t token) dies() instant { return t.asked + instant(t.life)*momentsPerTick }

// A place is where a replica is on the way of a token. Between two places there is one
// step, and between two steps anything may happen: a replica that was stopped is one that
// takes no step.
type place uint8

const (
	idle    place = iota
	giving        // it has fetched, and is about to write back
	due           // it has fetched, and is about to take the lease
	leased        // it has the lease, as it believes, and is about to fetch again
	wants         // it has fetched again, and is about to ask
	asking        // its token request is in flight, or the answer
	paid          // it has a new token, and the fleet has not
	refused       // its request failed, and the ledger does not know
	done          // it is about to give the lease back
	calling       // it requests a token without Redis
	stuck         // it waits for a notification: where a mistake leads
)

// A process is one replica. What it knows and does comes first: it makes a replica.State,
// which decides (core_test.go). The marks below are for the promises, and decide nothing.
type process struct {
	at     place
	held   token   // the token in memory; it may have expired
	coming token   // what the answer to its request brings. None: nothing
	before token   // what it held when it decided to ask
	bound  instant // and the earliest issue that it might have adopted then
	forced bool
	floor  instant // the earliest issue that it may adopt
	shared bool    // the fleet has its token
	cut    bool    // it cannot reach Redis
	block  bool    // it knows that nobody may ask
	owes   bool    // a report is queued
	sent   bool    // it has spent its budget for requests without Redis

	rotating bool    // Rotate was called, and has not returned
	since    instant // when it read Redis
	old      instant // the token to be replaced, by its name

	lease  bool    // the lease in Redis has its name
	robbed bool    // a fault took the lease from it
	told   bool    // it was refused, or read of a block
	must   instant // the issue of the newest record there was when the rotation began
}

// mood is how the token endpoint answers.
type mood uint8

const (
	well   mood = iota
	strict      // no token until the quota is there again: status 429
	silent      // tokens are issued, and their answers get lost
)

// A fault is something that may go wrong, or that an operator does, a limited number of
// times.
type fault uint8

const (
	leaseLost  fault = iota // the lease of a live holder ends: a pause, or a failover
	storeLost               // Redis loses its data
	evicted                 // Redis evicts the record, and nothing else
	crash                   // a replica dies; the next one in its place is cold
	wasted                  // of those, the ones that took with them what only they knew
	cutOff                  // a replica loses Redis
	direct                  // and requests a token without it
	trouble                 // the endpoint gives no tokens for a while
	rotation                // an operator rotates the token
	shortening              // tokens live shorter from now on
	leaseToo                // of the losses of all data, the ones that took a lease with them
	faults
)

const maxReplicas = 4

// A state is one of the fleet, of Redis and of the token endpoint.
type state struct {
	replicas [maxReplicas]process

	// Redis.
	record token
	leased bool // a name is in the lease; its replica may have died
	floor  instant
	block  bool // the ledger knows that nobody may ask

	// The world.
	clock uint8 // ticks
	next  uint8 // the next moment in which a token is requested
	mood  mood
	short bool // tokens live shorter

	// For the promises.
	requests uint8   // token requests
	refusals uint8   // of those, the ones that no token came of
	newest   instant // the issue of the newest record there ever was
	gone     instant // tokens requested before this were rotated away
	happened [faults]uint8
}

// The life of a token, and its renewal window, in ticks.
const (
	life      = 3
	shortLife = 2
	window    = 1
)

func (s *state) now() instant { return at(s.clock, s.next) }

func (s *state) life() uint8 {
	if s.short {
		return shortLife
	}
	return life
}

// valid reports whether t can be served, as far as the fleet knows.
func (s *state) valid(t token) bool { return t.asked != 0 && s.clock < t.expires.tick() }

// tick is how long a tick lasts: longer than the leeway of a token.
const tick = 100 * time.Second

// A print is a state in few bits, whichever replica is which: all of them run the same
// program, so what can follow one order can follow any other. Two states have the same
// print with a probability of 2^-128.
type print [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// printOf returns the print of a state.
func printOf(s *state, replicas int) (p print) {
	var each [maxReplicas][48]byte
	for i := range replicas {
		s.replicas[i].write(&each[i])
	}
	slices.SortFunc(each[:replicas], func(a, b [48]byte) int { return cmp.Compare(string(a[:]), string(b[:])) })
	var whole [maxReplicas*48 + 64]byte
	n := 0
	for i := range replicas {
		n += copy(whole[n:], each[i][:])
	}
	b := whole[:n]
	b = s.record.append(b)
	b = append(b, bits(s.leased, s.block, s.short), s.clock, s.next, byte(s.mood), s.requests, s.refusals)
	for _, t := range []instant{s.floor, s.newest, s.gone} {
		b = binary.LittleEndian.AppendUint16(b, uint16(t))
	}
	b = append(b, s.happened[:]...)
	return print{maphash.Bytes(seeds[0], b), maphash.Bytes(seeds[1], b)}
}

func (p *process) write(to *[48]byte) {
	b := to[:0]
	b = append(b, byte(p.at), bits(p.forced, p.shared, p.cut, p.block, p.owes, p.sent, p.rotating), bits(p.lease, p.robbed, p.told))
	for _, t := range []token{p.held, p.coming, p.before} {
		b = t.append(b)
	}
	for _, t := range []instant{p.floor, p.bound, p.since, p.old, p.must} {
		b = binary.LittleEndian.AppendUint16(b, uint16(t))
	}
}

func (t token) append(b []byte) []byte {
	for _, at := range []instant{t.asked, t.issued, t.expires} {
		b = binary.LittleEndian.AppendUint16(b, uint16(at))
	}
	return append(b, t.life, bits(t.forced))
}

func bits(flags ...bool) (b byte) {
	for i, on := range flags {
		if on {
			b |= 1 << i
		}
	}
	return b
}
