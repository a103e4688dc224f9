package demo

import (
	"fmt"
	"time"
)

// The shortest and the longest demo. A token request may take half a second at
// least, and everything else follows from that; and the quota is one of an hour.
const (
	MinDuration     = 10 * time.Second
	DefaultDuration = 15 * time.Second
	MaxDuration     = time.Hour
)

// The endpoint's quota, as the provider has it.
const (
	perHour = 42
	perDay  = 100
)

// A plan is how long everything takes in a demo. Time is compressed by
// configuration alone: tokens live for seconds instead of a day, a request may
// take half a second instead of ten, and so on. Whatever the library promises
// for a day it promises for these seconds.
//
// A token lives for its fresh time and the window. Lifetimes are whole seconds,
// as expires_in is, so the window and the fresh times are, too.
type plan struct {
	timeout time.Duration // Options.RequestTimeout
	redis   time.Duration // Options.RedisTimeout
	lease   time.Duration // which follows from it
	window  time.Duration // Options.RenewBefore
	latency time.Duration // of the token endpoint
	retry   time.Duration // Retry-After, when the endpoint wants to be left alone
	beat    time.Duration // so long a chapter's result stands before the next begins

	// How long the tokens are fresh, in the order of their issue.
	first, second, third, fifth time.Duration
	// The fourth and the last do not come of age: there is no chapter on it.
	calm time.Duration
}

// planFor divides a duration into chapters. A big fleet on one machine needs
// patience: its replicas share a few processors, and an embedded Redis answers
// one after the other. So it gets more time than it was given. A request may take
// timeout at least.
func planFor(d time.Duration, replicas int, timeout time.Duration) plan {
	d = max(d, time.Duration(replicas)*60*time.Millisecond)
	p := plan{
		timeout: min(max(d/25, timeout, 500*time.Millisecond, time.Duration(replicas)*4*time.Millisecond), 2*time.Second),
		redis:   max(time.Second, time.Duration(replicas)*20*time.Millisecond),
		latency: 60 * time.Millisecond,
		retry:   min(wholeSeconds(d*13/100), 5*time.Second), // well within the window
		beat:    min(d/25, 2*time.Second),
		first:   wholeSeconds(d * 20 / 100),
		second:  wholeSeconds(d * 12 / 100),
		third:   wholeSeconds(d * 12 / 100),
		fifth:   wholeSeconds(d * 12 / 100),
	}
	p.lease = 2 * p.timeout
	// Three renewers in a row may die, each taking its lease and a request's
	// time with it, before the token expires. The rest is for a slow machine.
	p.window = (3*(p.lease+p.timeout) + p.timeout/2 + time.Second - 1).Truncate(time.Second)
	p.calm = wholeSeconds(d)
	return p
}

// life is how long a token lives that is fresh for so long.
func (p plan) life(fresh time.Duration) time.Duration { return fresh + p.window }

// wholeSeconds rounds to the nearest second, and to one at least.
func wholeSeconds(d time.Duration) time.Duration { return max(d.Round(time.Second), time.Second) }

// paceOf is how many API calls a second each replica makes: 25, and less if
// there are so many replicas that one machine could not answer.
func paceOf(replicas int) float64 {
	const fleet = 600
	return min(25, max(1, fleet/float64(replicas)))
}

// checkDuration says what is wrong with a duration, if anything is.
func checkDuration(d time.Duration) error {
	if d < MinDuration || d > MaxDuration {
		return fmt.Errorf("--duration is %v: it can be from %.0fs to %.0fh", d, MinDuration.Seconds(), MaxDuration.Hours())
	}
	return nil
}
