package demo

import "time"

// The shortest and the longest demo. A token request may take half a second at
// least and a lease lasts twice as long, from which the rest follows. The quota
// is one of an hour.
const (
	MinDuration     = 15 * time.Second
	DefaultDuration = 15 * time.Second
	MaxDuration     = time.Hour
)

// The quota of the endpoint is the provider's.
const (
	perHour = 42
	perDay  = 100
)

// A token is due renewBefore its expiry, but not before half its life. The
// tokens of the first scenarios have a long life: none is due during a deploy.
const (
	renewBefore = time.Hour
	longLife    = 24 * time.Hour
)

// A plan holds the times of one demo. Lifetimes are whole seconds, as expires_in
// is.
type plan struct {
	timeout time.Duration // Options.RequestTimeout
	redis   time.Duration // Options.RedisTimeout
	lease   time.Duration // twice the timeout
	latency time.Duration // of the token endpoint
	retry   time.Duration // Retry-After of the endpoint
	outage  time.Duration // how long Redis stays down after a renewal is due
	beat    time.Duration // how long the result of a scenario is shown
	every   time.Duration // between two API calls of a replica

	// The life of the token that is in use when a scenario begins.
	renewal, crash, refusal, redisDown time.Duration
}

// planFor divides a duration into scenarios. A large fleet gets more time: its
// replicas share the processors of one machine. A token request may take at
// least timeout.
func planFor(d time.Duration, replicas int, timeout time.Duration) plan {
	n := time.Duration(replicas)
	unit := max(d, n*60*time.Millisecond) / 15
	p := plan{
		timeout: min(max(timeout, unit/2, 500*time.Millisecond, n*4*time.Millisecond), 2*time.Second),
		redis:   max(time.Second, n*20*time.Millisecond),
		latency: 60 * time.Millisecond,
		retry:   min(wholeSeconds(unit), 5*time.Second),
		outage:  min(unit/2, 5*time.Second),
		beat:    min(unit*2/5, 2*time.Second),
		every:   min(max(40*time.Millisecond, n*time.Second/600), time.Second),
	}
	p.lease = 2 * p.timeout
	// A token is served for almost half its life after it is due. The new one
	// has to be there by then, on a slow machine too.
	life := func(share, needed time.Duration) time.Duration {
		return wholeSeconds(max(share, 2*(needed+max(time.Second, p.timeout))))
	}
	p.renewal = life(4*unit, p.timeout)
	p.crash = life(5*unit, p.lease+p.timeout)
	p.refusal = life(5*unit, p.retry+p.timeout)
	p.redisDown = life(5*unit, p.outage+p.timeout)
	return p
}

// wholeSeconds rounds up to whole seconds.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
