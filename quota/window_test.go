package quota

import (
	"testing"
	"time"
)

func TestLeft(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name   string
		limits string
		date   time.Time
		bucket string
		want   time.Duration
		ok     bool
	}{
		{"both buckets agree: t is put right by the Date", "b=per_hour;q=1;r=1;t=774,b=per_day;q=1;r=1;t=40374", noon.Add(3600*time.Second - 775*time.Second), PerHour, 775 * time.Second, true},
		{"the day too", "b=per_hour;q=1;r=1;t=774,b=per_day;q=1;r=1;t=40374", noon.Add(3600*time.Second - 775*time.Second), PerDay, 12*time.Hour - 3600*time.Second + 775*time.Second, true},
		{"off by one between the buckets", "b=per_hour;q=1;r=1;t=774,b=per_day;q=1;r=1;t=40373", noon.Add(3600*time.Second - 774*time.Second), PerHour, 774 * time.Second, true},
		{"a sample somebody made up", "b=per_hour;q=1;r=1;t=3540,b=per_day;q=1;r=1;t=43200", noon.Add(61 * time.Second), PerHour, 3540 * time.Second, true},
		{"one bucket, and the Date agrees", "b=per_hour;q=1;r=1;t=773", noon.Add(3600*time.Second - 774*time.Second), PerHour, 774 * time.Second, true},
		{"one bucket, and the Date does not", "b=per_hour;q=1;r=1;t=3600", noon.Add(20 * time.Minute), PerHour, time.Hour, true},
		{"no Date", "b=per_hour;q=1;r=1;t=774", time.Time{}, PerHour, 774 * time.Second, true},
		{"unknown bucket", "b=per_minute;q=1;r=1;t=30", noon, "per_minute", 30 * time.Second, true},
		{"no t", "b=per_hour;q=1;r=1", noon, PerHour, 0, false},
		{"the end is now", "b=per_hour;q=1;r=1;t=0", noon, PerHour, 0, true},
		{"a little late", "b=per_hour;q=1;r=1;t=0", noon.Add(time.Second), PerHour, 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			limits, _ := ParseLimits(row.limits)
			limit, _ := limits.Find(row.bucket)
			if got, ok := limits.left(limit, row.date); got != row.want || ok != row.ok {
				t.Errorf("left of %s in %q at %v: got %v, %v, want %v, %v", row.bucket, row.limits, row.date, got, ok, row.want, row.ok)
			}
		})
	}
}
