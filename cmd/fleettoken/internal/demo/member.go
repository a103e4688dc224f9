package demo

import (
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
)

// A member is what the fleet knows of one replica, through all its lives. The
// fleet guards it.
type member struct {
	name  string
	actor actor // nil: it is dead
	life  int   // how often it was started
	ready bool

	token    *token // what it serves; nil: nothing yet
	answered int    // the last command that it has answered
	asking   bool   // it has sent a token request that is not over
	backs    time.Time

	past     Counters // of the lives that are over
	now      Counters // of this one
	paces    []pace
	firsts   []time.Duration // how long it waited for its first token, in each life
	problems []string        // why it got none
	adopted  int             // how many tokens came into its memory, in all lives
}

// A token is one that the fleet has or had.
type token struct {
	number  int
	by      string
	life    time.Duration
	expires time.Time
	last    time.Time // when the last one got it, until now
}

// A pace is how many calls a replica had made at some moment.
type pace struct {
	at    time.Time
	calls int
}

// count takes in the counters, and remembers those of the last second.
func (m *member) count(c Counters, at time.Time) {
	m.now = c
	m.paces = append(m.paces, pace{at, c.Calls})
	for len(m.paces) > 2 && at.Sub(m.paces[1].at) > time.Second {
		m.paces = m.paces[1:]
	}
}

// rate is how many calls a second it makes.
func (m *member) rate() float64 {
	if len(m.paces) < 2 || m.actor == nil {
		return 0
	}
	from, to := m.paces[0], m.paces[len(m.paces)-1]
	seconds := to.at.Sub(from.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(to.calls-from.calls) / seconds
}

// state is what it does, as the view shows it. Window is how long before its
// expiry a token is renewed, and blocked says that nobody may ask.
func (m *member) state(at time.Time, window time.Duration, blocked bool) view.State {
	switch {
	case m.actor == nil:
		return view.Dead
	case m.asking:
		return view.Renewing
	case m.token == nil:
		return view.Starting
	case m.token.expires.Sub(at) > window:
		return view.Serving
	case blocked || at.Before(m.backs):
		return view.Backing
	}
	return view.Due
}

// end closes a life.
func (m *member) end() {
	m.actor, m.token, m.asking, m.ready = nil, nil, false, false
	m.past, m.now = m.past.plus(m.now), Counters{}
	m.paces = nil
	m.backs, m.answered = time.Time{}, 0
}
