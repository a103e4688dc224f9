package quota

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	const date = "Fri, 31 Dec 1999 22:00:00 GMT"
	for _, row := range []struct {
		name, value, date string
		want              time.Duration
		ok                bool
	}{
		{"seconds", "120", "", 2 * time.Minute, true},
		{"blanks around", " 120\t", "", 2 * time.Minute, true},
		{"zero is not at once", "0", "", time.Second, true},
		{"a fraction is rounded up", "2.5", "", 3 * time.Second, true},
		{"a day, for a daily quota", "86400", "", 24 * time.Hour, true},
		{"more than any quota can mean", "100000", "", MaxWait, true},
		{"more digits than a number has", "99999999999999999999999", "", MaxWait, true},
		{"a number too small to be a moment", "946680300", date, MaxWait, true},
		{"a moment in Unix time", "1700000300", "Tue, 14 Nov 2023 22:13:20 GMT", 5 * time.Minute, true},
		{"a moment in Unix time without a Date", "1700000000", "", 0, false},
		{"IMF-fixdate", "Fri, 31 Dec 1999 23:59:59 GMT", date, 2*time.Hour - time.Second, true},
		{"RFC 850 date", "Friday, 31-Dec-99 23:00:00 GMT", date, time.Hour, true},
		{"asctime date", "Fri Dec 31 23:00:00 1999", date, time.Hour, true},
		{"a date that is over is not no header", "Fri, 31 Dec 1999 21:00:00 GMT", date, time.Second, true},
		{"a date far off", "Fri, 31 Dec 2049 23:59:59 GMT", date, MaxWait, true},
		{"a date without a Date: not our clock's business", "Fri, 31 Dec 1999 23:59:59 GMT", "", 0, false},
		{"negative", "-5", "", 0, false},
		{"words", "soon", "", 0, false},
		{"half a fraction", "2.", "", 0, false},
		{"absent", "", "", 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := http.Header{}
			if row.value != "" {
				h.Set("Retry-After", row.value)
			}
			if row.date != "" {
				h.Set("Date", row.date)
			}
			if got, ok := RetryAfter(h); got != row.want || ok != row.ok {
				t.Errorf("RetryAfter(%q, Date %q): got %v, %v, want %v, %v", row.value, row.date, got, ok, row.want, row.ok)
			}
		})
	}
}

