package replica

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A Snapshot is what one read of Redis finds about one token.
type Snapshot struct {
	At    Instant // before the read was sent
	Heard int     // the subscription that was open then; see State.Listening
	Now   int64   // during it, by the clock of Redis; Unix milliseconds

	// Lease is how long another replica holds the lease: zero if none does, and
	// negative if it has no end.
	Lease time.Duration

	Blocked []quota.Blocked
	Denied  []*quota.DeniedError // what the ledger denied last, to each priority

	Record    *Record // nil: there is none, none that may be adopted, or none that can be read
	Problem   Problem // why it cannot be read
	MinIssued int64   // records issued earlier may not be adopted
}

// A Problem says why a record cannot be read.
type Problem int

const (
	Readable Problem = iota
	UnknownKey
	DamagedRecord
)
