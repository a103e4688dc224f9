package quota_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A server is the truth that a ledger tries to know: it counts by the UTC hour,
// shows what it counted a while ago, and refuses what exceeds its quota.
type server struct {
	quota  int
	lag    time.Duration
	issued []time.Time
}

func (s *server) count(at time.Time) int {
	n := 0
	for _, t := range s.issued {
		if t.Truncate(time.Hour).Equal(at.Truncate(time.Hour)) {
			n++
		}
	}
	return n
}

// shown is the header of an answer made now.
func (s *server) shown(r *rand.Rand) http.Header {
	now := time.Now()
	seen := 0
	for _, t := range s.issued {
		if t.Truncate(time.Hour).Equal(now.Truncate(time.Hour)) && !t.After(now.Add(-s.lag)) {
			seen++
		}
	}
	h := header(fmt.Sprintf("%d/%d", s.quota, s.quota-seen))
	switch r.IntN(6) {
	case 0: // stripped on the way
		h.Del(quota.ClientHeader)
	case 1:
		h.Set(quota.ClientHeader, "b=per_hour;q=abc;r=0")
	case 2: // not told when, and no clock to tell by
		h.Set(quota.ClientHeader, strings.Join(strings.Split(h.Get(quota.ClientHeader), ";")[:3], ";"))
		h.Del("Date")
	}
	return h
}

// TestProperties drives a ledger at random, with several requests in flight
// whose answers come in any order, late, twice or never, with a server that
// counts late, tells nothing, or is used by others. Whatever happens:
//
//   - what is used never falls within a window, but for an attempt taken back;
//   - replaying any call changes nothing;
//   - alone with the client, the ledger never believes that more is left than is,
//     and never that more is used than was asked for.
func TestProperties(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 5
	}
	for seed := range uint64(seeds) {
		bubble(t, &quota.Options{Enforced: true}, func(t *testing.T, b *book) { properties(t, b, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func properties(t *testing.T, b *book, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &server{quota: 3 + r.IntN(12), lag: time.Duration(r.IntN(3)) * time.Second}
	foreign := r.IntN(3) == 0
	type flight struct {
		attempt *quota.Attempt
		answer  *quota.Answer
		took    time.Time
	}
	var flying []flight
	var calls []func()
	raw := func() map[string]string {
		m, err := b.rdb.HGetAll(t.Context(), "{c}:quota").Result()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	last := b.window()
	takenBack := int64(0)

	for step := range 80 {
		what := r.IntN(10)
		switch {
		case what < 4 && len(flying) < 3: // ask
			a := b.attempt(quota.Priority(r.IntN(4)))
			admit := func() error { _, err := b.Admit(t.Context(), a); return err }
			err := admit()
			if errors.Is(err, quota.ErrDenied) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, func() {
				if err := admit(); err != nil {
					t.Errorf("seed %d step %d: replayed Admit of %s: %v", seed, step, a.ID, err)
				}
			})
			f := flight{attempt: a, answer: &quota.Answer{}, took: time.Now()}
			switch full := s.count(time.Now()) >= s.quota; {
			case r.IntN(8) == 0:
				f.answer.Outcome = quota.Unsent
			case full:
				f.answer.Outcome, f.answer.Header = quota.Refused, s.shown(r)
				f.answer.Blocks = []quota.Block{{Scope: quota.Client, Reason: quota.QuotaExceeded, Wait: 10 * time.Second}}
			default:
				s.issued = append(s.issued, time.Now())
				f.answer.Outcome, f.answer.Header = quota.Issued, s.shown(r)
				if r.IntN(6) == 0 { // the answer is lost
					f.answer.Outcome, f.answer.Header = quota.Unknown, nil
				}
			}
			flying = append(flying, f)
		case what < 7 && len(flying) > 0: // an answer comes, in any order
			i := r.IntN(len(flying))
			f := flying[i]
			flying = append(flying[:i], flying[i+1:]...)
			if r.IntN(10) == 0 {
				break // or it never does
			}
			f.answer.Age = time.Since(f.took)
			observe := func() {
				if _, err := b.Observe(t.Context(), f.attempt, f.answer); err != nil {
					t.Fatal(err)
				}
			}
			observe()
			calls = append(calls, observe)
			if f.answer.Outcome == quota.Refused || f.answer.Outcome == quota.Unsent {
				takenBack++
			}
		case what == 7 && len(calls) > 0: // a client repeats what the network lost
			before := raw()
			calls[len(calls)-1-r.IntN(min(len(calls), 4))]()
			if after := raw(); !maps.Equal(before, after) {
				t.Errorf("seed %d step %d: a replay changed the state\nfrom %v\nto   %v", seed, step, before, after)
			}
		case what == 8 && foreign && s.count(time.Now()) < s.quota:
			s.issued = append(s.issued, time.Now())
		default:
			time.Sleep(time.Duration(r.IntN(400)) * time.Second)
		}

		w := b.window()
		sameWindow := w.Resets.Sub(last.Resets).Abs() < 30*time.Minute
		if last.Quota > 0 && sameWindow && w.Used < last.Used-takenBack {
			t.Errorf("seed %d step %d: used fell from %d to %d with %d taken back\n%+v\n%+v", seed, step, last.Used, w.Used, takenBack, last, w)
		}
		if !foreign && w.Quota > 0 {
			now := time.Now()
			atEdge := now.Sub(now.Truncate(time.Hour)) < 40*time.Second || now.Truncate(time.Hour).Add(time.Hour).Sub(now) < 5*time.Second
			if truth := int64(s.quota - s.count(now)); !atEdge && w.Confirmed && w.Free() > truth {
				t.Errorf("seed %d step %d at %v: the ledger believes that %d are left, in truth %d are\n%+v", seed, step, now.UTC(), w.Free(), truth, w)
			}
			if w.Used > w.Own {
				t.Errorf("seed %d step %d: alone with the client, %d are used of %d asked for\n%+v", seed, step, w.Used, w.Own, w)
			}
		}
		last, takenBack = w, 0
	}
}
