package replica

import (
	"slices"

	"github.com/fleettoken/fleettoken/quota"
)

// Add adds a token, and returns its id: its index in Tokens. That of a token that is gone
// is used again.
func (s *State) Add(key string, scopes []quota.Scope) int {
	t := Token{Key: key, Scopes: scopes}
	if id := slices.IndexFunc(s.Tokens, func(t Token) bool { return t.Gone }); id >= 0 {
		s.Tokens[id] = t
		return id
	}
	s.Tokens = append(s.Tokens, t)
	return len(s.Tokens) - 1
}

// Close notes that a token is wanted no longer: it is not refreshed any more. It is gone
// with Forget.
func (s *State) Close(id int) {
	s.Tokens[id].Closed = true
	s.notify(Notice{Kind: Wake, ID: id})
}

// Forget forgets a token if it is closed and no caller waits for it. It reports whether it
// did.
func (s *State) Forget(id int) bool {
	t := &s.Tokens[id]
	if !t.Closed || t.Waiting > 0 {
		return false
	}
	*t = Token{Gone: true}
	return true
}
