package replica

import (
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

var usual = Terms{RequestTimeout: 10 * time.Second, Lease: 20 * time.Second}

func TestPlan(t *testing.T) {
	const h, m, s = time.Hour, time.Minute, time.Second
	for _, row := range []struct {
		name      string
		terms     Terms
		ttl, left time.Duration
		want      Plan
	}{
		{"a day", usual, 24 * h, 24 * h, Plan{23 * h, 23*h + 45*m, 24*h - 10*s}},
		{"ten hours", usual, 10 * h, 10 * h, Plan{9 * h, 9*h + 45*m, 10*h - 10*s}},
		{"ten minutes", usual, 10 * m, 10 * m, Plan{450 * s, 562500 * time.Millisecond, 590 * s}},
		{"half a minute", usual, 30 * s, 30 * s, Plan{22500 * time.Millisecond, 28125 * time.Millisecond, 28500 * time.Millisecond}},
		{"a second", usual, s, s, Plan{750 * time.Millisecond, 937500 * time.Microsecond, 950 * time.Millisecond}},
		{"met when half is over", usual, 10 * h, 5 * h, Plan{4 * h, 4*h + 45*m, 5*h - 10*s}},
		{"met in the window", usual, 10 * h, 30 * m, Plan{-30 * m, 15 * m, 30*m - 10*s}},
		{"met when it is over", usual, 10 * h, 5 * s, Plan{-h + 5*s, -15*m + 5*s, -5 * s}},
		{"a window of one's own", Terms{RenewBefore: 2 * h}, 10 * h, 10 * h, Plan{8 * h, 9*h + 30*m, 10*h - 10*s}},
		{"a window shorter than the leeway", Terms{RenewBefore: s}, 10 * h, 10 * h, Plan{10*h - 20*s, 10*h - 10*s, 10*h - 10*s}},
		{"a window as long as the life", Terms{RenewBefore: 10 * h}, 10 * h, 10 * h, Plan{5 * h, 8*h + 45*m, 10*h - 10*s}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.terms.PlanFor(row.ttl, row.left); got != row.want {
				t.Errorf("PlanFor(%v, %v): got %v, want %v", row.ttl, row.left, got, row.want)
			}
		})
	}
}

func TestNeed(t *testing.T) {
	p := usual.PlanFor(10*time.Hour, 10*time.Hour)
	for _, row := range []struct {
		age  time.Duration
		want quota.Priority
		any  bool
	}{
		{0, 0, false},
		{9*time.Hour - 1, 0, false},
		{9 * time.Hour, quota.Early, true},
		{9*time.Hour + 45*time.Minute, quota.Expiring, true},
		{10*time.Hour - 10*time.Second, quota.Need, true},
		{100 * time.Hour, quota.Need, true},
	} {
		if got, any := p.Need(row.age); got != row.want || any != row.any {
			t.Errorf("need at %v: got %v, %v, want %v, %v", row.age, got, any, row.want, row.any)
		}
	}
}

// Three renewers in a row may die, and the fourth still renews in time.
func TestSpreadLeavesTimeForThreeDeaths(t *testing.T) {
	for ttl := 10 * time.Minute; ttl < 40*24*time.Hour; ttl += ttl / 7 {
		window, spread := usual.Window(ttl), usual.Spread(ttl)
		if spread <= 0 || spread > window-3*(usual.Lease+usual.RequestTimeout) {
			t.Errorf("TTL %v: spread %v of window %v leaves no time for three deaths", ttl, spread, window)
		}
	}
	for ttl := time.Second; ttl < 10*time.Minute; ttl += ttl / 3 {
		if window, spread := usual.Window(ttl), usual.Spread(ttl); spread <= 0 || spread > window/5 {
			t.Errorf("TTL %v: spread %v of window %v, want some, and most of the window after it", ttl, spread, window)
		}
	}
}

func TestBackoff(t *testing.T) {
	for _, row := range []struct {
		n      int
		random float64
		want   time.Duration
	}{
		{1, 0, 100 * time.Millisecond},
		{1, 1, time.Second},
		{2, 1, 2 * time.Second},
		{4, 0.5, 4400 * time.Millisecond},
		{5, 1, 10 * time.Second},
		{1 << 30, 1, 10 * time.Second},
		{1 << 30, 0, time.Second},
	} {
		if got := Backoff(row.n, time.Second, 10*time.Second, row.random); got != row.want {
			t.Errorf("Backoff(%d, random %v): got %v, want %v", row.n, row.random, got, row.want)
		}
	}
}
