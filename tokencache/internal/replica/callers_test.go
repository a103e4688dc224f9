package replica

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A caller that waits for another token than the one that is held gets an error at once,
// if that one has expired and no other can be had before the caller's deadline.
func TestCallerOfAnotherTokenIsAnswered(t *testing.T) {
	at := func(m time.Duration) Instant { return Instant{Mono: m * time.Minute, Wall: m * time.Minute} }
	const start = 1_000_000
	s := State{Terms: usual}
	id := s.Add("t", []quota.Scope{quota.Client})
	s.Wait(id)
	r := &Record{Token: "old", Issued: start, Expires: start + time.Hour.Milliseconds(), Lifetime: time.Hour}
	s.Fetched(at(0), id, Snapshot{At: at(0), Now: start, Record: r}, Context{}, 0)

	denied := &quota.DeniedError{Scope: quota.Client, Reason: quota.QuotaExceeded, RetryIn: time.Hour}
	s.Denied(at(61), id, denied)
	want := Want{Not: "old"}
	if a := s.Answer(at(61), id, want, at(71).Mono); !a.Done || !errors.Is(a.Err, quota.ErrDenied) {
		t.Errorf("within ten minutes: got %+v, want that it is denied for an hour", a)
	}
	if a := s.Answer(at(61), id, want, at(181).Mono); a.Done {
		t.Errorf("within two hours: got %+v, want to wait", a)
	}
}

// What was published before a subscription stands was missed: a token that callers wait
// for is fetched a little later, although the lease is held for long.
func TestSubscribedFetchesWhatWasMissed(t *testing.T) {
	at := func(ms time.Duration) Instant {
		return Instant{Mono: ms * time.Millisecond, Wall: ms * time.Millisecond}
	}
	s := State{Terms: usual}
	id := s.Add("t", []quota.Scope{quota.Client})
	s.Wait(id)
	s.LeaseHeld(at(1000), []int{id}, usual.Lease, 0.5)
	s.Subscribed(at(1010), at(1005), false, 0)
	due, next := s.Next(at(1010))
	if len(due) > 0 || next > at(1260).Mono {
		t.Errorf("got due %v, and next at %v, want a fetch within 250 ms", due, next)
	}
}

// What the ledger has denied holds back only the tokens of that scope and priority.
func TestDeniedAlready(t *testing.T) {
	now := Instant{Mono: time.Second, Wall: time.Second}
	for _, row := range []struct {
		scope    quota.Scope
		priority quota.Priority
		want     Step
	}{
		{quota.Client, quota.Need, Done},
		{quota.Organization("a"), quota.Need, Done},
		{quota.Organization("b"), quota.Need, Renew},
		{quota.Client, quota.Early, Renew},
	} {
		s := State{Terms: usual}
		id := s.Add("t", []quota.Scope{quota.Client, quota.Organization("a")})
		s.Wait(id)
		denied := &quota.DeniedError{Scope: row.scope, Priority: row.priority, Reason: quota.Spent, RetryIn: time.Hour}
		v := Snapshot{At: now, Now: 1_000_000, Denied: []*quota.DeniedError{denied}}
		if got := s.Fetched(now, id, v, Context{}, 0); got != row.want {
			t.Errorf("%s was denied to %s: got %s, want %s", row.priority, row.scope, got, row.want)
		}
	}
}

// TestReportPaces holds how often a replica without a token asks Redis again.
func TestReportPaces(t *testing.T) {
	at := func(m time.Duration) Instant { return Instant{Mono: m, Wall: m} }
	next := func(s *State, now time.Duration) time.Duration {
		due, next := s.Next(at(now))
		if len(due) > 0 {
			t.Fatalf("%v is due at %v", due, now)
		}
		return next
	}
	t.Run("D11 no notifications arrive", func(t *testing.T) {
		s := State{Terms: usual}
		id := s.Add("t", nil)
		s.Wait(id)
		now, polls := time.Second, 0
		for ; now < 9*time.Second; polls++ {
			s.LeaseHeld(at(now), []int{id}, time.Minute, 0.5)
			wait := next(&s, now) - now
			if polls == 0 && wait != pollUnsubscribed || wait > pollSubscribed {
				t.Errorf("fetch %d comes after %v", polls+1, wait)
			}
			now += wait
		}
		if polls > 6 {
			t.Errorf("%d fetches in eight seconds, want six at most", polls)
		}
		s.RedisFailed(at(now), []int{id}, errors.New("down"), false, 0.5) // and from the start after that
		s.LeaseHeld(at(now+time.Minute), []int{id}, time.Minute, 0.5)
		if wait := next(&s, now+time.Minute) - now - time.Minute; wait != pollUnsubscribed {
			t.Errorf("the first fetch comes after %v", wait)
		}
	})
	for _, replied := range []bool{false, true} {
		t.Run(fmt.Sprint("D12 Redis fails, and replies ", replied), func(t *testing.T) {
			s := State{Terms: usual}
			id := s.Add("t", nil)
			s.Wait(id)
			now, tries := time.Second, 0
			for ; now < 61*time.Second; tries++ {
				s.RedisFailed(at(now), []int{id}, errors.New("READONLY"), replied, 0.5)
				now = next(&s, now)
			}
			if least, most := map[bool]int{false: 60, true: 30}[replied], map[bool]int{false: 130, true: 33}[replied]; tries < least || tries > most {
				t.Errorf("%d tries in a minute, want %d to %d", tries, least, most)
			}
		})
	}
}
