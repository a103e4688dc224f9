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
		if w := b.window(); w.Quota != 42 || w.Left > time.Hour || !w.Confirmed {
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
	} {
		if denied, ok := quota.ParseDenied(quota.Need, value, now.UnixMilli(), now); ok {
			t.Errorf("of %q: got %+v", value, denied)
		}
	}
	for _, value := range []string{"client spent per_hour 42 42 " + until(time.Hour) + " 0", "client forced  0 0 " + until(time.Hour) + " 0"} {
		denied, ok := quota.ParseDenied(quota.Forced, value, now.UnixMilli(), now)
		if !ok || denied.RetryIn != time.Hour || denied.Priority != quota.Forced || !denied.RetryAt.Equal(now.Add(time.Hour)) {
			t.Errorf("of %q: got %+v, %v", value, denied, ok)
		}
	}
}
