package tokencache

import (
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// A held token is the fleet's token in this replica's memory. It is immutable,
// but for the marks at its end, and it is replaced as a whole.
type held struct {
	token  *oauth2.Token
	header []string // the value of the Authorization header, shared by all requests
	record record

	// Its age counts from just before the question whose answer told how much
	// of its life was left. Neither clock is compared with another host's.
	since moment
	left  time.Duration // how much of its life was left then
	plan  plan
	late  time.Duration // how much later than the renewer this replica looks for a new one
	look  time.Duration // the age at which it does

	checked atomic.Int64 // the age at which both clocks were last compared
	used    atomic.Bool  // somebody has asked for it
	noticed atomic.Bool  // somebody has seen that it wants attention
	shared  atomic.Bool  // the fleet has it
}

// A moment is a reading of both clocks of this host. A machine that sleeps stops
// the monotonic one, and somebody may set the other.
type moment struct{ mono, wall time.Time }

// moment reads both clocks.
func (c *Cache) moment() moment { return moment{time.Now(), c.wall().Round(0)} }

// String tells nothing of the token.
func (h *held) String() string { return "a held token" }

// GoString returns String.
func (h *held) GoString() string { return h.String() }

// same reports whether other is the same token, perhaps measured at another
// time.
func (h *held) same(other *held) bool {
	return h != nil && other != nil && h.record.body.Token == other.record.body.Token
}

// blink is how long the monotonic clock alone is believed. A machine that goes
// to sleep stops that clock, and only the wall clock tells when it wakes. But
// to freeze every task and every device takes longer than a blink, and the
// monotonic clock runs meanwhile, as it does while a process is stopped: so
// after a sleep, the last comparison is more than a blink ago.
const blink = time.Millisecond

// fresh reports whether h can be served without a further thought. It is what
// Token costs: one reading of the monotonic clock, 35 of its 40 nanoseconds.
// time.Now would read the wall clock as well, and cost as much as the whole of
// oauth2.ReuseTokenSource.
func (h *held) fresh() bool {
	age := time.Since(h.since.mono)
	return age < h.look && age-time.Duration(h.checked.Load()) < blink && h.used.Load()
}

// age returns how long ago h was measured, by the clock that says more. The
// wall clock may have been set meanwhile; then h seems older than it is, and
// whoever looks measures it anew.
func (h *held) age(wall time.Time) time.Duration {
	mono := time.Since(h.since.mono)
	age := ageBy(mono, wall.Sub(h.since.wall))
	if age-mono < maxDrift { // the clocks agree, so one of them will do for a blink
		h.checked.Store(int64(mono))
	}
	return age
}

func ageBy(mono, wall time.Duration) time.Duration { return max(mono, wall) }

// drifted reports whether the wall clock has run so far ahead that it was set,
// or the machine slept: then the age is a guess, and to be measured again.
func (h *held) drifted(wall time.Time) bool {
	return wall.Sub(h.since.wall)-time.Since(h.since.mono) >= maxDrift
}

const maxDrift = 2 * time.Second