func TestWaitOf(t *testing.T) {
	const date = "Fri, 31 Dec 1999 22:00:00 GMT"
	const spentHour = "b=per_hour;q=10;r=0;t=774,b=per_day;q=50;r=40;t=4374"
	for _, row := range []struct {
		name   string
		header map[string]string
		want   time.Duration
		ok     bool
	}{
		{"Retry-After outranks the bucket", map[string]string{"Retry-After": "30", ClientHeader: spentHour}, 30 * time.Second, true},
		{"the bucket with nothing left", map[string]string{ClientHeader: spentHour, "X-RateLimit-Reset": "946677700", "Date": date}, 774 * time.Second, true},
		{"the longest of those with nothing left", map[string]string{ClientHeader: "b=per_hour;q=10;r=0;t=774,b=per_day;q=50;r=-1;t=4374"}, 4374 * time.Second, true},
		{"the organization's bucket", map[string]string{OrganizationHeader: spentHour}, 774 * time.Second, true},
		{"an unreadable Retry-After is none", map[string]string{"Retry-After": "soon", ClientHeader: spentHour}, 774 * time.Second, true},
		{"X-RateLimit-Reset last", map[string]string{"X-RateLimit-Reset": "1700000060", "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}, time.Minute, true},
		{"X-RateLimit-Reset as a duration", map[string]string{"X-RateLimit-Reset": "60", "Date": date}, time.Minute, true},
		{"X-RateLimit-Reset in milliseconds", map[string]string{"X-RateLimit-Reset": "1700000060000", "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}, time.Minute, true},
		{"X-RateLimit-Reset without a Date", map[string]string{"X-RateLimit-Reset": "1700000060"}, 0, false},
		{"X-RateLimit-Reset as a date", map[string]string{"X-RateLimit-Reset": "Tue, 14 Nov 2023 22:14:20 GMT", "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}, time.Minute, true},
		{"X-RateLimit-Reset that is nonsense", map[string]string{"X-RateLimit-Reset": "soon"}, 0, false},
		{"nothing spent, nothing said", map[string]string{ClientHeader: "b=per_hour;q=10;r=3;t=774"}, 0, false},
		{"no header", nil, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := http.Header{}
			for k, v := range row.header {
				h.Set(k, v)
			}
			if got, ok := WaitOf(h); got != row.want || ok != row.ok {
				t.Errorf("WaitOf(%v): got %v, %v, want %v, %v", h, got, ok, row.want, row.ok)
			}
		})
	}
}

// Whatever the header says, a wait is one that can be waited, and Retry-After
// outranks the rest.
func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "Fri, 31 Dec 1999 22:00:00 GMT", "b=per_hour;q=1;r=0;t=60", "946684799")
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT", "", "", "")
	f.Add("1700000000", "Tue, 14 Nov 2023 22:13:20 GMT", "b=x;q=1;r=0;t=9223372036", "0")
	f.Add("2.5", "x", "", "1")
	f.Fuzz(func(t *testing.T, value, date, limits, reset string) {
		h := http.Header{"Retry-After": {value}, "Date": {date}, ClientHeader: {limits}, "X-Ratelimit-Reset": {reset}}
		wait, ok := RetryAfter(h)
		if ok && (wait < MinWait || wait > MaxWait) {
			t.Errorf("RetryAfter(%q, Date %q): got %v, outside of what a wait can be", value, date, wait)
		}
		all, found := WaitOf(h)
		if found && (all < MinWait || all > MaxWait) || ok && (!found || all != wait) {
			t.Errorf("WaitOf(%v): got %v, %v, and RetryAfter %v, %v", h, all, found, wait, ok)
		}
		client, _ := ClientLimits(h)
		at, _ := ServerDate(h)
		for _, l := range client {
			if left, ok := client.left(l, at); ok && (left < 0 || left-l.Reset > alignSlack) {
				t.Errorf("%v at %v: %v is left of it", l, at, left)
			}
		}
	})
}

// Rate limits are told in the fields of the IETF drafts, of Okta and of others.
func TestReport(t *testing.T) {
	const date = "Tue, 14 Nov 2023 22:13:20 GMT"
	for _, row := range []struct {
		name, header, value string
		wait                time.Duration
	}{
		{"A10 Okta", "X-Rate-Limit-Reset", "1700000060", time.Minute},
		{"A10 RateLimit-Reset", "RateLimit-Reset", "20", 20 * time.Second},
		{"A10 RateLimit, draft 10", "RateLimit", `"default";r=0;t=20`, 20 * time.Second},
		{"A10 RateLimit of two policies", "RateLimit", `"burst";r=5;t=60, "daily";r=0;t=20`, 20 * time.Second},
		{"A10 RateLimit of two that are spent", "RateLimit", `"burst";r=0;t=60, "daily";r=0;t=20`, time.Minute},
		{"A10 RateLimit, draft 3", "RateLimit", "limit=100, remaining=0, reset=20", 20 * time.Second},
		{"A10 RateLimit of blanks and cases", "RateLimit", `"default"; R=0; T=20`, 20 * time.Second},
		{"A10 RateLimit of which something remains", "RateLimit", `"default";r=3;t=20`, 0},
		{"A10 RateLimit that cannot be read", "RateLimit", `;;=,`, 0},
		{"A10 X-RateLimit-Reset as a duration", "X-RateLimit-Reset", "20", 20 * time.Second},
		{"A10 X-RateLimit-Reset-After", "X-RateLimit-Reset-After", "1.5", 2 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := http.Header{"Date": {date}}
			h.Set(row.header, row.value)
			if got, ok := WaitOf(h); got != row.wait || ok != (row.wait > 0) {
				t.Errorf("got %v, %v, want %v", got, ok, row.wait)
			}
		})
	}
}
