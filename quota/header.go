package quota

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The names of the response headers that carry a quota, as Auth0 documents
// them. They come with every answer of the token endpoint to a
// client-credentials request, also with a refusal, if the tenant has token
// quotas at all. No other rate-limit header is ever read as a quota:
// X-RateLimit-* and Auth0-RateLimit describe other limits.
const (
	ClientHeader       = "Auth0-Client-Quota-Limit"
	OrganizationHeader = "Auth0-Organization-Quota-Limit"
)

// The names of the buckets that Auth0 documents.
const (
	PerHour = "per_hour"
	PerDay  = "per_day"
)

const (
	maxHeaderBytes = 4 << 10
	maxBuckets     = 16
	maxDigits      = 18              // fits an int64, as the grammar has it
	resetSlack     = 5 * time.Second // a reset may exceed its bucket's length by this much
)

// A Limit is what the server says of one bucket of a quota.
type Limit struct {
	// Bucket is the bucket's name in lower case: PerHour, PerDay, or a name
	// that this package does not know.
	Bucket string

	// Quota is q, how many tokens the bucket allows.
	Quota int64

	// Remaining is r, how many of them are left. A negative number counts the
	// tokens issued beyond the quota. It means nothing unless HasRemaining.
	Remaining    int64
	HasRemaining bool

	// Reset is t, how long until the bucket is full again, in whole seconds.
	// It means nothing unless HasReset.
	Reset    time.Duration
	HasReset bool
}

// Limits is the value of one quota header, a bucket each. No bucket occurs
// twice. The nil Limits is "no observation", which is not "nothing left".
type Limits []Limit

// Length returns how long the windows of the named bucket are, or 0 if this
// package does not know the bucket.
func Length(bucket string) time.Duration {
	switch bucket {
	case PerHour:
		return time.Hour
	case PerDay:
		return 24 * time.Hour
	}
	return 0
}

// ClientLimits returns what h says of the client's quota, and
// OrganizationLimits what it says of the organization's. The second result
// counts the flaws met on the way, as for [ParseLimits].
func ClientLimits(h http.Header) (Limits, int) { return ParseLimits(h.Values(ClientHeader)...) }

// OrganizationLimits is described with [ClientLimits].
func OrganizationLimits(h http.Header) (Limits, int) {
	return ParseLimits(h.Values(OrganizationHeader)...)
}

// ParseLimits parses the field lines of one quota header, joined as RFC 9110
// section 5.3 has it. It accepts a superset of what Auth0 documents:
//
//	quota-field = bucket *( OWS "," OWS bucket ) [ OWS "," ]
//	bucket      = [ "b" "=" ] name *( OWS ";" OWS param )
//	name        = 1*( ALPHA / DIGIT / "_" / "-" ) / DQUOTE name DQUOTE
//	param       = key "=" value    ; keys in any case and order, "b" anywhere
//
// A malformed bucket is left out, never read as an empty one, and never an
// error: a header that cannot be read must not stop a fleet. The second result
// counts the buckets that were left out or put right, for those who want to
// hear early that the header has changed its grammar. A field of more than
// 4 KiB or 16 buckets is hostile and refused whole.
func ParseLimits(lines ...string) (Limits, int) {
	field := strings.Join(lines, ",")
	if len(field) > maxHeaderBytes {
		return nil, 1
	}
	var limits Limits
	flaws := 0
	for part := range strings.SplitSeq(field, ",") {
		part = trimOWS(part)
		if part == "" { // RFC 9110 section 5.6.1: an empty list element is nothing
			continue
		}
		limit, ok := parseBucket(part)
		if !ok {
			flaws++
			continue
		}
		if limit.tidy() {
			flaws++
		}
		if i := limits.index(limit.Bucket); i >= 0 {
			limits[i] = limits[i].worse(limit)
			flaws++
			continue
		}
		limits = append(limits, limit)
	}
	if len(limits) > maxBuckets {
		return nil, flaws + 1
	}
	return limits, flaws
}

// Find returns the named bucket of l.
func (l Limits) Find(bucket string) (Limit, bool) {
	if i := l.index(bucket); i >= 0 {
		return l[i], true
	}
	return Limit{}, false
}

