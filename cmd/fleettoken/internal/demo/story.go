package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
)

// Options say what a demo is like.
type Options struct {
	Replicas int
	Duration time.Duration

	// Redis is where the fleet meets. Nil means a Redis in this process.
	Redis *redis.UniversalOptions

	// Spawn makes the processes of the replicas. Nil means that they live in
	// this one.
	Spawn Spawner

	// Tell is told what happens, when it happens, one thing after the other. Nil
	// means that nobody is.
	Tell func(view.Event)

	// Show is shown the fleet ten times a second. Nil means that nobody looks.
	Show func(view.Snapshot)

	// timeout is the least that a token request may take, for tests on a machine
	// that does much else. Zero means half a second.
	timeout time.Duration
}

// The most replicas there can be. A process of its own takes about 20 MB.
const (
	MaxReplicas  = 500
	MaxProcesses = 100
)

// Check says what is wrong with the options, if anything is.
func (o Options) Check() error {
	most, with := MaxReplicas, ""
	if o.Spawn != nil {
		most, with = MaxProcesses, " with --processes"
	}
	if o.Replicas < 1 || o.Replicas > most {
		return fmt.Errorf("--replicas is %d: it can be from 1 to %d%s", o.Replicas, most, with)
	}
	return checkDuration(o.Duration)
}

// A story is one run of the demo.
type story struct {
	options Options
	plan    plan
	stage   *stage
	fleet   *fleet
	began   time.Time

	backstage sync.WaitGroup  // tidies up after the dead
	told      chan view.Event // to whoever is told: a cache must not wait for him

	mu       sync.Mutex
	chapters []view.Chapter
	events   []view.Event
	results  []Chapter
	broken   []string
	flaws    int // how many of them earlier chapters have told
	colds    int // token requests of replicas that found no token
	rotation time.Duration
	away     [2]time.Time // when Redis went away, and when it was back
}

// errStop ends the story before its end: a promise was broken, and what follows
// would only follow from that.
var errStop = errors.New("a promise was broken")

// Run plays the demo and returns what came of it. If ctx ends first, the report
// is of what was until then. The error is for a demo that could not be played;
// a promise that the library did not keep is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &story{options: o, plan: planFor(o.Duration, o.Replicas, o.timeout), told: make(chan view.Event, 1000)}
	var err error
	if s.stage, err = setUp(ctx, o, s.plan); err != nil {
		return nil, err
	}
	h := inProcess(&s.backstage)
	if o.Spawn != nil {
		h = inProcesses(&s.backstage, o.Spawn, s.stage.tenant.CAPEM())
	}
	s.fleet = newFleet(o.Replicas, h, s.stage.named, s.heard)
	s.began = time.Now()

	watching, done := context.WithCancel(context.WithoutCancel(ctx))
	var watchers sync.WaitGroup
	watchers.Go(func() { s.stage.observer.watch(watching) })
	watchers.Go(func() { s.show(watching) })
	watchers.Go(s.relate)

	err = s.play(ctx)
	report := s.finish(ctx, err)
	done()
	close(s.told)
	watchers.Wait()
	if tidy := s.stage.close(ctx); tidy != nil {
		report.Notes = append(report.Notes, tidy.Error())
	}
	if err != nil && !errors.Is(err, errStop) && ctx.Err() == nil {
		return nil, err
	}
	return report, nil
}

// play tells the chapters one after the other.
func (s *story) play(ctx context.Context) error {
	script := s.script()
	for _, a := range script {
		s.chapters = append(s.chapters, view.Chapter{Title: a.title, Watch: a.watch})
	}
	for i, a := range script {
		s.open(i)
		result, err := a.play(ctx)
		if err != nil {
			s.shut(i, "", false)
			return err
		}
		s.shut(i, result, true)
		if !pause(ctx, s.plan.beat) {
			return ctx.Err()
		}
	}
	return nil
}

// open begins a chapter.
func (s *story) open(i int) {
	s.mu.Lock()
	s.chapters[i].State = view.Current
	c := s.chapters[i]
	s.mu.Unlock()
	s.tell(view.Event{Kind: view.Opening, Text: fmt.Sprintf("%d/%d  %s", i+1, len(s.chapters), c.Title)})
	s.tell(view.Event{Kind: view.Hint, Text: c.Watch})
}

// shut ends a chapter. A promise that was broken meanwhile spoils it.
func (s *story) shut(i int, result string, whole bool) {
	s.mu.Lock()
	kept := whole && len(s.broken) == s.flaws
	s.flaws = len(s.broken)
	s.chapters[i].State = view.Kept
	if !kept {
		s.chapters[i].State = view.Broken
	}
	s.results = append(s.results, Chapter{Title: s.chapters[i].Title, Result: result, Kept: kept})
	s.mu.Unlock()
	if result != "" {
		s.tell(view.Event{Kind: view.Result, Text: result})
	}
}

// breaks notes a broken promise.
func (s *story) breaks(promise, format string, args ...any) {
	text := promise + ": " + fmt.Sprintf(format, args...)
	s.mu.Lock()
	s.broken = append(s.broken, text)
	s.mu.Unlock()
	s.tell(view.Event{Kind: view.Failure, Text: text})
}

// fault tells of something that was done to the fleet.
func (s *story) fault(format string, args ...any) {
	s.tell(view.Event{Kind: view.Fault, Text: fmt.Sprintf(format, args...)})
}

// heard takes in what a replica tells, after the fleet has.
func (s *story) heard(name string, e Event) {
	if e.Event == EventRequested && e.Why == "cold" && e.Error == "" {
		s.mu.Lock()
		s.colds++
		s.mu.Unlock()
	}
	if news, ok := tidings(name, e); ok {
		s.tell(news)
	}
}

// keepEvents is how many events are kept for those who look.
const keepEvents = 100

// tell tells what happens, now.
func (s *story) tell(e view.Event) {
	e.At = time.Since(s.began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	if n := len(s.events) - keepEvents; n > 0 {
		s.events = s.events[n:]
	}
	s.told <- e
}

// relate passes on what is told, until nothing more is.
func (s *story) relate() {
	for e := range s.told {
		if s.options.Tell != nil {
			s.options.Tell(e)
		}
	}
}

// patience is how long something may take on a machine that is slow, beyond
// what it takes anyway.
const patience = 20 * time.Second

// await waits until something holds. If it never does, a promise is broken, and
// the story ends.
func (s *story) await(ctx context.Context, promise, what string, holds func() bool) error {
	limit := time.Now().Add(s.plan.life(s.plan.calm) + patience)
	for !holds() {
		if time.Now().After(limit) {
			s.breaks(promise, "%s, and it never was", what)
			return errStop
		}
		if !pause(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}
