package model

// This file is what a moment of a fleet consists of.

// A token is an access token, as the fleet knows it and as it is. Moments of
// asking are counted by the clock of Redis, each token has one of its own, and
// they are even: between two there is room for a claim. Ticks are the coarse
// time in which tokens grow old.
type token struct {
	asked  uint8 // when it was asked for, in truth; it names the token. 0: no token
	issued uint8 // when it was, as its record claims. 0: asked past Redis, and not known yet
	ends   uint8 // the tick at which it expires, as its record claims
	dies   uint8 // and in truth
	count  uint8 // forced renewals before it: used by a mistake only
	forced bool  // its record raises the floor
}

// A place is where a replica is on the way of a token. Between two places there
// is one step, and between two steps anything may happen: a replica that was
// stopped is one that takes no step.
type place uint8

const (
	idle    place = iota
	giving        // it has looked, and is about to give its token back to the fleet
	due           // it has looked, and is about to try for the lease
	leased        // it has the lease, as it believes, and is about to look again
	wants         // it has looked again, and is about to ask
	asking        // its token request is on the way, or the answer
	paid          // it has a new token, and the fleet has not
	refused       // it has no new token, and the ledger does not know why
	done          // it is about to give the lease back
	calling       // it asks past Redis
	stuck         // it waits for the word of a holder: where a mistake leads
)

// A replica is one process. What it knows and does comes first; the marks below
// are for the promises, and decide nothing.
type replica struct {
	at     place
	held   token // the token in memory; it may have expired
	coming token // what the answer to its request brings. None: nothing
	since  uint8 // a rotation runs: it is over with a token asked for later than this. 0: none runs
	shared bool  // the fleet has its token
	cut    bool  // it cannot reach Redis
	block  bool  // it knows that nobody may ask
	owes   bool  // the ledger has to hear of a refusal

	lease  bool  // the lease in Redis has its name
	robbed bool  // a fault took the lease from it
	told   bool  // it was told that nobody may ask
	must   uint8 // the newest token that was the fleet's when the rotation began
}

// mood is how the token endpoint answers.
type mood uint8

const (
	well   mood = iota
	strict      // no token until the quota is there again: status 429
	silent      // tokens are issued, and their answers get lost
)

// A fault is something that may go wrong, or that somebody does, a limited
// number of times.
type fault uint8

const (
	leaseLost  fault = iota // the lease of a live holder ends: a pause, or a failover
	storeLost               // Redis loses all it knew
	evicted                 // Redis evicts the record, and nothing else
	crash                   // a replica dies; the next one in its place is cold
	wasted                  // of those, the ones that took with them what only they knew
	cutOff                  // a replica loses Redis
	direct                  // and asks past it
	trouble                 // the endpoint gives no tokens for a while
	rotation                // an operator wants another token
	shortening              // tokens live shorter from now on
	leaseToo                // of the losses of all data, the ones that took a lease with them
	faults
)

const maxReplicas = 4

// A state is a moment of the fleet, of Redis and of the token endpoint.
type state struct {
	replicas [maxReplicas]replica

	// Redis.
	record token
	leased bool // somebody's name is in the lease, perhaps that of one who has died
	floor  uint8
	block  bool // the ledger knows that nobody may ask

	// The world.
	clock uint8 // ticks
	next  uint8 // the next moment of asking
	mood  mood
	short bool // tokens live shorter

	// For the promises.
	requests uint8 // token requests
	refusals uint8 // of those, the ones that no token came of
	newest   uint8 // the issue of the newest record there ever was
	gone     uint8 // tokens asked for before this were rotated away
	happened [faults]uint8
}

// life is how many ticks a token lives, and window how many of them are its
// renewal window.
const (
	life      = 3
	shortLife = 2
	window    = 1
)

func (s *state) life() uint8 {
	if s.short {
		return shortLife
	}
	return life
}

