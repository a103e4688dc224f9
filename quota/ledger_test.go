package quota_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fleettoken/fleettoken/quota"
)

// A book is a ledger under test, on a Redis that follows the bubble's clock.
type book struct {
	*quota.Ledger
	t   *testing.T
	m   *miniredis.Miniredis
	rdb *redis.Client
	n   int
}

// bubble runs a story on a virtual clock, which starts at midnight UTC.
func bubble(t *testing.T, opts *quota.Options, story func(t *testing.T, b *book)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true)
		defer m.Close()
		rdb := redis.NewClient(&redis.Options{
			Addr:                     "127.0.0.1:6379",
			Dialer:                   func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
			DisableIdentity:          true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		defer rdb.Close()
		if opts == nil {
			opts = &quota.Options{}
		}
		opts.Journal = "{c}:journal"
		story(t, &book{Ledger: quota.NewLedger(rdb, "{c}:quota", opts), t: t, m: m, rdb: rdb})
	})
}

func (b *book) attempt(p quota.Priority) *quota.Attempt {
	b.n++
	return &quota.Attempt{ID: "a" + strconv.Itoa(b.n), Priority: p, By: "r1", Reason: "test", For: "t1"}
}

// admit admits an attempt and returns it; nil if it was denied.
func (b *book) admit(p quota.Priority) (*quota.Attempt, *quota.DeniedError) {
	b.t.Helper()
	a := b.attempt(p)
	_, err := b.Admit(b.t.Context(), a)
	denied, ok := errors.AsType[*quota.DeniedError](err)
	if err != nil && !ok {
		b.t.Fatal(err)
	}
	if ok {
		return nil, denied
	}
	return a, nil
}

func (b *book) answer(a *quota.Attempt, outcome quota.Outcome, hour string, blocks ...quota.Block) []quota.Blocked {
	b.t.Helper()
	got, err := b.Observe(b.t.Context(), a, &quota.Answer{Outcome: outcome, Header: header(hour), Blocks: blocks})
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

// told observes an answer that was received a while ago.
func (b *book) told(a *quota.Attempt, received time.Time, answer *quota.Answer) {
	b.t.Helper()
	answer.Age = time.Since(received)
	if _, err := b.Observe(b.t.Context(), a, answer); err != nil {
		b.t.Fatal(err)
	}
}

// spend asks for one token and gets it, with the given header.
func (b *book) spend(p quota.Priority, hour string) {
	b.t.Helper()
	a, denied := b.admit(p)
	if denied != nil {
		b.t.Fatalf("%s at %v: got %v, want to be admitted", p, time.Now().UTC(), denied)
	}
	b.answer(a, quota.Issued, hour)
}

// window returns the client's hourly window.
func (b *book) window() quota.Window {
	b.t.Helper()
	state, err := b.Peek(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	w, _ := state.Find(quota.Client, quota.PerHour)
	return w
}

// header returns the header of an answer made now, such as hour "42/40": 40 of
// 42 left. Empty means an answer without a quota.
func header(hour string) http.Header {
	now := time.Now().UTC()
	h := http.Header{"Date": {now.Format(http.TimeFormat)}}
	if q, r, ok := strings.Cut(hour, "/"); ok {
		left := now.Truncate(time.Hour).Add(time.Hour).Sub(now.Truncate(time.Second))
		h.Set(quota.ClientHeader, fmt.Sprintf("b=per_hour;q=%s;r=%s;t=%d", q, r, int(left.Seconds())))
	}
	return h
}

func TestUnknownQuotaIsProbed(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Early, "42/41")
		w := b.window()
		if w.Quota != 42 || w.Used != 1 || w.Free() != 41 || !w.Confirmed {
			t.Errorf("after the first answer: got %+v, want 1 of 42 used, confirmed", w)
		}
	})
}

// The own count covers what the server's count does not show yet, and what no
// answer told of.
func TestTwoWatermarks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/42") // the provider's own sample: not counted yet
		b.spend(quota.Need, "42/42") // the server's count lags
		if w := b.window(); w.Server != 0 || w.Own != 2 || w.Used != 2 {
			t.Errorf("while the server's count lags: got %+v, want server 0, own 2, used 2", w)
		}
		b.spend(quota.Need, "42/30") // somebody else used nine
		if w := b.window(); w.Server != 12 || w.Own != 3 || w.Used != 12 {
			t.Errorf("with a foreign consumer: got %+v, want server 12, own 3, used 12", w)
		}
		b.spend(quota.Need, "") // no header: ours still counts on top of theirs
		if w := b.window(); w.Used != 13 {
			t.Errorf("after an answer without a header: got %+v, want used 13", w)
		}
		b.spend(quota.Need, "42/35") // an older answer
		if w := b.window(); w.Used != 14 {
			t.Errorf("after an answer that is older than it looks: got %+v, want used 14", w)
		}
	})
}

