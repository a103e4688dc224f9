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
	"sync"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
)

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
