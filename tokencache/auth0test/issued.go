package auth0test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Check returns the state of an access token by the server's clock. A token is
// expired from the very moment on that its lifetime is over.
func (s *Server) Check(token string) TokenState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.check(token)
}

// check is Check for a caller that holds s.mu.
func (s *Server) check(token string) TokenState {
	known := s.tokens[token]
	switch {
	case known == nil:
		return TokenUnknown
	case known.revoked:
		return TokenRevoked
	case !now().Before(known.expires):
		return TokenExpired
	}
	return TokenValid
}

// Revoke ends a token before its time: the API answers 401 to it from now on.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.tokens[token]; known != nil {
		known.revoked = true
	}
}

// RevokeAll ends all tokens that were issued until now, as a change of the
// signing key would. Tokens that are issued later are valid.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.tokens {
		known.revoked = true
	}
}

// Issued returns the number of tokens issued so far, counting those whose
// answers were lost.
func (s *Server) Issued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens)
}

// Tokens returns the tokens issued so far, in the order of their expiry, so that
// a test can look for them where none may be.
func (s *Server) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.tokens), func(a, b string) int {
		return cmp.Or(s.tokens[a].expires.Compare(s.tokens[b].expires), strings.Compare(a, b))
	})
}