// valid reports whether t can be served, as far as the fleet knows.
func (s *state) valid(t token) bool { return t.asked != 0 && s.clock < t.ends }

// stale reports whether t is in its renewal window.
func (s *state) stale(t token) bool { return s.clock+window >= t.ends }

// A key is a state in few bytes, so that millions can be remembered.
type key [maxReplicas + 2]uint64

// bits packs small numbers into a word.
type bits struct {
	word uint64
	used int
}

func (b *bits) put(v uint8, width int) {
	if v>>width != 0 || b.used+width > 64 {
		panic("model: a number does not fit: fewer faults, or ticks")
	}
	b.word |= uint64(v) << b.used
	b.used += width
}

func (b *bits) flag(v bool) {
	if v {
		b.word |= 1 << b.used
	}
	b.used++
}

func (b *bits) token(t token) {
	b.put(t.asked, 5)
	b.put(t.issued, 5)
	b.put(t.ends, 3)
	b.put(t.dies, 3)
	b.put(t.count, 2)
	b.flag(t.forced)
}

func (b *bits) get(width int) uint8 {
	v := uint8(b.word & (1<<width - 1))
	b.word >>= width
	return v
}

func (b *bits) got() bool { return b.get(1) == 1 }

func (b *bits) gotToken() token {
	return token{b.get(5), b.get(5), b.get(3), b.get(3), b.get(2), b.got()}
}

func (r *replica) pack() uint64 {
	var b bits
	b.put(uint8(r.at), 4)
	b.token(r.held)
	b.token(r.coming)
	b.put(r.since, 5)
	b.put(r.must, 5)
	b.flag(r.shared)
	b.flag(r.cut)
	b.flag(r.block)
	b.flag(r.owes)
	b.flag(r.lease)
	b.flag(r.robbed)
	b.flag(r.told)
	return b.word
}

func unpackReplica(word uint64) replica {
	b := bits{word: word}
	return replica{
		at: place(b.get(4)), held: b.gotToken(), coming: b.gotToken(), since: b.get(5), must: b.get(5),
		shared: b.got(), cut: b.got(), block: b.got(), owes: b.got(), lease: b.got(), robbed: b.got(), told: b.got(),
	}
}

func (s *state) pack() (k key) {
	for i := range s.replicas {
		k[i] = s.replicas[i].pack()
	}
	var b bits
	b.token(s.record)
	b.flag(s.leased)
	b.put(s.floor, 5)
	b.flag(s.block)
	b.put(s.clock, 3)
	b.put(s.next, 5)
	b.put(uint8(s.mood), 2)
	b.flag(s.short)
	b.put(s.requests, 4)
	b.put(s.refusals, 4)
	b.put(s.newest, 5)
	b.put(s.gone, 5)
	k[maxReplicas] = b.word
	b = bits{}
	for _, n := range s.happened {
		b.put(n, 3)
	}
	k[maxReplicas+1] = b.word
	return k
}

func (k key) unpack() (s state) {
	for i := range s.replicas {
		s.replicas[i] = unpackReplica(k[i])
	}
	b := bits{word: k[maxReplicas]}
	s.record, s.leased, s.floor, s.block = b.gotToken(), b.got(), b.get(5), b.got()
	s.clock, s.next, s.mood, s.short = b.get(3), b.get(5), mood(b.get(2)), b.got()
	s.requests, s.refusals, s.newest, s.gone = b.get(4), b.get(4), b.get(5), b.get(5)
	b = bits{word: k[maxReplicas+1]}
	for i := range s.happened {
		s.happened[i] = b.get(3)
	}
	return s
}

// sorted is k with the first n replicas in order. All replicas run the same
// program, so it does not matter which of them is where: what can follow one
// order can follow any other.
func (k key) sorted(n int) key {
	for i := 1; i < n; i++ {
		for j := i; j > 0 && k[j] < k[j-1]; j-- {
			k[j], k[j-1] = k[j-1], k[j]
		}
	}
	return k
}
