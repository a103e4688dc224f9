package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A fleet is all replicas, and what is known of them.
type fleet struct {
	hire   hire
	config func(name string) ReplicaConfig
	pace   float64                    // API calls a second of each replica
	heard  func(name string, e Event) // is told all events, after the fleet has taken them in

	mu      sync.Mutex
	members []*member
	tokens  []*token          // in the order in which they came
	known   map[string]*token // by digest
	lastID  int               // of a command that wants an answer
	askers  []int             // who has sent a token request, in their order
	deaths  []string          // of replicas that nobody has killed
}

func newFleet(n int, h hire, config func(name string) ReplicaConfig, heard func(name string, e Event)) *fleet {
	f := &fleet{hire: h, config: config, pace: paceOf(n), heard: heard, known: make(map[string]*token)}
	width := len(fmt.Sprint(n))
	for i := range n {
		f.members = append(f.members, &member{name: fmt.Sprintf("r%0*d", max(width, 2), i+1)})
	}
	return f
}

// enter brings the given replicas to life. They do nothing yet.
func (f *fleet) enter(indices ...int) error {
	// Processes take a moment to start, and wait for each other on a machine
	// with few processors: a few at a time is fastest.
	gate := make(chan struct{}, 8)
	errs := make([]error, len(indices))
	var wg sync.WaitGroup
	for n, i := range indices {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			errs[n] = f.enterOne(i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (f *fleet) enterOne(i int) error {
	f.mu.Lock()
	m := f.members[i]
	m.life++
	life := m.life
	f.mu.Unlock()
	a, err := f.hire(f.config(m.name), func(e Event) { f.hear(i, life, e) })
	if err != nil {
		return err
	}
	f.mu.Lock()
	m.actor = a
	f.mu.Unlock()
	return nil
}

// all returns the indices of all replicas.
func (f *fleet) all() []int {
	indices := make([]int, len(f.members))
	for i := range indices {
		indices[i] = i
	}
	return indices
}

// serve makes the given replicas get a token and call the API, all at once.
func (f *fleet) serve(indices ...int) {
	for _, i := range indices {
		f.send(i, Command{Do: DoLoad, Rate: f.pace})
	}
}

func (f *fleet) send(i int, c Command) {
	f.mu.Lock()
	a := f.members[i].actor
	f.mu.Unlock()
	if a != nil {
		a.send(c)
	}
}

// ask sends a command to every living replica, and waits until all that live on
// have answered.
func (f *fleet) ask(ctx context.Context, do string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	f.mu.Lock()
	f.lastID++
	id := f.lastID
	var asked []actor
	for _, m := range f.members {
		if m.actor != nil {
			asked = append(asked, m.actor)
		}
	}
	f.mu.Unlock()
	for _, a := range asked {
		a.send(Command{Do: do, ID: id})
	}
	for !f.everybody(func(m *member) bool { return m.answered >= id }) {
		if !pause(ctx, 2*time.Millisecond) {
			return fmt.Errorf("not all replicas answered %q: %w", do, ctx.Err())
		}
	}
	return nil
}

// kill ends a replica as SIGKILL does.
func (f *fleet) kill(i int) {
	f.mu.Lock()
	m := f.members[i]
	a := m.actor
	m.end()
	m.life++ // so that nothing it may have said before is heard any more
	f.mu.Unlock()
	if a != nil {
		a.kill()
	}
}

// leave ends all replicas politely.
func (f *fleet) leave() {
	f.mu.Lock()
	var actors []actor
	for _, m := range f.members {
		if m.actor != nil {
			actors = append(actors, m.actor)
		}
	}
	f.mu.Unlock()
	var wg sync.WaitGroup
	for _, a := range actors {
		wg.Go(a.leave)
	}
	wg.Wait()
}

// hear takes in what a replica tells in one of its lives.
func (f *fleet) hear(i, life int, e Event) {
	at := time.Now()
	f.mu.Lock()
	m := f.members[i]
	if m.life != life {
		f.mu.Unlock()
		return
	}
	switch e.Event {
	case EventReady:
		m.ready = true
	case EventToken:
		if e.Error == "" {
			m.firsts = append(m.firsts, time.Duration(e.TookMS*float64(time.Millisecond)))
		} else {
			m.problems = append(m.problems, e.Error)
		}
	case EventAsking:
		m.asking = true
		f.askers = append(f.askers, i)
	case EventRequested:
		m.asking = false
	case EventAdopted:
		f.adopt(m, e, at)
	case EventDenied:
		m.backs = at.Add(time.Duration(e.LeftMS) * time.Millisecond)
	case EventCounters:
		m.count(*e.Counters, at)
	case EventBye:
		m.end()
	case eventDied:
		m.end()
		f.deaths = append(f.deaths, m.name+": "+e.Error)
	}
	m.answered = max(m.answered, e.ID)
	f.mu.Unlock()
	f.heard(m.name, e)
}

// adopt notes that m serves a token. Tokens are numbered as they come. The
// caller holds mu.
func (f *fleet) adopt(m *member, e Event, at time.Time) {
	left := time.Duration(e.LeftMS) * time.Millisecond
	t := f.known[e.Token]
	if t == nil {
		t = &token{number: len(f.tokens) + 1, by: e.By}
		f.known[e.Token] = t
		f.tokens = append(f.tokens, t)
	}
	t.life, t.expires, t.last = max(t.life, left), at.Add(left), at
	m.token = t
	m.adopted++
}

// look calls see while nothing changes.
func (f *fleet) look(see func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	see()
}

// everybody reports whether is holds of all living replicas.
func (f *fleet) everybody(is func(*member) bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !slices.ContainsFunc(f.members, func(m *member) bool { return m.actor != nil && !is(m) })
}

// has returns a question: does a replica serve the n-th token, or a later one?
func has(n int) func(*member) bool {
	return func(m *member) bool { return m.token != nil && m.token.number >= n }
}

// asker returns who has sent the n-th token request of the fleet, the first one
// being 1. It is -1 if that was not told yet.
func (f *fleet) asker(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > len(f.askers) {
		return -1
	}
	return f.askers[n-1]
}

// troubles returns why replicas got no token, and which have ended by
// themselves.
func (f *fleet) troubles() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.Clone(f.deaths)
	for _, m := range f.members {
		for _, problem := range m.problems {
			list = append(list, m.name+": "+problem)
		}
	}
	return list
}

// totals returns what all replicas have done, in all their lives.
func (f *fleet) totals() Counters {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all Counters
	for _, m := range f.members {
		all = all.plus(m.past).plus(m.now)
	}
	return all
}

// slowest returns how long the slowest replica waited for its first token.
func (f *fleet) slowest() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var worst time.Duration
	for _, m := range f.members {
		for _, first := range m.firsts {
			worst = max(worst, first)
		}
	}
	return worst
}
