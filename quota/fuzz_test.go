package quota

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// longestWait is the longest that anything in the state can make anybody wait: a
// day, the slack, and what is drawn by lot.
const longestWait = MaxWait + maxJitter + guard*time.Millisecond

// believable reports what is wrong with a state that was read, if anything is.
func believable(s State, at time.Time) string {
	for _, w := range s.Windows {
		switch {
		case w.Quota < 0 || w.Server < 0 || w.Own < 0 || w.Forced < 0 || w.Free() < 0:
			return "a negative number"
		case w.Used < w.Server || w.Used < w.Own:
			return "less is used than is known of"
		case w.Remaining > longestWait || w.Remaining < -longestWait:
			return "a window that is not now"
		case !w.Resets.Equal(at.Add(w.Remaining)):
			return "a window that ends at two moments"
		}
	}
	for _, b := range s.Blocks {
		if b.Remaining <= 0 || b.Remaining > longestWait {
			return "a block that is not on"
		}
	}
	return ""
}

// Whatever Redis says is in the state, what is made of it is sound, and what is
// not is left out.
func FuzzDecodeState(f *testing.F) {
	f.Add(int64(1700000000000), "w:client:per_hour", "1700000001000 3600000 42 1 2 3 0 1700000003000 1", "b:tenant", "1700000005000 1699999990000 2 unavailable")
	f.Add(int64(0), "", "", "m:client", "enforced 1")
	f.Fuzz(func(t *testing.T, now int64, field1, value1, field2, value2 string) {
		at := time.Unix(1e9, 0)
		s, err := decodeState([]string{strconv.FormatInt(now, 10), field1, value1, field2, value2}, at)
		if err != nil {
			t.Errorf("at %d, %q=%q, %q=%q: %v", now, field1, value1, field2, value2, err)
		}
		if now < 0 || now > 9e15 {
			return // no clock says so
		}
		if wrong := believable(s, at); wrong != "" {
			t.Errorf("at %d, %q=%q, %q=%q: %s: %+v", now, field1, value1, field2, value2, wrong, s)
		}
		if n := len(s.Windows) + len(s.Blocks) + len(s.Modes); n > 2 {
			t.Errorf("of two fields: got %d things: %+v", n, s)
		}
	})
}

// Whatever somebody writes for a denial, it makes nobody wait longer than anybody
// may, and shows nothing but names and numbers.
func FuzzParseDenied(f *testing.F) {
	f.Add(byte(Need), int64(1700000000000), "client spent per_hour 42 42 1700000005000 0")
	f.Add(byte(Forced), int64(1700000000000), "org:0123456789abcdef forced  0 0 1700000900000 0")
	f.Add(byte(Early), int64(1), "client reserve x 1 1 9223372036854775807 1")
	f.Fuzz(func(t *testing.T, p byte, now int64, value string) {
		priority := Priority(p % 4)
		denied, ok := parseDenied(priority, value, now, time.Unix(1e9, 0))
		if !ok || now < 0 || now > 9e15 {
			return
		}
		longest := longestWait
		if length := Length(denied.Bucket); length > 0 {
			longest += length - 24*time.Hour
		}
		if denied.RetryIn <= 0 || denied.RetryIn > longest || denied.Priority != priority || denied.Used < 0 || denied.Quota < 0 || denied.Count != 0 {
			t.Errorf("of %q at %d: got %+v", value, now, denied)
		}
		if (denied.Reason == Spent || denied.Reason == Probing) && (priority > Expiring || denied.Used < denied.Quota) || denied.Reason == ForcedSpent && priority != Forced {
			t.Errorf("of %q at %d: got %+v, which the ledger never says", value, now, denied)
		}
		if text := denied.Error(); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) || len(text) > 200+len(value) {
			t.Errorf("of %q: got %q", value, text)
		}
	})
}

