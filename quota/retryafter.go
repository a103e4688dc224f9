package quota

import (
	"net/http"
	"strings"
	"time"
)

const (
	// MaxWait is the longest wait that is believed: a day, which is the
	// longest bucket, and some slack. Anything longer is cut to it.
	MaxWait = 24*time.Hour + 5*time.Minute

	// MinWait is the shortest: a moment that has passed already, or a zero,
	// still means "not at once".
	MinWait = time.Second
)

// epochFrom is the smallest number that is taken for a moment in Unix time
// where a number of seconds was due. Docker Hub has sent such.
const epochFrom = int64(1e9)

// RetryAfter returns how long the Retry-After header of a response asks to
// wait (RFC 9110 section 10.2.3), between MinWait and MaxWait: a number of
// seconds, a fraction rounded up, or one of the three HTTP dates. A date is
// counted from the response's own Date header, since it is the same clock; no
// Date, no wait. A value that means nothing is as good as none.
func RetryAfter(h http.Header) (time.Duration, bool) {
	value := trimOWS(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if seconds, ok := parseSeconds(value); ok {
		if n := int64(seconds / time.Second); n >= epochFrom {
			return sinceDate(h, time.Unix(n, 0))
		}
		return clampWait(seconds), true
	}
	if strings.Trim(value, "0123456789") == "" { // more digits than a moment has
		return MaxWait, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return sinceDate(h, at)
}

// WaitOf returns how long a refusal with status 429 asks to wait. Retry-After
// outranks the reset of the buckets that have nothing left, and that outranks
// X-RateLimit-Reset, a moment in Unix time that means the quota only here.
func WaitOf(h http.Header) (time.Duration, bool) {
	if wait, ok := RetryAfter(h); ok {
		return wait, true
	}
	client, _ := ClientLimits(h)
	organization, _ := OrganizationLimits(h)
	var wait time.Duration
	found := false
	for _, limits := range []Limits{client, organization} {
		for _, l := range limits {
			if l.HasRemaining && l.Remaining <= 0 && l.HasReset {
				wait, found = max(wait, l.Reset), true
			}
		}
	}
	if found {
		return clampWait(wait), true
	}
	if n, ok := parseInt(trimOWS(h.Get("X-RateLimit-Reset"))); ok && n >= epochFrom {
		return sinceDate(h, time.Unix(n, 0))
	}
	return 0, false
}

// ServerDate returns the Date header of a response, the server's own clock.
func ServerDate(h http.Header) (time.Time, bool) {
	date, err := http.ParseTime(h.Get("Date"))
	return date, err == nil
}

func sinceDate(h http.Header, at time.Time) (time.Duration, bool) {
	date, ok := ServerDate(h)
	if !ok {
		return 0, false
	}
	return clampWait(at.Sub(date)), true
}

func clampWait(d time.Duration) time.Duration { return min(max(d, MinWait), MaxWait) }