func TestOutcomes(t *testing.T) {
	for _, row := range []struct {
		outcome quota.Outcome
		used    int64
	}{
		{quota.Issued, 11}, {quota.Unknown, 11}, {quota.Refused, 10}, {quota.Unsent, 10},
	} {
		t.Run(row.outcome.String(), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *book) {
				b.spend(quota.Need, "42/32")
				a, _ := b.admit(quota.Need)
				if w := b.window(); w.Used != 11 {
					t.Errorf("while the answer is out: got %d used, want 11", w.Used)
				}
				b.answer(a, row.outcome, "")
				if w := b.window(); w.Used != row.used {
					t.Errorf("got %d used, want %d", w.Used, row.used)
				}
			})
		})
	}
}

// A replica whose reply was lost tells of its request again. Meanwhile others have
// made theirs. If they were so many that it is forgotten, it counts once more, and
// that is all.
func TestToldTwice(t *testing.T) {
	for _, row := range []struct {
		others int
		more   int64
	}{{0, 0}, {8, 0}, {31, 0}, {32, 1}, {40, 1}} {
		t.Run(fmt.Sprintf("after %d others", row.others), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *book) {
				b.spend(quota.Need, "100/99")
				direct := b.attempt(quota.Need) // was sent past Redis
				tell := func() {
					if _, err := b.Admit(t.Context(), direct); err != nil {
						t.Fatal(err)
					}
					b.told(direct, time.Now(), &quota.Answer{Outcome: quota.Issued})
				}
				tell()
				for range row.others {
					time.Sleep(time.Second)
					b.spend(quota.Need, "")
				}
				before := b.window().Used
				tell()
				tell()
				if got := b.window().Used - before; got != row.more {
					t.Errorf("told again, it counts %d times more, want %d", got, row.more)
				}
			})
		})
	}
}

// A renewer that dies while its request is out has spent it.
func TestLostAttemptCounts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/41")
		b.admit(quota.Need)
		b.admit(quota.Need)
		if w := b.window(); w.Used != 3 {
			t.Errorf("after two attempts without an answer: got %d used, want 3", w.Used)
		}
	})
}

func TestPrioritiesLeaveAReserve(t *testing.T) {
	for _, row := range []struct {
		priority   quota.Priority
		hour       string
		admitted   bool
		wantReason quota.Reason
	}{
		{quota.Early, "42/10", true, ""},
		{quota.Early, "42/9", false, quota.Reserve}, // a fifth of 42 is 9
		{quota.Early, "1/1", false, quota.Reserve},
		{quota.Expiring, "42/2", true, ""},
		{quota.Expiring, "42/1", false, quota.Reserve},
		{quota.Expiring, "4/1", true, ""}, // of so few, none can be spared
		{quota.Forced, "42/2", true, ""},
		{quota.Forced, "42/1", false, quota.Reserve},
		{quota.Need, "42/1", true, ""},
	} {
		t.Run(fmt.Sprintf("%s with %s", row.priority, row.hour), func(t *testing.T) {
			bubble(t, &quota.Options{Enforced: true}, func(t *testing.T, b *book) {
				first, _ := b.admit(quota.Need)
				b.answer(first, quota.Issued, row.hour)
				a, denied := b.admit(row.priority)
				if (a != nil) != row.admitted {
					t.Fatalf("got %v, want admitted: %v", denied, row.admitted)
				}
				if denied != nil && (denied.Reason != row.wantReason || denied.RetryIn < 55*time.Minute) {
					t.Errorf("got %+v, want reason %q until after the hour", denied, row.wantReason)
				}
			})
		})
	}
}

