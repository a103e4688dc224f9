package model

import (
	"cmp"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is the world around the replicas: Redis, the ledger in it, the token endpoint,
// and the time.

// The time goes on in ticks, in which tokens grow old. What takes less than a quarter of
// a tick has an order and no length. Each token request takes two milliseconds, so that
// there is room for another claim between two of them. All clocks show the same time, but
// that of Redis in Unix milliseconds.
const (
	tick   = time.Hour
	origin = 100 * tick // so that no time is zero

	// A token is fresh when it is requested and a tick later, stale after two ticks, and
	// expired after three. After the provider has shortened lives, each is a tick less.
	longLife  = 2*tick + 3*tick/4
	shortLife = tick + 3*tick/4
	window    = tick + tick/4
)

// A record is a record in Redis, or a token. The first three fields are what is true, and
// the others what the record claims.
type record struct {
	n             uint8 // which request it is, as they were admitted. 0: no token
	dies          uint8 // the tick in which it has expired
	era           uint8 // how many rotations had begun when the request was sent
	short, forced bool
	issued        int32 // by the clock of Redis, milliseconds. 0: requested without Redis, and not known yet
	expires       int32
}

func (r record) lifetime() time.Duration {
	if r.short {
		return shortLife
	}
	return longLife
}

// core returns r as package replica has it. The name of the token is what is true of it.
func (r record) core() replica.Record {
	return replica.Record{
		Token: string([]byte{r.n, r.dies, r.era}), Issued: int64(r.issued), Expires: int64(r.expires), Lifetime: r.lifetime(), Forced: r.forced,
	}
}

func recordOf(r replica.Record) record {
	if r.Token == "" {
		return record{}
	}
	return record{r.Token[0], r.Token[1], r.Token[2], r.Lifetime == shortLife, r.Forced, int32(r.Issued), int32(r.Expires)}
}

// mood is how the token endpoint answers.
type mood uint8

const (
	well   mood = iota
	strict      // it refuses all requests: status 429
	silent      // it issues tokens, and its answers get lost
)

// A world is all that a step of a replica can depend on, but for the replica itself.
type world struct {
	tick uint8
	seq  uint8 // token requests that were admitted until now, or sent without Redis

	// Redis.
	record  record
	stored  uint8 // the tick in which the record was stored
	leased  bool  // a name is in the lease; its replica may have died
	floor   int32 // records issued earlier may not be adopted
	blocked uint8 // the ledger admits nothing until this tick, since a request failed,
	spent   uint8 // and until this one, since the quota is spent
	denied  uint8 // the priorities that it has denied since the last request, a bit for each

	// The token endpoint.
	mood  mood
	short bool // tokens live shorter

	// For the promises.
	newest int32 // the issue of the newest record there ever was
	era    uint8 // how many rotations have begun
	gone   uint8 // tokens of earlier eras were rotated away
}

func (w *world) now() replica.Instant { return w.instant(2*int(w.seq) + 1) }

// requested is when the last token request was.
func (w *world) requested() replica.Instant { return w.instant(2 * int(w.seq)) }

func (w *world) instant(ms int) replica.Instant {
	d := origin + time.Duration(w.tick)*tick + time.Duration(ms)*time.Millisecond
	return replica.Instant{Mono: d, Wall: d}
}

func millis(t replica.Instant) int64 { return t.Mono.Milliseconds() }

// begins is when a tick begins, and tickOf which one an instant is in.
func begins(n uint8) time.Duration { return origin + time.Duration(n)*tick }

func tickOf(d time.Duration) uint8 { return uint8((d - origin) / tick) }

// has reports whether Redis has a record that has not expired.
func (w *world) has() bool { return w.record.n != 0 && int64(w.record.expires) > millis(w.now()) }

// snapshot is what a replica reads from Redis: read.lua, and what package store makes of it.
func (w *world) snapshot() replica.Snapshot {
	v := replica.Snapshot{At: w.now(), Now: millis(w.now()), MinIssued: int64(w.floor), Blocked: w.blocks()}
	if w.has() && w.record.issued >= w.floor {
		r := w.record.core()
		v.Record = &r
	}
	if w.leased {
		v.Lease = lease / 2
	}
	for p := quota.Need; p <= quota.Forced; p++ {
		if w.denied&(1<<p) != 0 && w.spent > w.tick {
			v.Denied = append(v.Denied, w.denial(p))
		}
	}
	return v
}

// commit is commit.lua. It returns whether the fleet has r then, and whether an older
// record has replaced a newer one. blind is how a mistake writes.
func (w *world) commit(r record, blind bool) (kept, back bool) {
	if r.issued < w.floor {
		return false, false
	}
	if r.forced {
		w.floor = max(w.floor, r.issued)
	}
	if w.has() {
		c := cmp.Or(cmp.Compare(r.issued, w.record.issued), cmp.Compare(r.expires, w.record.expires))
		switch {
		case c == 0:
			return true, false
		case c < 0 && !blind:
			return false, false
		}
		back = c < 0
	}
	w.record, w.stored, w.newest = r, w.tick, max(w.newest, r.issued)
	if !w.has() { // it has expired on the way
		w.record, w.stored = record{}, 0
	}
	return true, back
}

// blocks are the ledger's.
func (w *world) blocks() []quota.Blocked {
	if w.blocked <= w.tick {
		return nil
	}
	return []quota.Blocked{{Scope: quota.Client, Reason: quota.QuotaExceeded, Remaining: begins(w.blocked) - w.now().Mono, Count: 1}}
}

func (w *world) denial(p quota.Priority) *quota.DeniedError {
	return &quota.DeniedError{Scope: quota.Client, Reason: quota.Spent, Priority: p, RetryIn: begins(w.spent) - w.now().Mono}
}

// admit is admit.lua. It counts the request if that is admitted.
func (w *world) admit(p quota.Priority) *quota.DeniedError {
	switch {
	case w.blocked > w.tick:
		b := w.blocks()[0]
		return &quota.DeniedError{Scope: b.Scope, Reason: b.Reason, Priority: p, Count: b.Count, RetryIn: b.Remaining}
	case w.spent > w.tick:
		w.denied |= 1 << p
		return w.denial(p)
	}
	w.seq++
	w.denied = 0
	return nil
}

// report is observe.lua: a request that failed blocks the client until the next tick.
func (w *world) report(r replica.Report) {
	w.denied = 0
	if len(r.Answer.Blocks) > 0 {
		if until := tickOf(r.Received.Mono) + 1; until > w.tick {
			w.blocked = max(w.blocked, until)
		}
	}
}

// issue decides what request n comes to, which is sent now: the token that its answer
// brings, or none.
func (w *world) issue(n uint8) record {
	if w.mood != well {
		return record{}
	}
	r := record{n: n, era: w.era, short: w.short}
	r.dies = w.tick + uint8(r.lifetime()/tick) + 1
	return r
}
