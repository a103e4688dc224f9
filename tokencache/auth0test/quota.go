package auth0test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A spending remembers when the tokens of one client or organization were
// issued, in order, as far back as the longest window needs.
type spending struct {
	times []time.Time
}

// add counts n tokens at the given time and forgets those of the days before.
func (s *spending) add(at time.Time, n int) {
	midnight := at.Truncate(24 * time.Hour)
	s.times = slices.Delete(s.times, 0, s.before(midnight))
	for range n {
		s.times = append(s.times, at)
	}
}

// before counts the tokens that were issued before t.
func (s *spending) before(t time.Time) int {
	n, _ := slices.BinarySearchFunc(s.times, t, time.Time.Compare)
	return n
}

// A bucket is one quota at one moment.
type bucket struct {
	name  string
	quota int
	spent int
	ends  time.Time // when its window ends and spent becomes zero
}

// buckets returns the quotas of a client or organization whose windows contain
// at. They count the tokens that were issued until the time seen. Windows are
// fixed: they begin at the UTC hour and at midnight UTC, whenever the first
// token was issued.
func (s *spending) buckets(perHour, perDay int, at, seen time.Time) []bucket {
	var list []bucket
	for _, b := range []struct {
		name   string
		quota  int
		length time.Duration
	}{
		{"per_hour", perHour, time.Hour},
		{"per_day", perDay, 24 * time.Hour},
	} {
		if b.quota <= 0 {
			continue
		}
		begin := at.Truncate(b.length)
		until := s.before(seen.Add(1)) // tokens issued at the time seen count
		list = append(list, bucket{
			name:  b.name,
			quota: b.quota,
			spent: max(0, until-s.before(begin)),
			ends:  begin.Add(b.length),
		})
	}
	return list
}

func (b bucket) exhausted() bool { return b.spent >= b.quota }

// remaining never falls below zero, also when a quota is only monitored.
func (b bucket) remaining() int { return max(0, b.quota-b.spent) }

// resetsIn is the time until the window ends in whole seconds, rounded up:
// after that many seconds it is certainly over.
func (b bucket) resetsIn(at time.Time) int {
	return int(math.Ceil(b.ends.Sub(at).Seconds()))
}

// A tally holds all quotas that apply to one request.
type tally struct {
	client, organization []bucket
}

// exhausted returns the bucket that is exhausted for the longest time, if any.
// A request is allowed again when that one resets, and not before.
func (t tally) exhausted() (last bucket, found bool) {
	for _, b := range slices.Concat(t.client, t.organization) {
		if b.exhausted() && (!found || b.ends.After(last.ends)) {
			last, found = b, true
		}
	}
	return last, found
}

// spendAll makes every client quota look exhausted.
func (t tally) spendAll() {
	for i := range t.client {
		t.client[i].spent = t.client[i].quota
	}
}

// tenantLimit is the general rate limit that answers report unless they refuse
// for want of quota. The server does not enforce it. It is here because clients
// must not take its numbers for those of their quota.
func tenantLimit(h http.Header, at time.Time) {
	rateLimit(h, 100, 99, at.Add(time.Second))
}

// rateLimit writes the X-RateLimit headers. Unlike t in the quota header and
// Retry-After, the reset is a point in time: seconds since 1970.
func rateLimit(h http.Header, limit, remaining int, reset time.Time) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(remaining))
	h.Set("X-RateLimit-Reset", fmt.Sprint(reset.Unix()))
}