func TestSpentQuotaWaitsForTheHour(t *testing.T) {
	bubble(t, &quota.Options{Enforced: true}, func(t *testing.T, b *book) {
		time.Sleep(20*time.Minute + 300*time.Millisecond)
		b.spend(quota.Need, "42/0")
		_, first := b.admit(quota.Need)
		if first == nil || first.Reason != quota.Spent || first.Used != 42 || first.Quota != 42 {
			t.Fatalf("got %v, want the quota to be spent, 42 of 42", first)
		}
		one := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
		if late := first.RetryAt.Sub(one); late < 2*time.Second || late > 33*time.Second {
			t.Errorf("to ask again %v after one o'clock, want 2 s to 33 s", late)
		}
		time.Sleep(10 * time.Minute)
		if _, second := b.admit(quota.Need); second == nil || second.RetryAt.Sub(first.RetryAt).Abs() > time.Millisecond {
			t.Errorf("ten minutes later, to ask again at %v, want the same moment as before, %v", second, first.RetryAt)
		}
		time.Sleep(time.Until(first.RetryAt) - 5*time.Millisecond)
		if a, _ := b.admit(quota.Need); a != nil {
			t.Errorf("admitted before the moment that was named")
		}
		time.Sleep(10 * time.Millisecond)
		b.spend(quota.Need, "42/41")
		if w := b.window(); w.Used != 1 || w.Resets.Sub(one.Add(time.Hour)).Abs() > 2*time.Second {
			t.Errorf("in the new window: got %+v, want 1 used, until two o'clock", w)
		}
	})
}

// Both buckets of a header count, and the refusal that lasts longest is told.
func TestDayOutlastsHour(t *testing.T) {
	bubble(t, &quota.Options{Enforced: true}, func(t *testing.T, b *book) {
		a, _ := b.admit(quota.Need)
		h := http.Header{quota.ClientHeader: {"b=per_hour;q=5;r=0;t=3600,b=per_day;q=9;r=0;t=86400"}}
		if _, err := b.Observe(t.Context(), a, &quota.Answer{Outcome: quota.Issued, Header: h}); err != nil {
			t.Fatal(err)
		}
		_, denied := b.admit(quota.Need)
		if denied == nil || denied.Bucket != quota.PerDay || denied.RetryIn < 24*time.Hour {
			t.Errorf("got %v, want to wait for the day", denied)
		}
	})
}

// A quota that is only watched must not stop a fleet without a token: one
// request finds out.
func TestMonitorMode(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/0")
		if _, denied := b.admit(quota.Early); denied == nil {
			t.Errorf("early renewal of a spent quota was admitted")
		}
		a := b.attempt(quota.Need)
		admission, err := b.Admit(t.Context(), a)
		if err != nil || !admission.Probe {
			t.Fatalf("got %+v, %v, want a probe", admission, err)
		}
		if _, denied := b.admit(quota.Need); denied == nil || denied.Reason != quota.Probing || denied.RetryIn != 5*time.Minute {
			t.Errorf("while the probe is out: got %v, want to wait five minutes for it", denied)
		}
		b.answer(a, quota.Issued, "42/0")
		for range 10 {
			b.spend(quota.Need, "42/0") // it is only watched: whoever has no token gets one
		}
		if _, denied := b.admit(quota.Early); denied == nil {
			t.Errorf("early renewal beyond a watched quota was admitted")
		}

		// The provider flips the switch: one refusal, and it is known.
		a, _ = b.admit(quota.Need)
		b.answer(a, quota.Refused, "42/0", quota.Block{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: time.Hour})
		if _, denied := b.admit(quota.Need); denied == nil {
			t.Errorf("after the refusal, one more was admitted")
		}
		time.Sleep(time.Hour + time.Minute)
		b.spend(quota.Need, "42/0")
		if _, denied := b.admit(quota.Need); denied == nil || denied.Reason != quota.Spent {
			t.Errorf("an hour later: got %v, want it to be remembered that the quota is enforced", denied)
		}
	})
}

// A token is a proof that the quota is only watched if the server had said that
// none was left before that token was asked for. It may also have been the last
// one but one, and its answer told of late.
func TestLateSuccessIsNoProof(t *testing.T) {
	mode := func(b *book) string {
		b.t.Helper()
		state, err := b.Peek(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		return state.Modes[quota.Client]
	}
	for name, out := range map[string]func(b *book) (told func()){
		"told of late": func(b *book) func() {
			late, _ := b.admit(quota.Need)
			h, received := header("3/1"), time.Now()
			return func() { b.told(late, received, &quota.Answer{Outcome: quota.Issued, Header: h}) }
		},
		"under way for long": func(b *book) func() {
			late, _ := b.admit(quota.Need)
			return func() { b.answer(late, quota.Issued, "3/0") }
		},
		"under way while an older answer is told of": func(b *book) func() {
			older, _ := b.admit(quota.Need)
			h, received := header("3/2"), time.Now()
			time.Sleep(time.Second)
			late, _ := b.admit(quota.Need)
			return func() {
				b.told(older, received, &quota.Answer{Outcome: quota.Issued, Header: h})
				b.answer(late, quota.Issued, "3/0")
			}
		},
		"asked for past Redis": func(b *book) func() {
			late := b.attempt(quota.Need)
			sent := time.Now()
			return func() {
				took, h, received := time.Since(sent), header("3/0"), time.Now()
				time.Sleep(time.Minute)
				_, _ = b.Admit(b.t.Context(), late) // a denial comes too late
				b.told(late, received, &quota.Answer{Outcome: quota.Issued, Header: h, Took: took})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *book) {
				told := out(b)
				time.Sleep(time.Minute)
				b.spend(quota.Need, "3/0")
				time.Sleep(time.Minute)
				told()
				if got := mode(b); got != "" {
					t.Errorf("got mode %q, and nothing has shown that", got)
				}
				time.Sleep(5 * time.Minute) // after which one may probe again
				b.spend(quota.Need, "3/0")
				if got := mode(b); got != "advisory" {
					t.Errorf("got mode %q of one that was asked for after nothing was left, want it to be advisory", got)
				}
			})
		})
	}
}

