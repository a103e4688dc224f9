package replica

import "time"

// Held is a token in this replica's memory. The zero Held is no token.
type Held struct {
	Record Record

	// Since is when the age was measured: before the question was sent whose
	// answer told Remaining, how much of the token's life was left at least.
	Since     Instant
	Remaining time.Duration

	// Estimated is set if Remaining was not measured but bounded, as for a token
	// that came by a notification of unknown age. An estimate bounds how long the
	// token is served. It is no reason for a token request.
	Estimated bool

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

// Drifted reports whether the wall clock was set ahead since h was measured, or
// the machine slept: then its age is to be measured again.
func (h Held) Drifted(now Instant) bool { return now.Drift(h.Since) >= MaxDrift }
