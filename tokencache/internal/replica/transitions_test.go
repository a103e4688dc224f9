package replica

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A driver applies transitions in an order that no shell would have to have, with values
// that a Redis of several replicas could send, and checks the invariants after each.
type driver struct {
	s     State
	luck  *rand.Rand
	now   Instant
	redis int64 // ms that its clock is ahead of Instant.Mono
	steps []string

	newest  int64
	issued  int
	pending []Request
	opened  Instant
}

func (d *driver) redisNow() int64 { return d.now.Mono.Milliseconds() + d.redis }

// a random duration up to most.
func (d *driver) upTo(most time.Duration) time.Duration {
	return time.Duration(d.luck.Int64N(int64(most)))
}

// record returns one that the fleet may have: of the last request, or of an earlier one.
func (d *driver) record() *Record {
	lifetime := []time.Duration{5 * time.Second, time.Minute, 10 * time.Hour, 30 * 24 * time.Hour}[d.luck.IntN(4)]
	issued := max(d.redisNow()-d.upTo(2*lifetime).Milliseconds(), 1)
	if d.luck.IntN(2) == 0 {
		issued = max(d.newest, 1)
	}
	d.newest = max(d.newest, issued)
	return &Record{Token: fmt.Sprint("t", issued), Issued: issued, Expires: issued + lifetime.Milliseconds(), Lifetime: lifetime}
}

func (d *driver) snapshot() Snapshot {
	v := Snapshot{At: d.now, Now: d.redisNow(), Heard: d.s.Listening()}
	if late := d.upTo(time.Minute); d.luck.IntN(3) == 0 { // the reply was slow
		v.At = Instant{Mono: max(d.now.Mono-late, 0), Wall: max(d.now.Wall-late, 0)}
		v.Now -= (d.now.Mono - v.At.Mono).Milliseconds()
	}
	if d.luck.IntN(3) > 0 {
		v.Record = d.record()
	}
	switch d.luck.IntN(8) {
	case 0:
		v.Record, v.Problem = nil, DamagedRecord
	case 1:
		v.Record, v.Problem = nil, UnknownKey
	case 2:
		v.MinIssued = d.newest
	}
	if d.luck.IntN(3) == 0 {
		v.Lease = d.upTo(2*d.s.Terms.Lease) - time.Second
	}
	if d.luck.IntN(4) == 0 {
		v.Blocked = []quota.Blocked{{Scope: quota.Client, Reason: "limit", Remaining: d.upTo(time.Hour) + 1, Count: 1}}
	}
	return v
}

func (d *driver) random() float64 { return d.luck.Float64() }

func (d *driver) context() Context {
	return Context{UnderLease: d.luck.IntN(2) == 0, Reported: d.luck.IntN(4) == 0, EncryptionKey: errors.New("key")}
}

// fetchesEnd returns an error if a token that is due is still due after some fetches at once,
// which find nothing, with nothing else to do about it.
func (d *driver) fetchesEnd() error {
	s := d.s
	s.Tokens, s.Blocks, s.Reports = slices.Clone(s.Tokens), slices.Clone(s.Blocks), slices.Clone(s.Reports)
	v := Snapshot{At: d.now, Now: d.redisNow(), Heard: s.Listening()}
	in := Context{EncryptionKey: errors.New("key")}
	for range 3 {
		if due, _ := s.Next(d.now); len(due) == 0 {
			return nil
		}
		step := s.Fetched(d.now, 0, v, in, 0.5)
		if step == WriteBack {
			step = s.WroteBack(d.now, 0, true, v, in, 0.5)
		}
		if step != Done {
			return nil
		}
	}
	if due, _ := s.Next(d.now); len(due) == 0 {
		return nil
	}
	return errors.New("a token is due whenever it was fetched")
}

