package replica

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A State is all that one replica knows of one OAuth client. It is a value: what
// happened is applied to it by its methods, and what it wants is asked of it.
type State struct {
	Terms  Terms
	Origin time.Time // the wall clock where Instants count from, for errors that name a time

	Tokens       []Token
	Blocks       []Block
	Outage       Outage
	Reports      []Report
	Subscription Subscription

	// BurstUntil is until when replicas that were blocked together may retry
	// together.
	BurstUntil time.Duration

	notices []Notice
}

// Add adds a token, and returns its id: its index in Tokens.
func (s *State) Add(key string, scopes []quota.Scope) int {
	s.Tokens = append(s.Tokens, Token{Key: key, Scopes: scopes})
	return len(s.Tokens) - 1
}

// wall returns what the wall clock shows in d.
func (s *State) wall(now Instant, d time.Duration) time.Time { return s.Origin.Add(now.Wall + d) }
