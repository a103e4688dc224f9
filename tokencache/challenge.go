package tokencache

import (
	"net/http"
	"slices"
	"strings"
)

// tokenRefused reports whether an answer of an API means that it refused the token.
func tokenRefused(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if slices.Contains(notAboutTheToken, challengeError(challenge)) {
			return false
		}
	}
	return true
}

// notAboutTheToken are the errors of a challenge that another token would not end: of RFC
// 6750, RFC 9449 and RFC 9470.
var notAboutTheToken = []string{"insufficient_scope", "invalid_request", "insufficient_user_authentication", "use_dpop_nonce", "invalid_dpop_proof"}

// challengeError returns the error parameter of a challenge, in lower case, or "".
func challengeError(challenge string) string {
	for rest := strings.ToLower(challenge); ; {
		_, after, found := strings.Cut(rest, "error")
		if !found {
			return ""
		}
		rest = after
		value, isParameter := strings.CutPrefix(strings.TrimLeft(after, " \t"), "=")
		if !isParameter { // error_description, or a word in it
			continue
		}
		value = strings.TrimLeft(value, " \t")
		if quoted, ok := strings.CutPrefix(value, "\""); ok {
			value, _, _ = strings.Cut(quoted, "\"")
			return value
		}
		end := strings.IndexAny(value, ", \t")
		if end < 0 {
			end = len(value)
		}
		return value[:end]
	}
}