// transitions are all there are, by name.
var transitions = map[string]func(d *driver){
	"time passes": func(d *driver) {
		by := d.upTo([]time.Duration{time.Millisecond, time.Second, time.Minute, 10 * time.Hour}[d.luck.IntN(4)])
		d.now.Mono += by
		d.now.Wall += by
		if d.luck.IntN(8) == 0 {
			d.now.Wall += d.upTo(time.Hour) // the machine slept
		}
	},
	"Wait":  func(d *driver) { d.s.Wait(0) },
	"Touch": func(d *driver) { d.s.Touch(d.now, 0) },
	"Leave": func(d *driver) {
		if d.s.Tokens[0].Waiting > 0 {
			d.s.Leave(d.now, 0, d.luck.IntN(2) == 0)
		}
	},
	"Fetched": func(d *driver) {
		v := d.snapshot()
		if d.s.Fetched(d.now, 0, v, d.context(), d.random()) == WriteBack {
			d.s.WroteBack(d.now, 0, d.luck.IntN(2) == 0, v, d.context(), d.random())
		}
	},
	"Merge": func(d *driver) { d.s.Merge(d.now, 0, d.snapshot(), d.random()) },
	"Probed": func(d *driver) {
		if d.s.ColdStart(d.now, 0) {
			d.s.Probed(0, d.s.Listening())
		}
	},
	"Contended":  func(d *driver) { d.s.Contended(0) },
	"LeaseHeld":  func(d *driver) { d.s.LeaseHeld(d.now, []int{0}, d.upTo(d.s.Terms.Lease), d.random()) },
	"Subscribed": func(d *driver) { d.opened = d.now; d.s.Subscribed(d.now, d.now, d.luck.IntN(2) == 0, d.random()) },
	"Unsubscribed": func(d *driver) {
		if d.s.Subscription.Open {
			d.s.Unsubscribed(d.now, d.luck.IntN(2) == 0, d.random())
		}
	},
	"Released": func(d *driver) { d.s.Released(d.now) },
	"Heard": func(d *driver) {
		if d.s.Subscription.Open {
			d.s.Heard(d.now, 0, *d.record(), d.redisNow(), d.opened, d.random())
		}
	},
	"Request": func(d *driver) {
		if req, needed := d.s.Request(d.now, 0, Problem(d.luck.IntN(3))); needed {
			d.pending = append(d.pending, req)
		}
	},
	"Issued": func(d *driver) {
		if len(d.pending) == 0 {
			return
		}
		req := d.pending[0]
		d.pending = d.pending[1:]
		d.issued++
		issue := Issue{Record: Record{Token: fmt.Sprint("issued ", d.issued), Lifetime: time.Second + d.upTo(30*24*time.Hour-time.Second)}, Sent: d.now, Admitted: d.now}
		if d.luck.IntN(3) > 0 {
			issue.Now = d.redisNow()
		}
		r, _ := d.s.Issued(d.now, req, issue, d.random())
		switch {
		case r.Issued == 0:
		case d.luck.IntN(3) == 0:
			d.s.CommitFailed(d.now, 0, d.random())
		default:
			d.s.Committed(d.now, 0, r, d.luck.IntN(4) > 0)
			d.newest = max(d.newest, r.Issued)
		}
	},
	"Denied": func(d *driver) {
		d.s.Denied(d.now, 0, &quota.DeniedError{Scope: quota.Client, Reason: quota.Spent, Priority: quota.Priority(d.luck.IntN(4)), RetryIn: d.upTo(24 * time.Hour)})
	},
	"RequestFailed": func(d *driver) {
		r := Refused{Priority: quota.Priority(d.luck.IntN(4)), Reason: Cold, Err: func(time.Time) error { return errors.New("failed") }}
		if d.luck.IntN(2) == 0 {
			r.Blocks = []quota.Block{{Scope: quota.Client, Reason: "limit", Wait: d.upTo(time.Hour)}}
		}
		d.s.RequestFailed(d.now, 0, r, d.random())
	},
	"RedisFailed": func(d *driver) {
		for _, id := range d.s.RedisFailed(d.now, []int{0}, errors.New("down"), d.luck.IntN(2) == 0, d.random()) {
			d.s.RequestBeyondRedis(d.now, id, errors.New("down"), d.random())
		}
	},
	"RedisWorked": func(d *driver) { d.s.RedisWorked() },
	"QueueReports": func(d *driver) {
		d.s.QueueReports(slices.Repeat([]Report{{Attempt: &quota.Attempt{ID: "x"}}}, d.luck.IntN(50))...)
	},
	"TakeReports": func(d *driver) { d.s.TakeReports() },
	"Throttle":    func(d *driver) { d.s.Throttle(d.now, d.now) },
	"Invalidate": func(d *driver) {
		d.s.Invalidate(d.now, 0, d.s.Tokens[0].Held.Record.Token, Invalidated)
	},
	"Rotate": func(d *driver) {
		if d.s.Tokens[0].Held.Exists() && d.s.Tokens[0].Refusal.Err == nil {
			d.s.Rotate(0, d.s.Tokens[0].Held.Record.Token, d.luck.IntN(2) == 0)
		}
	},
}

