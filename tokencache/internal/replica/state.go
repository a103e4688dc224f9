package replica

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A State is all that one replica knows of one OAuth client. It is a value: what
// happened is applied to it by its methods, and what it wants is asked of it.
type State struct {
	Terms  Terms
	Origin time.Time // the wall clock where Instants count from, for errors that name a time

	Tokens       []Token
	Blocks       []Block
	Outage       Outage
	Reports      []Report
	Subscription Subscription

	// BurstUntil is until when replicas that were blocked together may retry
	// together.
	BurstUntil time.Duration

	notices []Notice
}

// A Block is this replica's own copy of a block: a Redis that loses its data
// starts no storm.
type Block struct {
	Denied quota.DeniedError // as it was when the block was met
	Until  time.Duration     // by the monotonic clock
}

// An Outage is what a client knows of a time in which Redis cannot be used.
type Outage struct {
	Failures int             // in a row; 0: Redis can be used
	From     time.Duration   // when requests may start although Redis is unreachable
	Sent     []time.Duration // when such requests were sent, in the last hour
}

// A Report is what became of an attempt, and Redis does not know yet.
type Report struct {
	Attempt  *quota.Attempt
	Answer   quota.Answer
	Received Instant // when the answer came; zero: none was waited for

	// Unadmitted is set if the ledger has not counted the attempt.
	Unadmitted bool
}

// maxReports bounds what is remembered of an outage.
const maxReports = 64

// A Subscription receives notifications. A notification is a hint: a fetch finds the same
// a little later.
type Subscription struct {
	Open   bool
	Number int           // of this subscription or the last one, from 1
	Took   time.Duration // how long it took until it stood
}

// How often a replica fetches while its callers wait for the lease holder: a
// subscription makes it rare, since a notification comes first.
const (
	pollSubscribed   = 5 * time.Second
	pollUnsubscribed = 500 * time.Millisecond // at first; each pause is three quarters longer than the last, and so is the wait at most
)

// Poll returns how long to wait for the n-th fetch, n from 1.
func (s Subscription) Poll(n int) time.Duration {
	if s.Open {
		return pollSubscribed
	}
	every := pollUnsubscribed
	for ; n > 1 && every < pollSubscribed; n-- {
		every += every * 3 / 4
	}
	return min(every, pollSubscribed)
}

// grace is how long a notification that may have been missed is waited for.
func (s Subscription) grace() time.Duration { return min(50*s.Took, 250*time.Millisecond) }

// A Notice is something to log, to call a hook for, or to wake callers for.
type Notice struct {
	Kind Kind
	ID   int // the token it is about; of RedisDown and RedisUp, none

	Held      Held               // of Adopted
	Requested bool               // of Adopted: this replica requested it
	Denied    *quota.DeniedError // of RequestDenied
	Err       error              // of RequestFailed, RedisDown
	Reason    Reason             // of RequestFailed
	Failures  int                // of RedisUp: how many calls in a row had failed
}

// A Kind says what a Notice is about.
type Kind int

const (
	Wake          Kind = iota // what callers wait for may have happened
	Adopted                   // a token is in use
	WrittenBack               // the fleet has its token back from this replica
	RecordDamaged             // the record cannot be read, and is replaced
	KeyUnknown                // the record is encrypted with a key that this replica does not have
	RequestDenied             // a token request was not sent
	RequestFailed             // a token request brought no token
	RedisDown                 // Redis cannot be used
	RedisUp                   // Redis can be used again
)

// wall returns what the wall clock shows in d.
func (s *State) wall(now Instant, d time.Duration) time.Time { return s.Origin.Add(now.Wall + d) }