// A probe that is refused decides the other way, for a week.
func TestProbeRefused(t *testing.T) {
	days := 7
	if testing.Short() {
		days = 2
	}
	bubble(t, nil, func(t *testing.T, b *book) {
		refused := 0
		time.Sleep(10 * time.Minute)
		for range days * 24 {
			for {
				a, _ := b.admit(quota.Need)
				if a == nil {
					break
				}
				w := b.window()
				if w.Used > 5 {
					refused++
					b.answer(a, quota.Refused, "5/0", quota.Block{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: time.Minute})
					continue
				}
				b.answer(a, quota.Issued, "5/"+strconv.Itoa(5-int(w.Used)))
			}
			time.Sleep(time.Hour)
		}
		if refused != 1 {
			t.Errorf("a fleet that always needs a token was refused %d times in a week, want 1: the probe", refused)
		}
	})
}

// An API that refuses every token makes the fleet ask for new ones for ever.
func TestForcedBudget(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/41")
		for range 4 { // a tenth of 42
			b.spend(quota.Forced, "42/38")
		}
		_, denied := b.admit(quota.Forced)
		if denied == nil || denied.Reason != quota.ForcedSpent {
			t.Fatalf("a fifth forced renewal: got %v, want its budget to be spent", denied)
		}
		b.spend(quota.Need, "42/38")
		b.spend(quota.Early, "42/38")
		time.Sleep(time.Until(denied.RetryAt) + time.Millisecond)
		b.spend(quota.Forced, "42/41")
	})
}

// The answer that tells of the quota may be a refusal, such as a 503: then it
// costs nothing of the budget. What brought a token before the quota was known
// does.
func TestForcedBudgetOfAFirstWindow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		a, _ := b.admit(quota.Forced)
		b.answer(a, quota.Refused, "10/9")
		if w := b.window(); w.Forced != 0 || w.Own != 0 {
			t.Errorf("after a refusal: got %+v, want nothing asked for", w)
		}
		b.spend(quota.Forced, "10/8")
		if _, denied := b.admit(quota.Forced); denied == nil || denied.Reason != quota.ForcedSpent {
			t.Errorf("a second one: got %v, want its budget to be spent", denied)
		}
	})
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Forced, "")
		b.spend(quota.Need, "10/8")
		if w := b.window(); w.Forced != 1 || w.Own != 2 {
			t.Errorf("when the second answer tells of the quota: got %+v, want two asked for, and one of them forced", w)
		}
	})
}

// A forced request that nobody has answered for may belong to either side of the
// hour. To take it back on the other side gives back what it took there.
func TestForcedBudgetAcrossTheHour(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Need, "20/19")
		time.Sleep(time.Hour - 10*time.Second)
		out, _ := b.admit(quota.Forced)
		time.Sleep(2 * time.Minute)
		b.spend(quota.Forced, "20/18")
		if w := b.window(); w.Forced != 2 {
			t.Errorf("got %+v, want two forced, and one of them perhaps before the hour", w)
		}
		b.answer(out, quota.Unsent, "")
		if w := b.window(); w.Forced != 1 || w.Used != 2 {
			t.Errorf("when one was not sent: got %+v, want one forced", w)
		}
	})
}

func TestForcedBudgetWhileTheQuotaIsUnknown(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Forced, "")
		if _, denied := b.admit(quota.Forced); denied == nil || denied.Reason != quota.ForcedSpent || denied.RetryIn != 15*time.Minute {
			t.Errorf("got %v, want one in a quarter of an hour", denied)
		}
		b.spend(quota.Need, "")

		// What brought no token is taken from no budget.
		time.Sleep(15 * time.Minute)
		for _, outcome := range []quota.Outcome{quota.Refused, quota.Unsent} {
			a, denied := b.admit(quota.Forced)
			if denied != nil {
				t.Fatalf("got %v, want to be admitted", denied)
			}
			b.answer(a, outcome, "")
		}
		b.spend(quota.Forced, "")
	})
}