// run applies n transitions, and returns the first that breaks an invariant.
func (d *driver) run(n int) error {
	var names []string
	for name := range transitions {
		names = append(names, name)
	}
	slices.Sort(names)
	d.s = State{Terms: Terms{RequestTimeout: 10 * time.Second, Lease: 20 * time.Second, RedisDownRequests: d.luck.IntN(3), RedisDownSpread: 10 * time.Second}}
	d.s.Add("t", []quota.Scope{quota.Client})
	d.redis = 1_000_000_000
	d.now = Instant{Mono: time.Second, Wall: time.Second}
	for range n {
		name := names[d.luck.IntN(len(names))]
		before := d.s
		before.Tokens = slices.Clone(d.s.Tokens)
		transitions[name](d)
		d.steps = append(d.steps, fmt.Sprintf("%v %s", d.now.Mono, name))
		d.s.Drain()
		if err := errors.Join(d.s.Check(d.now), CheckStep(&before, &d.s, d.now), d.fetchesEnd()); err != nil {
			return fmt.Errorf("%w\n%+v\n%+v %+v", err, before.Tokens[0].Held, d.s.Tokens[0].Held, d.pending)
		}
		due, at := d.s.Next(d.now)
		if len(due) == 0 && at != 0 && at <= d.now.Mono {
			return fmt.Errorf("nothing is due, and it is to be asked again at %v, which is past", at)
		}
	}
	return nil
}

// The invariants hold whatever happens in whatever order.
func TestTransitions(t *testing.T) {
	t.Parallel()
	const runs, steps = 1500, 150
	for seed := range uint64(runs) {
		d := &driver{luck: rand.New(rand.NewPCG(seed, 0))}
		if err := d.run(steps); err != nil {
			t.Fatalf("seed %d: %v, after:\n%s", seed, err, strings.Join(d.steps[max(0, len(d.steps)-25):], "\n"))
		}
	}
}

// Every method that changes a State is among the transitions of the driver, or is reached
// by one.
func TestDriverKnowsAllTransitions(t *testing.T) {
	exempt := []string{"WroteBack", "Committed", "CommitFailed", "RequestBeyondRedis", "Add", "Close", "Forget", "Drain", "Answer", "GiveUp", "Next", "Check",
		"ColdStart", "HeldBack", "Blocked", "Listening", "Wanted", "Answers", "Reported"}
	for _, name := range methodsOfState(t) {
		if transitions[name] == nil && !slices.Contains(exempt, name) {
			t.Errorf("the driver has no %s", name)
		}
	}
}

func methodsOfState(t *testing.T) (names []string) {
	for m := range reflect.TypeFor[*State]().Methods() {
		names = append(names, m.Name)
	}
	if len(names) < 20 {
		t.Fatalf("State has the methods %q: this looks at the wrong type", names)
	}
	return names
}
