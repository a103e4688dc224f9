package quota_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// TestThreat tells what comes of some threats; their numbers are those of
// TestThreat in tokencache.
func TestThreat(t *testing.T) {
	t.Run("S08 a writer of Redis", func(t *testing.T) {
		t.Run("makes a window that never ends", endlessWindow)
		t.Run("makes attempts of the future", futureAttempts)
		t.Run("makes a count that cannot be", impossibleCount)
		t.Run("denies what nobody has denied", foreignDenial)
	})
}

// It is as good as none, and the next answer tells what there is.
func endlessWindow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		end := time.Now().AddDate(1000, 0, 0).UnixMilli()
		b.m.HSet("{c}:quota", "w:client:per_hour", fmt.Sprintf("%d %d 0 0 0 0 0 %d 1", end, end, end),
			"m:client", fmt.Sprintf("enforced %d", time.Now().Add(time.Hour).UnixMilli()))
		b.spend(quota.Early, "42/41")
		if w := b.window(); w.Quota != 42 || w.Remaining > time.Hour || !w.Confirmed {
			t.Errorf("got %+v, want what the server says", w)
		}
	})
}

// They count for nothing, and our own are remembered beside them.
func futureAttempts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		for i := range 20 {
			b.m.HSet("{c}:quota", fmt.Sprintf("a:theirs%d", i), fmt.Sprintf("%d done need ", time.Now().Add(24*time.Hour).UnixMilli()))
		}
		first, denied := b.admit(quota.Need)
		if denied != nil {
			t.Fatal(denied)
		}
		b.admit(quota.Need)
		b.answer(first, quota.Issued, "42/41")
		if w := b.window(); w.Own != 2 || w.Used != 2 {
			t.Errorf("got %+v, want the two requests that there were", w)
		}
		b.answer(first, quota.Refused, "") // a repeated call: it is known, so it takes nothing back
		if w := b.window(); w.Own != 2 {
			t.Errorf("after a repeated call: got %+v", w)
		}
	})
}

// Less is used than nothing: that would let a fleet run into its quota.
func impossibleCount(t *testing.T) {
	bubble(t, &quota.Options{Enforced: true}, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/0")
		if _, denied := b.admit(quota.Need); denied == nil {
			t.Fatal("the quota is spent, and a request was admitted")
		}
		end := time.Now().Truncate(time.Hour).Add(time.Hour).UnixMilli()
		b.m.HSet("{c}:quota", "w:client:per_hour", fmt.Sprintf("%d 3600000 42 42 1 -900 0 %d 1", end, end+2000))
		if w := b.window(); w.Quota != 0 {
			t.Errorf("got %+v, want it to be as good as none", w)
		}
		b.spend(quota.Need, "42/0") // one request finds out
		if _, denied := b.admit(quota.Need); denied == nil {
			t.Error("a second request was admitted")
		}
	})
}

// What was denied is believed for as long as it can be, and shows nothing but
// names and numbers.
func foreignDenial(t *testing.T) {
	now := time.Now()
	until := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).UnixMilli(), 10) }
	for _, value := range []string{
		"", "client", "client spent per_hour 42 42 0",
		"client spent per_hour 42 42 " + until(-time.Millisecond) + " 0",
		"client spent per_hour 42 42 " + until(25*time.Hour) + " 0",
		"client spent per_hour 42 42 9223372036854775807 0",
		"client spent per_hour -1 42 " + until(time.Hour) + " 0",
		"client spent per_hour 42 -1 " + until(time.Hour) + " 0",
		"client spent per\nhour 42 42 " + until(time.Hour) + " 0",
		"cli\tent spent per_hour 42 42 " + until(time.Hour) + " 0",
		"client because per_hour 42 42 " + until(time.Hour) + " 0",
		"client spent per_hour 42 42 " + until(time.Hour) + " 0 0",
		" spent per_hour 42 42 " + until(time.Hour) + " 0",
		"client spent per_hour 42 42 " + until(time.Hour) + " 1", // no block
		"client spent per_hour 42 41 " + until(time.Hour) + " 0", // one is left
		"client spent  42 42 " + until(time.Hour) + " 0",
		"client reserve per_hour 42 42 " + until(time.Hour) + " 0",    // nothing is reserved for more than a need
		"client forced per_hour 42 42 " + until(time.Hour) + " 0",     // it was not forced
		"client spent per_hour 42 42 " + until(66*time.Minute) + " 0", // no hour lasts so long
		"client probing per_hour 42 42 " + until(6*time.Minute) + " 0",
	} {
		if denied, ok := quota.ParseDenied(quota.Need, value, now.UnixMilli(), now); ok {
			t.Errorf("of %q: got %+v", value, denied)
		}
	}
	if denied, ok := quota.ParseDenied(quota.Forced, "client forced  0 0 "+until(16*time.Minute)+" 0", now.UnixMilli(), now); ok {
		t.Errorf("got %+v", denied)
	}
	for _, row := range []struct {
		priority quota.Priority
		told     string
		wait     time.Duration
	}{
		{quota.Need, "client spent per_hour 42 42 ", time.Hour},
		{quota.Need, "client probing per_day 100 117 ", 5 * time.Minute},
		{quota.Expiring, "client reserve per_day 100 99 ", 24 * time.Hour},
		{quota.Early, "org:0123456789abcdef reserve per_week 100 85 ", 24 * time.Hour},
		{quota.Forced, "client forced per_hour 42 7 ", time.Hour},
		{quota.Forced, "client forced  0 0 ", 15 * time.Minute},
	} {
		denied, ok := quota.ParseDenied(row.priority, row.told+until(row.wait)+" 0", now.UnixMilli(), now)
		if !ok || denied.RetryIn != row.wait || denied.Priority != row.priority || !denied.RetryAt.Equal(now.Add(row.wait)) {
			t.Errorf("of %q: got %+v, %v", row.told, denied, ok)
		}
	}
}
