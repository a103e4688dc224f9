// Package lock takes leases on keys in Redis: locks that end by themselves. It
// lets one process of a fleet at a time do something, and says when it must
// stop. It stands on [github.com/bsm/redislock] and adds what a critical section
// needs to be right: three outcomes instead of two, a deadline that the holder
// can trust, and a release that cannot be forgotten.
//
// # What it promises
//
// While Redis keeps the key, at most one process trusts its lease on it at any
// time. The holder trusts it from before it asked, less a margin, until TTL is
// over, by a clock of its own; it compares no clocks with another host. The margin
// is for clocks that run at different speed: with a tenth of TTL, one clock may
// run a ninth faster than the other.
//
// A lease ends at most TTL after its holder died, and at once when its function
// returns.
//
// An outage is never "held". Either another process holds the key, and that is a
// [*HeldError], or Redis did not say, and that is another error. A caller that
// takes one for the other waits for a holder that does not exist.
//
// # What it does not promise
//
// It does not promise that only one process acts. No lock on one Redis can: a
// failover may lose the key before its replica has it, a process may be
// stopped between its last look at the clock and what it does next, and an
// operator may delete the key. Such a lock is for efficiency: use it where two
// holders cost something, and never where they break something. What a lost
// lease must not break has to be safe by itself, as a write that only a newer
// value replaces.
//
// It does not wait. Polling for a lock makes a herd; a caller that knows what it
// waits for can listen for that, and come back when the lease would end.
//
// It keeps no lease alive in the background. A goroutine that refreshes a lease
// keeps it also for a holder that hangs. Extend is called from the work itself,
// between two steps of it.
//
// # How it goes
//
//	free ──Do──▶ held, f runs ──f returns──▶ free
//	               │  ▲
//	               │  └─ Extend: TTL starts anew
//	               └─ TTL - Margin after the last question: f's context ends
//	                  with ErrLost; the key ends by itself a Margin later
//
// A lease is one key, whose value is a random token, the holder's ID and its TTL. Lockers
// with different TTLs leave each other's leases their ends. Taking,
// extending and giving it back are redislock's scripts; each looks at the value
// first, so no process touches the lease of another.
//
// # When things go wrong
//
//	fault                         what happens
//	the holder dies               others get the lease after at most TTL
//	the holder is stopped         Left is negative when it wakes; it must not act; what it
//	                              already sent may overlap with the next holder
//	Redis does not answer         an error after Timeout, whatever the client's settings;
//	                              a lease that is granted later is given back if the client
//	                              hears of it, and ends by itself if it does not
//	the reply of taking is lost   the client repeats the script, which sees its own token
//	the reply of giving is lost   nothing: the lease is gone, or ends by itself
//	Redis loses the key           two may hold it; see above
//	the key is set by hand         it gets an end, a TTL from when it is met
package lock
