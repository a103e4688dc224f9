package quota

import "testing"

// TestDefect gives the numbers of TestDefect of package tokencache to what this
// package shows.
func TestDefect(t *testing.T) {
	t.Run("14 a header is taken for what it is not", TestParseLimits)
	t.Run("14 a header on several lines", TestParseLimitsJoinsLines)
	t.Run("15 a Retry-After is misread", TestRetryAfter)
}
