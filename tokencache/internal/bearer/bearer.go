// Package bearer says what an access token of type Bearer may look like (RFC 6750).
package bearer

import (
	"strings"
	"time"
)

// Type is the token type, as it is sent.
const Type = "Bearer"

// MaxLifetime is the longest lifetime that is believed: thirty days, the longest that
// Auth0 lets an API set.
const MaxLifetime = 30 * 24 * time.Hour

// MaxSize bounds an access token, in bytes.
const MaxSize = 32 << 10

// Valid reports whether token may stand in an Authorization header as it is (b64token
// of RFC 6750 section 2.1). net/http refuses CR and LF, but lets tabs and letters
// beyond ASCII pass.
func Valid(token string) bool {
	body := strings.TrimRight(token, "=")
	for i := range len(body) {
		c := body[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return false
		}
	}
	return body != ""
}