// Somebody has written something into the state. The scripts do their work all
// the same, believe what the Go side believes, make nobody wait for longer than
// anybody may, and what the server says of the quota is heard, soon.
func FuzzStoredState(f *testing.F) {
	m := miniredis.RunT(f)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), DisableIdentity: true})
	f.Cleanup(func() { _ = rdb.Close() })
	ledger := NewLedger(rdb, "quota", &Options{Journal: "journal"})
	now := time.UnixMilli(1700000000000) // ten minutes and more after an hour has begun
	m.SetTime(now)
	ctx := context.Background()
	header := http.Header{ClientHeader: {"b=per_hour;q=42;r=41;t=2000"}, "Date": {now.UTC().Format(http.TimeFormat)}}

	f.Add("1700002000000 3600000 42 1 1 1 0 1700002003000 1", "1700000005000 1699999990000 2 unavailable", "1699999999000 sent need w:client:per_hour@1700002000000", "enforced 1700000100000", "1699999999999", "w:client:per_day", byte(0))
	f.Add("1800000000000 100000000000 0 0 0 0 0 1800000000000 1", "9999999999999 1 1 x", "9000000000000000 done need ", "enforced 9999999999999", "9e99", "a:y", byte(3))
	f.Add("", "0001700000005000 1699999990000 2 unavailable", "", "", "", "", byte(0))
	f.Fuzz(func(t *testing.T, window, block, attempt, mode, moment, other string, what byte) {
		fields := map[string]string{
			"w:client:per_hour": window, "b:client": block, "a:x": attempt, "m:client": mode,
			"p:client": moment, "p:forced": moment, "r:client": "r2 " + moment,
		}
		if other != "" {
			fields[other] = window
		}
		m.Del("quota")
		for name, value := range fields {
			m.HSet("quota", name, value)
		}
		before, err := ledger.Peek(ctx)
		if err != nil {
			t.Fatalf("Peek at %q: %v", fields, err)
		}
		if wrong := believable(before, before.at()); wrong != "" {
			t.Errorf("Peek at %q: %s: %+v", fields, wrong, before)
		}

		a := &Attempt{ID: "mine", Priority: Priority(what % 4), By: "r1", Reason: "test", For: "t"}
		_, err = ledger.Admit(ctx, a)
		denied, ok := errors.AsType[*DeniedError](err)
		blocked := slices.ContainsFunc(before.Blocks, func(b Blocked) bool { return b.Scope == Client })
		switch {
		case err != nil && !ok:
			t.Fatalf("Admit with %q: %v", fields, err)
		case ok && (denied.RetryIn <= 0 || denied.RetryIn > longestWait):
			t.Errorf("Admit with %q: %v, which is %v", fields, err, denied.RetryIn)
		case ok && denied.Count > 0 && !blocked:
			t.Errorf("Admit with %q: %v, and Peek sees no block", fields, err)
		case ok && denied.Bucket != "" && !slices.ContainsFunc(before.Windows, func(w Window) bool { return w.Scope == denied.Scope && w.Bucket == denied.Bucket }):
			t.Errorf("Admit with %q: %v, and Peek sees no such bucket", fields, err)
		case !ok && blocked && other != "a:mine":
			t.Errorf("Admit with %q passes the block %+v", fields, before.Blocks)
		}
		if err == nil && other != "a:mine" {
			w, was := before.Find(Client, PerHour)
			after, err := ledger.Peek(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if is, ok := after.Find(Client, PerHour); was && w.Remaining > 0 && (!ok || is.Own < 1 || is.Used < 1) {
				t.Errorf("Admit with %q: is not counted: before %+v, after %+v", fields, w, is)
			}
		}

		answer := &Answer{Outcome: Outcome(what / 4 % 4), Header: header}
		if answer.Outcome == Refused {
			answer.Blocks = []Block{{Scope: Client, Reason: QuotaExceeded, Wait: time.Hour}}
		}
		on, err := ledger.Observe(ctx, a, answer)
		if err != nil {
			t.Fatalf("Observe with %q: %v", fields, err)
		}
		for _, b := range on {
			if b.Remaining <= 0 || b.Remaining > longestWait {
				t.Errorf("Observe with %q: block %+v", fields, b)
			}
		}
		after, err := ledger.Peek(ctx)
		if err != nil {
			t.Fatalf("Peek after Observe with %q: %v", fields, err)
		}
		if wrong := believable(after, after.at()); wrong != "" {
			t.Errorf("Peek after Observe with %q: %s: %+v", fields, wrong, after)
		}
		w, ok := after.Find(Client, PerHour)
		if !ok || w.Remaining > time.Hour+6*time.Minute && w.Quota != 42 && !slices.ContainsFunc(before.Windows, func(b Window) bool { return b.Remaining == w.Remaining }) {
			t.Errorf("the server's word is not heard with %q: %+v", fields, after.Windows)
		}
		if entries, err := ledger.Journal(ctx, 1); err != nil || len(entries) > 1 {
			t.Errorf("Journal: got %v, %v", entries, err)
		}
	})
}

// at returns when a state was read: Peek has its own clock.
func (s State) at() time.Time {
	if len(s.Windows) == 0 {
		return time.Time{}
	}
	return s.Windows[0].Resets.Add(-s.Windows[0].Remaining)
}

// Whatever is in the journal, reading it ends well.
func FuzzDecodeJournal(f *testing.F) {
	f.Add("1700000000000\n2\nevent\nasked\nid\na1\n1700000000001")
	f.Add("1\n-1\n1")
	f.Add("1\n4611686018427387904\n1")
	f.Fuzz(func(t *testing.T, reply string) {
		fields := strings.Split(reply, "\n")
		entries, err := decodeJournal(fields, time.Unix(1e9, 0))
		if err != nil && entries != nil || len(entries) > len(fields)/2 {
			t.Errorf("of %q: got %d entries, %v", reply, len(entries), err)
		}
	})
}

// However often something failed, the wait is bounded, and does not get shorter.
func FuzzBackoff(f *testing.F) {
	f.Add(int64(time.Second), int64(time.Minute), int64(0), uint16(3))
	f.Add(int64(1), int64(1<<63-1), int64(0), uint16(100))
	f.Fuzz(func(t *testing.T, base, limit, wait int64, n uint16) {
		b := Block{Base: time.Duration(max(base, 0)), Cap: time.Duration(max(limit, 0)), Wait: time.Duration(max(wait, 0))}
		got, next := b.Backoff(int(n)), b.Backoff(int(n)+1)
		if got < 0 || got > MaxWait || next < got || b.Wait == 0 && got > b.Cap {
			t.Errorf("%+v: got %v, and %v after that", b, got, next)
		}
		if b.Wait > 0 && got != min(b.Wait, MaxWait) {
			t.Errorf("%+v: got %v, want the server's own wait", b, got)
		}
	})
}
