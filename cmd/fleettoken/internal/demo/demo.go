// Package demo runs a fleet of replicas against a token endpoint, an API and a
// Redis, and does to it in seconds what happens to a fleet in days.
//
// Everything but the time is real. A replica is a Redis client, a tokencache.Cache
// and an HTTP client of its own; the endpoint and the API speak HTTPS, and Redis
// its protocol over TCP. Only the configuration compresses time: tokens live for
// seconds. A replica that is killed loses its connections, Redis' first, and does
// nothing more, as after a SIGKILL; package e2e kills real processes.
//
// The demo is a list of scenarios, in scenarios.go. Each begins when all replicas
// serve a token that is not due yet, prepares what is to happen to the next one,
// and waits until it has happened: a slow machine takes longer. Then it compares
// the times of what was seen, most of them from the endpoint's own ledger. An
// event that is missing or out of order breaks a promise, and ends the run. What
// holds at all times is checked at the end: no call failed, no token expired in
// use, no request was sent early, and never two at once. [Report] has the figures
// and the broken promises.
package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache"
)

// MaxReplicas is the largest fleet that one machine can run.
const MaxReplicas = 500

// Options configure a demo.
type Options struct {
	Replicas int           // from 1 to MaxReplicas
	Duration time.Duration // from MinDuration to MaxDuration

	// Redis is where the fleet shares its token. Nil means one in this process.
	Redis *redis.UniversalOptions

	// Tell is called with each event, in order. Nil means that it is not.
	Tell func(view.Event)

	// Show is called with the state of the fleet ten times a second. Nil means
	// that it is not.
	Show func(view.Snapshot)

	timeout time.Duration             // the least Options.RequestTimeout, for tests
	adjust  func(*tokencache.Options) // changes the fleet, for tests
}

// Check returns an error if the options are out of range.
func (o Options) Check() error {
	if o.Replicas < 1 || o.Replicas > MaxReplicas {
		return fmt.Errorf("--replicas is %d: it can be from 1 to %d", o.Replicas, MaxReplicas)
	}
	if o.Duration < MinDuration || o.Duration > MaxDuration {
		return fmt.Errorf("--duration is %v: it can be from %.0fs to %.0fh", o.Duration, MinDuration.Seconds(), MaxDuration.Hours())
	}
	return nil
}

// A run is one run of the demo.
type run struct {
	options Options
	plan    plan
	env     *env
	fleet   *fleet
	began   time.Time
	events  chan view.Event // to Options.Tell, which may be slow
	report  Report          // but for the figures that finish adds
	rotated []time.Time
	leave   func() // ends the replicas that do not share

	patience time.Duration // of await: the life of a token, and more for a slow machine

	mu       sync.Mutex
	shown    *fleet        // in the live view
	open     bool          // a scenario runs
	snapshot view.Snapshot // scenarios and events
}

// errStop ends a run early: a promise was broken, and the next scenarios depend
// on it.
var errStop = errors.New("a promise was broken")

// Run runs the demo and returns its report. If ctx is done first, the report is
// of what happened until then. The error is for a demo that could not run; broken
// promises are in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	r := &run{options: o, plan: planFor(o.Duration, o.Replicas, o.timeout), events: make(chan view.Event, 1000), began: time.Now(), leave: func() {}}
	r.patience = 20*time.Second + max(r.plan.crash, r.plan.redisDown, r.plan.refusal)
	var err error
	if r.env, err = newEnv(ctx, o, r.plan); err != nil {
		return nil, err
	}
	r.fleet = newFleet(o.Replicas, r.env.config, r.env.endpoint, r.say)
	r.shown = r.fleet
	r.snapshot.Title = view.Plural(o.Replicas, "replica") + ", " + r.env.name()

	showing, done := context.WithCancel(context.WithoutCancel(ctx))
	var watchers sync.WaitGroup
	watchers.Go(func() {
		for o.Show != nil && pause(showing, 100*time.Millisecond) {
			o.Show(r.look())
		}
	})
	watchers.Go(func() {
		for e := range r.events {
			if o.Tell != nil {
				o.Tell(e)
			}
		}
	})
	err = r.play(ctx, r.script())
	r.leave()
	r.fleet.stop()
	r.finish(ctx.Err() != nil && err != nil)
	done()
	close(r.events)
	watchers.Wait()
	if cleanup := r.env.close(ctx); cleanup != nil {
		r.report.Notes = append(r.report.Notes, cleanup.Error())
	}
	if err != nil && !errors.Is(err, errStop) && ctx.Err() == nil {
		return nil, err
	}
	return &r.report, nil
}

