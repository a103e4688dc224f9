package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
)

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
