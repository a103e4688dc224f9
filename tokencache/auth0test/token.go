package auth0test

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A TokenState says what the server thinks of a token at one moment.
type TokenState int

const (
	// TokenUnknown was not issued by this server, or is no token at all.
	TokenUnknown TokenState = iota
	// TokenValid is accepted by the API.
	TokenValid
	// TokenExpired was valid until its lifetime ended.
	TokenExpired
	// TokenRevoked was ended by Revoke or RevokeAll.
	TokenRevoked
)

// String returns "unknown", "valid", "expired" or "revoked".
func (t TokenState) String() string {
	switch t {
	case TokenUnknown:
		return "unknown"
	case TokenValid:
		return "valid"
	case TokenExpired:
		return "expired"
	case TokenRevoked:
		return "revoked"
	}
	return fmt.Sprintf("TokenState(%d)", int(t))
}

// issued is what the server knows of a token.
type issued struct {
	expires time.Time
	revoked bool
}

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

// tokenLength is about that of the access tokens that Auth0 issues, in bytes.
const tokenLength = 900

// mintToken returns a new token in the characters of RFC 6750. It has the three
// parts of a JWT and means nothing: a token is opaque to a client. The number
// of the request it was issued for can be read in its last part.
func mintToken(number int) string {
	const header = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9" // {"alg":"RS256","typ":"JWT"}
	random := make([]byte, tokenLength)
	_, _ = rand.Read(random) // never fails
	text := base64.RawURLEncoding.EncodeToString(random)
	const signature = 342 // 2048 bits, as RS256 makes them
	payload := text[:tokenLength-len(header)-signature-len("..")]
	last := fmt.Sprintf("token-%d-%s", number, text[len(payload):])
	return header + "." + payload + "." + last[:signature]
}
