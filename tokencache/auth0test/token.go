package auth0test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
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

// tokenLength is about that of the access tokens that Auth0 issues, in bytes.
const tokenLength = 900

// mintToken returns a new token in the characters of RFC 6750. It has the three
// parts of a JWT and means nothing: a token is opaque to a client. The number
// of the request it was issued for can be read in its last part.
//
// RequestNumber reads it.
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

// RequestNumber returns the [Request.Number] of the request that a token was issued for,
// zero if no Server issued it.
func RequestNumber(accessToken string) int {
	_, last, _ := strings.Cut(accessToken, ".token-")
	number, _, _ := strings.Cut(last, "-")
	n, _ := strconv.Atoi(number)
	return n
}