func TestBlocks(t *testing.T) {
	const audience quota.Scope = "audience:a1"
	bubble(t, nil, func(t *testing.T, b *book) {
		a := b.attempt(quota.Need)
		a.Scopes = []quota.Scope{audience}
		b.spend(quota.Need, "42/41")
		if _, err := b.Admit(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		blocks := b.answer(a, quota.Refused, "", quota.Block{Scope: audience, Reason: "audience", Base: time.Minute, Cap: time.Hour})
		if len(blocks) != 1 || blocks[0].Scope != audience || blocks[0].Remaining < time.Minute || blocks[0].Remaining > 66*time.Second {
			t.Fatalf("got %+v, want a block of one to 1.1 minutes", blocks)
		}
		b.spend(quota.Need, "42/40") // another audience

		again := b.attempt(quota.Need)
		again.Scopes = []quota.Scope{audience}
		_, err := b.Admit(t.Context(), again)
		denied, _ := errors.AsType[*quota.DeniedError](err)
		if denied == nil || denied.Scope != audience || denied.Reason != "audience" || denied.Count != 1 || !errors.Is(err, quota.ErrDenied) {
			t.Fatalf("got %v, want the audience to be blocked", err)
		}
		if got := denied.RetryIn; got != blocks[0].Remaining {
			t.Errorf("to ask again in %v, want the %v that everybody was told", got, blocks[0].Remaining)
		}

		// It doubles with each refusal in a row, and a success ends it.
		for n, want := range []time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
			time.Sleep(denied.RetryIn)
			if _, err := b.Admit(t.Context(), again); err != nil {
				t.Fatal(err)
			}
			blocks = b.answer(again, quota.Refused, "", quota.Block{Scope: audience, Reason: "audience", Base: time.Minute, Cap: time.Hour})
			if len(blocks) != 1 || blocks[0].Remaining < want || blocks[0].Remaining > want+want/10 || blocks[0].Count != n+2 {
				t.Fatalf("refusal %d: got %+v, want %v", n+2, blocks, want)
			}
			again = b.attempt(quota.Need)
			again.Scopes = []quota.Scope{audience}
			denied.RetryIn = blocks[0].Remaining
		}
		time.Sleep(denied.RetryIn)
		if _, err := b.Admit(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		if blocks = b.answer(again, quota.Issued, "42/39"); len(blocks) != 0 {
			t.Errorf("after a success: got %+v, want no block", blocks)
		}
	})
}

// The time that a refusal says to wait outranks the window's end.
func TestRetryAfterOutranksTheWindow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		for range 3 {
			a, denied := b.admit(quota.Need)
			if denied != nil {
				t.Fatalf("at %v: got %v, want one request each time the wait is over", time.Now().UTC(), denied)
			}
			b.answer(a, quota.Refused, "42/0", quota.Block{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: 10 * time.Minute})
			if _, denied := b.admit(quota.Need); denied == nil || denied.RetryIn < 10*time.Minute || denied.RetryIn > 11*time.Minute {
				t.Errorf("got %v, want to wait ten minutes and a jitter", denied)
			}
			time.Sleep(11 * time.Minute)
		}
	})
}

// The answer to a request that was sent before a block says nothing about it.
func TestBlockOutlivesAnOlderSuccess(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		early, _ := b.admit(quota.Need)
		time.Sleep(time.Second)
		late, _ := b.admit(quota.Need)
		b.answer(late, quota.Refused, "", quota.Block{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: time.Minute})
		if blocks := b.answer(early, quota.Issued, ""); len(blocks) != 1 {
			t.Errorf("got %+v, want the block to stand", blocks)
		}
		// And it never moves earlier.
		next := b.attempt(quota.Need)
		if blocks := b.answer(next, quota.Refused, "", quota.Block{Scope: quota.Client, Reason: "rate", Wait: time.Second}); len(blocks) != 1 || blocks[0].Remaining < 50*time.Second {
			t.Errorf("got %+v, want the longer block to stand", blocks)
		}
	})
}

