package demo

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
)

// A puppet is an actor that does what a test says.
type puppet struct {
	hear   func(Event)
	heard  []Command
	killed bool
}

func (p *puppet) send(c Command) {
	p.heard = append(p.heard, c)
	if c.Do == DoCount {
		p.hear(Event{Event: EventCounters, ID: c.ID, Counters: &Counters{Calls: 10, Commands: 2}})
	}
}

func (p *puppet) kill()  { p.killed = true }
func (p *puppet) leave() {}

// puppets returns a fleet of them, alive.
func puppets(t *testing.T, n int) (*fleet, map[int]*puppet) {
	t.Helper()
	cast := make(map[int]*puppet) // in the order in which they came to life
	f := newFleet(n, func(cfg ReplicaConfig, hear func(Event)) (actor, error) {
		p := &puppet{hear: hear}
		cast[len(cast)] = p
		hear(Event{Event: EventReady})
		return p, nil
	}, func(name string) ReplicaConfig { return ReplicaConfig{Name: name} }, func(string, Event) {})
	for _, i := range f.all() {
		if err := f.enterOne(i); err != nil {
			t.Fatal(err)
		}
	}
	return f, cast
}

// Every token that comes into a replica's memory is one that it would have had
// to ask for itself.
func TestUnshared(t *testing.T) {
	f, cast := puppets(t, 3)
	adopt := func(token string, who ...int) {
		for _, i := range who {
			cast[i].hear(Event{Event: EventAdopted, Token: token, By: "r01/x", LeftMS: 9000})
		}
	}
	adopt("a", 0, 1, 2)                                     // a cold start
	adopt("b", 1, 0, 2)                                     // a renewal
	f.kill(1)                                               //
	adopt("c", 0, 1, 2)                                     // what the dead one says is not heard
	if err := f.enterOne(1); err != nil || len(cast) != 4 { // it starts again
		t.Fatal(err)
	}
	adopt("c", 3)
	if got := f.unshared(); got != 3+3+2+1 {
		t.Errorf("got %d, want 9", got)
	}
	if len(f.tokens) != 3 || !f.everybody(has(3)) || f.everybody(has(4)) {
		t.Errorf("got %d tokens, want that everybody has the third", len(f.tokens))
	}
}

// What a replica has done in the lives that are over counts, too.
func TestTotals(t *testing.T) {
	f, cast := puppets(t, 2)
	for range 2 {
		if err := f.ask(t.Context(), DoCount); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.totals(); got.Calls != 20 || got.Commands != 4 {
		t.Errorf("got %+v, want 20 calls, 4 commands", got)
	}
	f.kill(0)
	if !cast[0].killed {
		t.Error("the actor was not killed")
	}
	if err := f.enterOne(0); err != nil {
		t.Fatal(err)
	}
	if err := f.ask(t.Context(), DoCount); err != nil {
		t.Fatal(err)
	}
	if got := f.totals(); got.Calls != 30 || got.Commands != 6 {
		t.Errorf("after a restart: got %+v, want 30 calls, 6 commands", got)
	}
}

// Who has ended has nothing to answer; who does not answer is waited for.
func TestAsk(t *testing.T) {
	f, cast := puppets(t, 2)
	cast[0].hear(Event{Event: eventDied, Error: "signal: killed"})
	if err := f.ask(t.Context(), DoCount); err != nil {
		t.Error(err)
	}
	if got := f.troubles(); len(got) != 1 || got[0] != "r01: signal: killed" {
		t.Errorf("got the troubles %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.ask(ctx, "nothing that a puppet answers"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was not answered", err)
	}
}

func TestAskers(t *testing.T) {
	f, cast := puppets(t, 3)
	cast[2].hear(Event{Event: EventAsking})
	cast[2].hear(Event{Event: EventRequested})
	cast[0].hear(Event{Event: EventAsking})
	for n, want := range map[int]int{1: 2, 2: 0, 3: -1} {
		if got := f.asker(n); got != want {
			t.Errorf("request %d: got replica %d, want %d", n, got, want)
		}
	}
}

func TestMemberState(t *testing.T) {
	now := time.Now()
	young := &token{number: 1, expires: now.Add(8 * time.Second)}
	old := &token{number: 1, expires: now.Add(5 * time.Second)}
	alive := &puppet{}
	for _, row := range []struct {
		name    string
		m       member
		blocked bool
		want    view.State
	}{
		{"dead", member{token: young}, false, view.Dead},
		{"without a token", member{actor: alive}, false, view.Starting},
		{"asking for the first one", member{actor: alive, asking: true}, false, view.Renewing},
		{"fresh", member{actor: alive, token: young}, true, view.Serving},
		{"due", member{actor: alive, token: old}, false, view.Due},
		{"due and blocked", member{actor: alive, token: old}, true, view.Backing},
		{"due and denied", member{actor: alive, token: old, backs: now.Add(time.Second)}, false, view.Backing},
		{"denied a while ago", member{actor: alive, token: old, backs: now.Add(-time.Second)}, false, view.Due},
		{"renewing", member{actor: alive, token: old, asking: true}, false, view.Renewing},
	} {
		if got := row.m.state(now, 6*time.Second, row.blocked); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestMemberRate(t *testing.T) {
	m := member{actor: &puppet{}}
	start := time.Now()
	for i := range 20 {
		m.count(Counters{Calls: 5 * i}, start.Add(time.Duration(i)*200*time.Millisecond))
	}
	if got := m.rate(); got < 24.9 || got > 25.1 {
		t.Errorf("got %v calls a second, want 25", got)
	}
	m.end()
	if got := m.rate(); got != 0 {
		t.Errorf("a dead one: got %v calls a second", got)
	}
}

func TestTidings(t *testing.T) {
	for _, row := range []struct {
		e    Event
		want string
	}{
		{Event{Event: EventAsking}, "r07 asks the endpoint for a token"},
		{Event{Event: EventRequested, Status: 200, LifeMS: 9000, TookMS: 61.7, Quota: "b=per_hour;q=42;r=41;t=100,b=per_day;q=100;r=99;t=7000"},
			"r07 got a token for 9 s in 62 ms; left: 41 this hour, 99 today"},
		{Event{Event: EventRequested, Status: 200, LifeMS: 9000, TookMS: 61.7}, "r07 got a token for 9 s in 62 ms"},
		{Event{Event: EventRequested, Status: 429, Error: "too many"}, "r07 got none: the endpoint answered 429"},
		{Event{Event: EventRequested, Error: "timeout"}, "r07 got none: no answer came"},
		{Event{Event: EventAdopted}, ""},
		{Event{Event: EventCounters}, ""},
	} {
		got, ok := tidings("r07", row.e)
		if got.Text != row.want || ok != (row.want != "") {
			t.Errorf("%+v: got %q, %v, want %q", row.e, got.Text, ok, row.want)
		}
	}
}
