package replica

import (
	"slices"
	"time"
)

// Listening returns the number of the subscription that is open, and 0 if none is.
func (s *State) Listening() int {
	if !s.Subscription.Open {
		return 0
	}
	return s.Subscription.Number
}

// Wanted reports whether callers wait for what a notification may bring.
func (s *State) Wanted(now Instant) bool {
	for i := range s.Tokens {
		if s.Tokens[i].Blocking(now) && !s.Tokens[i].Failing(now) {
			return true
		}
	}
	return false
}

// Answers reports whether Redis can be used, or has at least been read since it failed last.
func (s *State) Answers() bool {
	return s.Outage.Failures == 0 || slices.ContainsFunc(s.Tokens, func(t Token) bool { return t.Polls > 0 })
}

// Subscribed notes that notifications published from now on arrive; the subscription was
// asked for at opened. What was published before was missed, as a rule nothing. So tokens
// that callers wait for are fetched again, unless a notification comes first: later the
// longer it took, since a process or a Redis that is slow has more to do already. If the
// subscription replaces one that broke, so are all others, a little later.
func (s *State) Subscribed(now, opened Instant, again bool, random float64) {
	s.Subscription = Subscription{Open: true, Number: s.Subscription.Number + 1, Took: now.Mono - opened.Mono}
	for i := range s.Tokens {
		t := &s.Tokens[i]
		switch {
		case t.Blocking(now):
			if t.Hold.Until > now.Mono {
				t.fetchBy(now.Mono + s.Subscription.grace())
			}
		case again && t.Held.Valid(now):
			t.fetchBy(now.Mono + part(time.Second, random)) // not all replicas at once
		}
	}
}

// Unsubscribed notes that notifications do not arrive any more. broken is set if the
// replica did not close the subscription itself. Then a fetch shows whether Redis can be
// used, and an outage is known when it begins.
func (s *State) Unsubscribed(now Instant, broken bool, random float64) {
	s.Subscription.Open = false
	if !broken {
		return
	}
	for i := range s.Tokens {
		switch t := &s.Tokens[i]; {
		case t.Blocking(now) && t.Hold.Until > now.Mono:
			t.fetchBy(now.Mono + part(pollUnsubscribed, random))
		case t.Held.Valid(now):
			t.fetchBy(now.Mono + part(time.Second, random)) // not all replicas at once
		}
	}
}

// Released applies the notification that the lease is free, and that there may be
// something to fetch.
func (s *State) Released(now Instant) {
	for i := range s.Tokens {
		if t := &s.Tokens[i]; t.Blocking(now) && t.Hold.Until > now.Mono {
			t.fetchBy(now.Mono)
		}
	}
}

// Heard applies the notification of a record. It has what the clock of Redis showed
// when it was published, and not how long ago that is: the process may have been
// stopped. But it was after the subscription was asked for, at opened, so the remaining
// life counts from then, the earliest safe bound. If that is long ago, the token is
// fetched instead.
func (s *State) Heard(now Instant, id int, r Record, redisNow int64, opened Instant, random float64) {
	t := &s.Tokens[id]
	switch {
	case t.Held.Exists() && r.Compare(t.Held.Record) <= 0: // known, or repeated
	case r.Issued < t.MinIssued:
	case now.Since(opened) > pollSubscribed+s.Terms.Lease:
		t.fetchBy(now.Mono + part(100*time.Millisecond, random)) // not all replicas at once
	default:
		s.merge(now, id, Snapshot{At: opened, Now: redisNow, Record: &r}, estimated, random)
	}
}
