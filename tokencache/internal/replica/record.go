package replica

import (
	"cmp"
	"time"
)

// A Record is one issue of an access token, as the fleet knows it.
type Record struct {
	// Token identifies the access token: equal for equal access tokens. It is
	// not the access token itself, so a State may be printed.
	Token string

	// Issued is when the token was requested, and Expires when it expires: Unix
	// milliseconds by the clock of Redis. Both are zero for a token that was
	// requested while Redis was unreachable, until Redis has been read.
	Issued, Expires int64

	Lifetime time.Duration

	// Forced is set if the token replaced one that was still valid. Records
	// issued earlier are not adopted any more.
	Forced bool

	// Payload is the caller's. This package passes it on.
	Payload any
}

// Compare returns -1 if r is older than other, 1 if it is newer, and 0 if neither
// is. The later issue is the newer record, and of equal issues the later expiry.
// It is the whole merge: commutative, associative and idempotent, so a fleet whose
// lease was broken still ends with one token. commit.lua compares in the same way.
//
// The expiry alone would not do: a token that replaces a compromised one, or one of
// a provider that shortens lifetimes, may expire first. A count of forced renewals
// would not do either: once Redis has lost it, a replica that has not heard of the
// last one counts on from the one before.
func (r Record) Compare(other Record) int {
	return cmp.Or(cmp.Compare(r.Issued, other.Issued), cmp.Compare(r.Expires, other.Expires))
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