// A success of an hour ago is told of late. It does not lift a block that is
// newer.
func TestLateSuccessLiftsNoNewerBlock(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		time.Sleep(20 * time.Minute)
		a, _ := b.admit(quota.Need)
		b.answer(a, quota.Refused, "", quota.Block{Scope: quota.Tenant, Reason: "tenant-limit", Wait: 30 * time.Minute})
		late := b.attempt(quota.Need) // was sent past Redis
		late.Scopes = []quota.Scope{quota.Tenant}
		_, _ = b.Admit(t.Context(), late) // a denial comes too late
		if _, err := b.Observe(t.Context(), late, &quota.Answer{Outcome: quota.Issued, Age: 19 * time.Minute}); err != nil {
			t.Fatal(err)
		}
		if s, err := b.Peek(t.Context()); err != nil || len(s.Blocks) != 1 {
			t.Errorf("got blocks %v, %v, want the tenant's", s.Blocks, err)
		}
	})
}

// A refusal of the window before is told of late. It says nothing about this
// one, which is spent.
func TestLateRefusalOpensNoSpentWindow(t *testing.T) {
	bubble(t, &quota.Options{Enforced: true}, func(t *testing.T, b *book) {
		late, _ := b.admit(quota.Need)
		h, received := header("2/0"), time.Now() // and then its replica is cut off from Redis
		time.Sleep(time.Hour + 5*time.Minute)
		b.spend(quota.Need, "2/1")
		b.spend(quota.Need, "2/0")
		if _, denied := b.admit(quota.Need); denied == nil {
			t.Fatal("the quota is spent, and a request was admitted")
		}
		b.told(late, received, &quota.Answer{Outcome: quota.Refused, Header: h,
			Blocks: []quota.Block{{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: 59 * time.Minute}}})
		if _, denied := b.admit(quota.Need); denied == nil || denied.Reason != quota.Spent {
			t.Errorf("after a refusal of an hour ago was told of: got %v, want the quota to be spent", denied)
		}
	})
}

// An older refusal that is told of late makes a block no older than it is: the
// successes in between do not lift it.
func TestLateRefusalMakesNoBlockOlder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		late, _ := b.admit(quota.Need)
		received := time.Now()
		time.Sleep(time.Minute)
		between, _ := b.admit(quota.Need)
		time.Sleep(time.Minute)
		a, _ := b.admit(quota.Need)
		refusal := quota.Block{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: time.Hour}
		b.answer(a, quota.Refused, "", refusal)
		b.told(late, received, &quota.Answer{Outcome: quota.Refused, Blocks: []quota.Block{refusal}})
		if blocks := b.answer(between, quota.Issued, ""); len(blocks) != 1 {
			t.Errorf("after the success of a request that was sent before the block: got %+v, want the block to stand", blocks)
		}
	})
}

// Trouble that may be one replica's own becomes everybody's when a second one
// meets it.
func TestQuorum(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		trouble := quota.Block{Scope: quota.Tenant, Reason: "unreachable", Base: time.Minute, Cap: time.Hour, Quorum: true}
		by := func(replica string) []quota.Blocked {
			a := b.attempt(quota.Need)
			a.By, a.Scopes = replica, []quota.Scope{quota.Tenant}
			return b.answer(a, quota.Unsent, "", trouble)
		}
		if got := by("r1"); len(got) != 0 {
			t.Errorf("one replica: got %+v, want no block", got)
		}
		if got := by("r1"); len(got) != 0 {
			t.Errorf("the same replica again: got %+v, want no block", got)
		}
		time.Sleep(11 * time.Minute)
		if got := by("r2"); len(got) != 0 {
			t.Errorf("another one, much later: got %+v, want no block", got)
		}
		if got := by("r1"); len(got) != 1 {
			t.Errorf("two of them: got %+v, want a block", got)
		}
	})
}

func TestWindowEndsDoNotWander(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		time.Sleep(10*time.Minute + 700*time.Millisecond)
		b.spend(quota.Need, "42/41")
		end := b.window().Resets
		for range 20 {
			time.Sleep(2*time.Minute + 333*time.Millisecond)
			b.spend(quota.Need, "42/41")
			if got := b.window().Resets; got.Sub(end).Abs() > time.Second {
				t.Fatalf("the window's end moved from %v to %v", end, got)
			}
		}
	})
}

// A request that was sent before the end of a window and answered after it
// belongs to the next one, as its header says.
func TestRollover(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/3")
		time.Sleep(time.Hour - 50*time.Millisecond)
		a, _ := b.admit(quota.Need)
		time.Sleep(100 * time.Millisecond)
		b.answer(a, quota.Issued, "42/42")
		if w := b.window(); w.Used != 1 || !w.Confirmed {
			t.Errorf("got %+v, want 1 used of the new window", w)
		}
		// An answer of the old window that comes later changes nothing.
		stale := b.attempt(quota.Need)
		if _, err := b.Observe(t.Context(), stale, &quota.Answer{Outcome: quota.Issued, Age: time.Minute,
			Header: http.Header{quota.ClientHeader: {"b=per_hour;q=42;r=0;t=10"}}}); err != nil {
			t.Fatal(err)
		}
		if w := b.window(); w.Used != 1 {
			t.Errorf("after an answer of the old window: got %+v, want 1 used", w)
		}
	})
}

