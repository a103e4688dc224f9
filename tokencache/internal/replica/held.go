package replica

import "time"

// Held is a token in this replica's memory. The zero Held is no token.
type Held struct {
	Record Record

	// Since is when the age was measured: before the question was sent whose
	// answer told Remaining, how much of the token's life was left at least.
	Since     Instant
	Remaining time.Duration

	// Slack is how much more than Remaining may have been left. It is zero if the age
	// was measured, and not if it is an estimate, as for a token that came by a
	// notification of unknown age. An estimate bounds how long the token is served. It
	// is no reason for a token request.
	Slack time.Duration

	Plan Plan

	// Jitter is how much later than the lease holder this replica fetches the
	// next token, and Look is the age at which it does.
	Jitter time.Duration
	Look   time.Duration
}

// Exists reports whether there is a token, valid or expired.
func (h Held) Exists() bool { return h.Record.Token != "" }

// Age returns how long ago h was measured, by the clock that says more.
func (h Held) Age(now Instant) time.Duration { return now.Since(h.Since) }

// Valid reports whether h may be served.
func (h Held) Valid(now Instant) bool { return h.Exists() && h.Age(now) < h.Plan.Expire }

// Left returns how much of the life of h is left.
func (h Held) Left(now Instant) time.Duration { return h.Remaining - h.Age(now) }

// Estimated reports whether the age of h was not measured.
func (h Held) Estimated() bool { return h.Slack > 0 }

// atMost returns the most that can have been left of the life of h at an instant.
func (h Held) atMost(at Instant) time.Duration {
	return h.Remaining + h.Slack - (at.Mono - h.Since.Mono)
}

// Drifted reports whether the wall clock was set ahead since h was measured, or
// the machine slept: then its age is to be measured again.
func (h Held) Drifted(now Instant) bool { return now.Drift(h.Since) >= MaxDrift }
