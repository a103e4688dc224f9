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

// WaitOf returns how long a refusal with status 429 asks to wait. Retry-After outranks the
// reset of the buckets of a quota header that have nothing left, and that outranks the
// fields of other rate limits, which mean the quota only here: RateLimit of the IETF draft
// (draft-ietf-httpapi-ratelimit-headers) in its current and older forms, RateLimit-Reset,
// X-RateLimit-Reset and X-Rate-Limit-Reset. A reset is a number of seconds, a time in Unix
// seconds or milliseconds, told apart by its size, or an HTTP date.
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
	if wait, ok := rateLimitWait(h); ok {
		return wait, true
	}
	for _, name := range []string{"RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset", "X-RateLimit-Reset-After", "Ratelimit-Reset-After"} {
		if wait, ok := reset(h, trimOWS(h.Get(name))); ok {
			return wait, true
		}
	}
	return 0, false
}

// rateLimitWait returns the longest reset of a RateLimit field of which nothing remains:
// "default";r=0;t=20, or limit=100, remaining=0, reset=20 as in older drafts.
func rateLimitWait(h http.Header) (longest time.Duration, found bool) {
	for policy := range strings.SplitSeq(strings.Join(h.Values("RateLimit"), ","), ",") {
		remaining, at := "", ""
		for part := range strings.SplitSeq(policy, ";") {
			name, value, _ := strings.Cut(strings.ToLower(part), "=")
			switch trimOWS(name) {
			case "r", "remaining":
				remaining = trimOWS(value)
			case "t", "reset":
				at = trimOWS(value)
			}
		}
		if n, ok := parseInt(remaining); ok && n > 0 {
			continue
		}
		if wait, ok := reset(h, at); ok {
			longest, found = max(longest, wait), true
		}
	}
	return longest, found
}

// reset reads when a rate limit begins anew. A number below 10^8, three years, is one of
// seconds. One below 10^11 is a time in Unix seconds, and a larger one in milliseconds.
func reset(h http.Header, value string) (time.Duration, bool) {
	value = strings.Trim(value, `"`)
	if n, ok := parseInt(value); ok && n >= 1e8 {
		if n < 1e11 {
			return sinceDate(h, time.Unix(n, 0))
		}
		return sinceDate(h, time.UnixMilli(n))
	}
	if seconds, ok := parseSeconds(value); ok {
		return clampWait(seconds), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return sinceDate(h, at)
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