// An attempt nobody answered for may belong to either side of the hour.
func TestRolloverCarriesTheUnanswered(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/41")
		time.Sleep(time.Hour - 10*time.Second)
		b.admit(quota.Need)
		time.Sleep(2 * time.Minute)
		b.admit(quota.Need)
		if w := b.window(); w.Used != 2 || w.Confirmed {
			t.Errorf("got %+v, want 2 used, not confirmed", w)
		}
	})
}

// Without a lease, whoever asks before the first answer is let in: nobody knows
// yet how little there is. One at a time, the second one knows.
func TestWithoutALease(t *testing.T) {
	bubble(t, &quota.Options{Enforced: true}, func(t *testing.T, b *book) {
		for i := range 60 {
			if _, denied := b.admit(quota.Need); denied != nil {
				t.Fatalf("attempt %d, before any answer: got %v, want it to be let in", i, denied)
			}
		}
		b.m.FlushAll()
		b.spend(quota.Need, "42/0")
		if _, denied := b.admit(quota.Need); denied == nil {
			t.Error("one at a time, the second was let in after the first had told that nothing is left")
		}
	})
}

func TestLossOfTheState(t *testing.T) {
	bubble(t, &quota.Options{Enforced: true}, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/0")
		b.m.FlushAll()
		a, denied := b.admit(quota.Need)
		if denied != nil {
			t.Fatalf("with no state: got %v, want one probe", denied)
		}
		b.answer(a, quota.Refused, "42/0", quota.Block{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: 30 * time.Minute})
		if _, denied := b.admit(quota.Need); denied == nil {
			t.Errorf("a second request was admitted")
		}
	})
}

// What somebody else wrote into the state is either plausible or nothing.
func TestDamagedState(t *testing.T) {
	const far = "99999999999999"
	for field, value := range map[string]string{
		"w:client:per_hour":  far + " 3600000 42 42 0 42 0 " + far + " 1",
		"w:client:per_day":   "not numbers",
		"w:client:x":         "1 2 3",
		"w:client:per_month": "1e400 0 0 0 0 0 0 0 0",
		"b:client":           far + " 0 1 quota",
		"b:org:x":            "946688400000 1 99999999999999999999999 quota",
		"m:client":           "enforced " + far,
		"a:a1":               "x",
		"p:client":           "y",
		"p:forced":           far,
		"r:client":           "",
		"nonsense":           "z",
	} {
		t.Run(field, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *book) {
				b.m.HSet("{c}:quota", field, value)
				if _, err := b.Peek(t.Context()); err != nil {
					t.Errorf("Peek: %v", err)
				}
				b.spend(quota.Need, "42/41")
				b.spend(quota.Forced, "42/40")
				if w := b.window(); w.Used != 2 {
					t.Errorf("got %+v, want 2 used", w)
				}
			})
		})
	}
}