// String returns l in the form that Auth0 documents, so that [ParseLimits]
// reads it back to an equal value.
func (l Limits) String() string {
	parts := make([]string, len(l))
	for i, limit := range l {
		parts[i] = limit.String()
	}
	return strings.Join(parts, ",")
}

// String returns the limit as one bucket of a quota header.
func (l Limit) String() string {
	s := fmt.Sprintf("b=%s;q=%d", l.Bucket, l.Quota)
	if l.HasRemaining {
		s += fmt.Sprintf(";r=%d", l.Remaining)
	}
	if l.HasReset {
		s += fmt.Sprintf(";t=%d", int64(l.Reset/time.Second))
	}
	return s
}

// Used returns how many tokens the server counts in the bucket's window.
func (l Limit) Used() (int64, bool) { return l.Quota - l.Remaining, l.HasRemaining }

// tidy puts right what contradicts itself and reports whether it had to.
func (l *Limit) tidy() (changed bool) {
	if l.HasRemaining && l.Remaining > l.Quota {
		l.Remaining, changed = l.Quota, true
	}
	if n := Length(l.Bucket); n > 0 && l.HasReset && l.Reset > n+resetSlack {
		l.Reset, l.HasReset, changed = 0, false, true
	}
	return changed
}

// worse merges two accounts of one bucket into the one that promises less.
func (l Limit) worse(m Limit) Limit {
	w := l
	w.Quota = min(l.Quota, m.Quota)
	if m.HasRemaining && (!l.HasRemaining || m.Remaining < l.Remaining) {
		w.Remaining, w.HasRemaining = m.Remaining, true
	}
	if m.HasReset && (!l.HasReset || m.Reset > l.Reset) {
		w.Reset, w.HasReset = m.Reset, true
	}
	w.tidy()
	return w
}

func (l Limits) index(bucket string) int {
	for i := range l {
		if l[i].Bucket == bucket {
			return i
		}
	}
	return -1
}

func parseBucket(s string) (Limit, bool) {
	var limit Limit
	var named, hasQuota bool
	seen := make(map[string]bool, 4)
	for i, member := range strings.Split(s, ";") {
		member = trimOWS(member)
		key, value, isParam := strings.Cut(member, "=")
		if !isParam {
			if i != 0 { // only the first member may be a bare name
				return Limit{}, false
			}
			key, value = "b", member
		}
		key = strings.ToLower(key)
		if key == "" || seen[key] {
			return Limit{}, false
		}
		seen[key] = true
		var ok bool
		switch key {
		case "b":
			limit.Bucket, ok = parseName(value)
			named = ok
		case "q":
			limit.Quota, ok = parseInt(value)
			ok = ok && limit.Quota >= 0
			hasQuota = ok
		case "r":
			limit.Remaining, ok = parseInt(value)
			limit.HasRemaining = ok
		case "t":
			limit.Reset, ok = parseSeconds(value)
			limit.HasReset = ok
		default: // "regarded as comments", as the IETF draft on RateLimit headers says
			ok = true
		}
		if !ok {
			return Limit{}, false
		}
	}
	return limit, named && hasQuota
}

func parseName(s string) (string, bool) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return "", false
		}
	}
	return strings.ToLower(s), s != ""
}

func parseInt(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > maxDigits || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseSeconds reads a number of seconds and rounds a fraction up: waiting too
// long costs a moment, waiting too short costs a refused request.
func parseSeconds(s string) (time.Duration, bool) {
	whole, fraction, hasFraction := strings.Cut(s, ".")
	n, ok := parseInt(whole)
	if !ok || n < 0 || hasFraction && (fraction == "" || strings.Trim(fraction, "0123456789") != "") {
		return 0, false
	}
	if strings.Trim(fraction, "0") != "" {
		n++
	}
	if n > maxSeconds {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// maxSeconds keeps a number of seconds clear of what a time.Duration can hold.
const maxSeconds = int64(1<<63-1) / int64(time.Second)

func trimOWS(s string) string { return strings.Trim(s, " \t") }
