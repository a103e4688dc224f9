package replica

import "time"

// An Instant is one reading of both clocks of a host, each as the time since an
// origin that the caller chose. A suspended machine stops the monotonic clock,
// and the wall clock can be set, so neither is enough by itself.
type Instant struct{ Mono, Wall time.Duration }

// Since returns the time from earlier to t by the clock that says more. If the
// wall clock was set ahead, that is more than has passed, and never less.
func (t Instant) Since(earlier Instant) time.Duration {
	return max(t.Mono-earlier.Mono, t.Wall-earlier.Wall)
}

// Drift returns how much further than the monotonic clock the wall clock has run
// since earlier.
func (t Instant) Drift(earlier Instant) time.Duration {
	return (t.Wall - earlier.Wall) - (t.Mono - earlier.Mono)
}

// MaxDrift is how far the clocks may part before an age is measured again: the
// wall clock was set, or the machine slept.
const MaxDrift = 2 * time.Second
