package quota

import "time"

// alignSlack is how far a window's end may lie from a whole UTC hour or day,
// by the server's own clock, and still be taken for it. Counting in whole
// seconds explains one or two; the rest is for servers that compute t a while
// before they send it.
const alignSlack = 2 * time.Minute

// left returns how long the window that limit describes goes on, counted from
// the moment the server answered. It is the server's own t, and if the server's
// windows are shown to end at whole UTC hours and days, t is put right by the
// server's own Date: then every answer of one window names the same end.
//
// Both numbers come from one clock, the server's. Ours has no part in it.
func (l Limits) left(limit Limit, date time.Time) (time.Duration, bool) {
	length := Length(limit.Bucket)
	if !limit.HasReset {
		return 0, false
	}
	if length == 0 || date.IsZero() || !l.aligned() {
		return limit.Reset, true
	}
	end := date.Add(limit.Reset)
	snapped := end.Round(length) // counted from year 1, whose hours and days are UTC's
	if end.Sub(snapped).Abs() > alignSlack {
		return limit.Reset, true
	}
	return max(snapped.Sub(date), 0), true
}

// aligned reports whether nothing in l speaks against windows that end at whole
// UTC hours. If both documented buckets are there, they show it without any clock:
// a day is a whole number of hours, so t of the day less t of the hour must be
// one too. A made-up sample fails this.
func (l Limits) aligned() bool {
	hour, ok1 := l.Find(PerHour)
	day, ok2 := l.Find(PerDay)
	if !ok1 || !ok2 || !hour.HasReset || !day.HasReset {
		return true // nothing to compare; left asks the server's Date
	}
	rest := (day.Reset - hour.Reset) % time.Hour
	return rest.Abs() <= time.Second || rest.Abs() == time.Hour-time.Second
}
