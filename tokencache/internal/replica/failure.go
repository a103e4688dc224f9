package replica

import "time"

// A Failure answers callers until the next attempt. All its times are of the
// monotonic clock. The zero Failure is none.
type Failure struct {
	Err error

	// Until is when the next attempt is due.
	Until time.Duration

	// CheckedAt is when this replica last saw that the fleet has no token.
	CheckedAt time.Duration

	// BudgetAt is when this replica may certainly send a request although Redis
	// is unreachable, if it has a budget for that. Until is only the next try of
	// Redis then.
	BudgetAt time.Duration

	// FailFast is set if no caller should wait, even one with time.
	FailFast bool

	// NoRetry is set if nothing is tried again by itself, also after Until.
	NoRetry bool
}

// checkEvery is how long a replica believes that the fleet has no token.
const checkEvery = time.Minute

// Next returns when to fetch, if callers are waiting then.
func (f Failure) Next() time.Duration { return min(f.CheckedAt+checkEvery, f.Until) }

// Stands reports whether f is a reason to fail at a time.
func (f Failure) Stands(now time.Duration) bool {
	return f.Err != nil && (f.NoRetry || now < f.Until)
}

// InVain reports whether waiting until limit is.
func (f Failure) InVain(limit time.Duration) bool {
	return f.FailFast || f.Until > limit || f.BudgetAt > limit
}