// A Redis that lost its data after it admitted a request journals it with its answer.
func TestReportD14(t *testing.T) {
	bubble(t, &quota.Options{Journal: "journal"}, func(t *testing.T, b *book) {
		rdb := b.rdb
		for _, outcome := range []quota.Outcome{quota.Issued, quota.Refused, quota.Unknown, quota.Unsent} {
			if err := rdb.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			a := b.attempt(quota.Expiring)
			a.By, a.Reason, a.For = "r2", "expiring", "t2"
			if _, err := b.Admit(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			sent := time.Now()
			time.Sleep(2 * time.Second)
			if err := rdb.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			for range 2 { // twice is as good as once
				if _, err := b.Observe(t.Context(), a, &quota.Answer{Outcome: outcome, Status: "200", Took: 2 * time.Second, Age: time.Second, Header: header("42/41")}); err != nil {
					t.Fatal(err)
				}
			}
			entries, err := b.Journal(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			if outcome == quota.Unsent {
				if len(entries) != 0 {
					t.Errorf("%v: got %+v, although nothing was sent", outcome, entries)
				}
				continue
			}
			if len(entries) != 1 {
				t.Fatalf("%v: got %+v, want the request", outcome, entries)
			}
			if e := entries[0]; e.By != "r2" || e.Reason != "expiring" || e.For != "t2" || e.Priority != "expiring" || e.Outcome != outcome.String() || !e.At.Equal(sent) {
				t.Errorf("%v: got %+v, want what was admitted at %v", outcome, e, sent)
			}
		}
	})
}

// A request that the ledger does not remember, while the journal has it, is one request.
func TestJournalOfAnOldAttempt(t *testing.T) {
	bubble(t, &quota.Options{Journal: "journal"}, func(t *testing.T, b *book) {
		old, denied := b.admit(quota.Need)
		if denied != nil {
			t.Fatal(denied)
		}
		const others = 40 // more than the ledger remembers
		for range others {
			b.spend(quota.Need, "1000/900")
		}
		if _, err := b.Observe(t.Context(), old, &quota.Answer{Outcome: quota.Issued, Header: header("1000/900")}); err != nil {
			t.Fatal(err)
		}
		entries, err := b.Journal(t.Context(), 1000)
		if err != nil || len(entries) != others+1 {
			t.Errorf("got %d entries, %v, want %d", len(entries), err, others+1)
		}
	})
}

func TestJournal(t *testing.T) {
	bubble(t, &quota.Options{JournalLength: 6}, func(t *testing.T, b *book) {
		first := time.Now()
		for range 3 {
			b.spend(quota.Need, "42/41")
			time.Sleep(time.Minute)
		}
		a, _ := b.admit(quota.Forced)
		a2 := b.attempt(quota.Need)
		a2.By, a2.Reason, a2.For = "r2", "cold start", "t2"
		if _, err := b.Admit(t.Context(), a2); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Observe(t.Context(), a2, &quota.Answer{Outcome: quota.Refused, Status: "429 too_many_requests", Took: 120 * time.Millisecond, Header: header("42/0")}); err != nil {
			t.Fatal(err)
		}
		entries, err := b.Journal(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 3 { // six events: the last spend has two, as has a2, and a has one
			t.Fatalf("got %d entries, want 3: %+v", len(entries), entries)
		}
		newest := entries[0]
		if newest.By != "r2" || newest.Reason != "cold start" || newest.For != "t2" || newest.Outcome != "refused" ||
			newest.Status != "429 too_many_requests" || newest.Took != 120*time.Millisecond || !strings.Contains(newest.Header, "r=0") {
			t.Errorf("newest entry: got %+v", newest)
		}
		if unanswered := entries[1]; unanswered.ID != a.ID || unanswered.Outcome != "" || unanswered.Priority != "forced" {
			t.Errorf("entry without an answer: got %+v", unanswered)
		}
		if got, want := entries[2].At, first.Add(2*time.Minute); got.Sub(want).Abs() > time.Millisecond {
			t.Errorf("oldest entry: at %v, want %v", got, want)
		}
		if entries, err := b.Journal(t.Context(), 1); err != nil || len(entries) != 1 || entries[0].ID != a2.ID {
			t.Errorf("Journal(1): got %+v, %v", entries, err)
		}
	})
}

func TestStateIsNotKeptForEver(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.spend(quota.Need, "42/41")
		time.Sleep(36 * 24 * time.Hour)
		if keys := b.m.Keys(); len(keys) != 0 {
			t.Errorf("after 36 days of rest: got keys %v, want none", keys)
		}
	})
}

func TestBadAttempts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		for _, a := range []*quota.Attempt{
			{},
			{ID: "a b"},
			{ID: "a", By: "r 1"},
			{ID: "a", Scopes: []quota.Scope{""}},
			{ID: "a", Scopes: []quota.Scope{"two words"}},
			{ID: "a", Priority: 9},
		} {
			if _, err := b.Admit(t.Context(), a); err == nil || errors.Is(err, quota.ErrDenied) {
				t.Errorf("Admit(%+v): got %v, want an error about the attempt", a, err)
			}
			if _, err := b.Observe(t.Context(), a, &quota.Answer{}); err == nil {
				t.Errorf("Observe(%+v): got no error", a)
			}
		}
	})
}

// An outage is an error, and never a denial.
func TestRedisAway(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *book) {
		b.m.SetError("LOADING Redis is loading the dataset in memory")
		if _, err := b.Admit(t.Context(), b.attempt(quota.Need)); err == nil || errors.Is(err, quota.ErrDenied) {
			t.Errorf("Admit: got %v, want an error that is no denial", err)
		}
		if _, err := b.Observe(t.Context(), b.attempt(quota.Need), &quota.Answer{}); err == nil {
			t.Error("Observe: got no error")
		}
		if _, err := b.Peek(t.Context()); err == nil {
			t.Error("Peek: got no error")
		}
	})
}
