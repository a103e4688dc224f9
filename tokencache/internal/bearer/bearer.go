// Package bearer says what an access token of type Bearer may look like.
package bearer

import "time"

// Type is the token type, as it is sent.
const Type = "Bearer"

// MaxLifetime is the longest lifetime that is believed: thirty days, the longest that
// Auth0 lets an API set.
const MaxLifetime = 30 * 24 * time.Hour

// MaxSize bounds an access token, in bytes.
const MaxSize = 32 << 10

// Valid reports whether token can stand in an Authorization header as it is: printable
// ASCII without blanks. RFC 6749 appendix A.12 allows that and the blank. RFC 6750 section
// 2.1 allows less, but providers issue tokens with other characters, such as Salesforce
// with an exclamation mark. net/http refuses CR and LF, but lets tabs and letters beyond
// ASCII pass.
func Valid(token string) bool {
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return token != ""
}