// play runs the scenarios. None begins before the fleet is ready for it.
func (r *run) play(ctx context.Context, script []scenario) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case stop:
			err = p.err
		default:
			panic(p)
		}
	}()
	for _, s := range script {
		r.snapshot.Scenarios = append(r.snapshot.Scenarios, view.Scenario{Title: s.title})
	}
	for i, s := range script {
		if s.fresh > 0 {
			r.fresh(ctx, s.fresh)
		}
		r.progress(i, view.Scenario{Title: s.title, Watch: s.watch, State: view.Running})
		r.say(view.Heading, "%d/%d  %s", i+1, len(script), s.title)
		r.say(view.Hint, "%s", s.watch)
		if s.due {
			r.say(view.Info, "the token is due in %s", view.Span(time.Until(dueAt(r.fleet.current()))))
		}
		func() {
			broken, outcome := len(r.report.Broken), Outcome{Title: s.title}
			state := view.Failed
			defer func() { // also if it stops the run
				r.report.Outcomes = append(r.report.Outcomes, outcome)
				r.progress(i, view.Scenario{Title: s.title, Watch: s.watch, State: state})
			}()
			outcome.Result = s.play(ctx)
			if outcome.Kept = len(r.report.Broken) == broken; outcome.Kept {
				state = view.Passed
			}
			r.say(view.Result, "%s", outcome.Result)
		}()
		wait(ctx, r.plan.beat)
	}
	return nil
}

// A stop is the panic that ends a scenario and the run: the scenarios read as a
// script, and every step of one may be the last.
type stop struct{ err error }

// must stops the run if there is an error.
func must(err error) {
	if err != nil {
		panic(stop{err})
	}
}

// wait waits for d, and stops the run if ctx is done first.
func wait(ctx context.Context, d time.Duration) {
	if !pause(ctx, d) {
		must(ctx.Err())
	}
}

// progress sets the state of a scenario.
func (r *run) progress(i int, s view.Scenario) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshot.Scenarios[i], r.open = s, s.State == view.Running
}

// say announces an event, and returns when. What a replica does between two
// scenarios is marked so: it belongs to neither.
func (r *run) say(kind view.Kind, format string, args ...any) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	e := view.Event{At: now.Sub(r.began), Kind: kind, Text: fmt.Sprintf(format, args...)}
	if !r.open && (kind == view.Info || kind == view.Fault) {
		e.Text = "between scenarios: " + e.Text
	}
	r.snapshot.Events = append(r.snapshot.Events, e)
	r.events <- e
	return now
}

// breaks records a broken promise.
func (r *run) breaks(promise, format string, args ...any) {
	text := promise + ": " + fmt.Sprintf(format, args...)
	r.report.Broken = append(r.report.Broken, text)
	r.say(view.Failure, "%s", text)
}

// A mark is something that was seen, and when. The zero Time means never.
type mark struct {
	what string
	at   time.Time
}

// ordered stops the run unless all marks were seen, in their order.
func (r *run) ordered(promise string, marks ...mark) {
	if problem := outOfOrder(marks); problem != "" {
		r.breaks(promise, "%s", problem)
		must(errStop)
	}
}

// outOfOrder says which mark was not seen, or was seen too early.
func outOfOrder(marks []mark) string {
	for i, m := range marks {
		switch {
		case m.at.IsZero():
			return fmt.Sprintf("%q was not seen", m.what)
		case i > 0 && m.at.Before(marks[i-1].at):
			return fmt.Sprintf("%q came %s before %q", m.what, view.Span(marks[i-1].at.Sub(m.at)), marks[i-1].what)
		}
	}
	return ""
}

// await waits until a condition holds. If it does not in time, the promise is
// broken and the run stops.
func (r *run) await(ctx context.Context, promise, what string, holds func() bool) {
	for limit := time.Now().Add(r.patience); !holds(); wait(ctx, 5*time.Millisecond) {
		if time.Now().After(limit) {
			r.breaks(promise, "%q was not seen within %s", what, view.Span(r.patience))
			must(errStop)
		}
	}
}
