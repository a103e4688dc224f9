package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A scenario is one part of the demo. It begins when the newest token has been
// in all replicas, and will not be due for a while; the first two begin at once.
// Play returns what was seen, or panics with what stops the run.
type scenario struct {
	title string
	fresh time.Duration // at least until the token is due; zero: begin at once
	due   bool          // whether it waits until the token is due
	watch string
	play  func(context.Context) string
}

// margin is how long before the token is due a scenario begins, at least.
const margin = 250 * time.Millisecond

func (r *run) script() []scenario {
	lost := "Redis fails, and comes back empty"
	if r.env.embedded == nil {
		lost = "The fleet loses its connections to Redis"
	}
	return []scenario{
		{"The problem: " + view.Plural(r.options.Replicas, "replica") + ", each with its own token", 0, false,
			fmt.Sprintf("each start asks for a token; the quota is %d an hour", perHour), r.alone},
		{"The same deploys with fleettoken", 0, false, "one replica asks for a token, and all share it", r.together},
		{"An operator rotates the token", margin, false, "every replica gets the new one at once", r.rotate},
		{"Calls use the token in memory", r.plan.beat + 3*margin, false, "no call sends a Redis command or a token request", r.memory},
		{"Renewal in the background", margin, true, "the calls go on with the old token until the new one is there", r.renewal},
		{"The renewing replica dies", margin, true, "whoever asks for a token is killed; its lease ends after " + view.Span(r.plan.lease), r.crash},
		{"The endpoint answers 429", margin, true, "one request is refused, and all replicas wait for " + view.Span(r.plan.retry), r.backOff},
		{lost, margin, true, "Redis is down when the token is due, and no replica can renew it", r.outage},
	}
}

// fresh waits until all replicas serve the same token, and it is not due for a
// while. If it becomes due meanwhile, the fleet renews it first.
func (r *run) fresh(ctx context.Context, left time.Duration) {
	r.await(ctx, promiseRenewal, "a fresh token in all replicas", func() bool {
		return r.fleet.settled() && time.Until(dueAt(r.fleet.current())) >= left
	})
}

// A state is what was seen when a scenario began.
type state struct {
	token           auth0test.Request
	calls, requests int
}

func (r *run) state() state {
	return state{r.fleet.current(), r.env.endpoint.APICalls()[auth0test.TokenValid], len(r.env.endpoint.Requests())}
}

// due marks when the token is due.
func (s state) due() mark { return mark{"the token is due", dueAt(s.token).Add(-tolerance)} }

// renewed waits until all replicas serve a newer token, and returns it and when
// they adopted it. It breaks the promise unless the marks came first, then the
// request for that token and its adoption, and last the expiry of the old one.
func (r *run) renewed(ctx context.Context, promise string, old state, before func() []mark) (token auth0test.Request, a adoption) {
	r.await(ctx, promise, "a new token in all replicas", func() bool { return r.fleet.newest() > old.token.Number && r.fleet.settled() })
	token = r.fleet.current()
	r.fleet.look(func() { a = r.fleet.adopted[token.Number] })
	r.ordered(promise, append(before(), mark{"the request for the new token", token.Arrived},
		mark{"the new token in all replicas", a.last}, mark{"the old token's expiry", old.token.Expires})...)
	return token, a
}

// together deploys the fleet as often as alone has deployed its replicas.
func (r *run) together(ctx context.Context) string {
	r.leave()
	d := &r.report.Deploys
	marks := []mark{{"the start", time.Now()}, {}}
	for i := range d.Starts {
		if i > 0 {
			marks = append(marks, mark{deployName(i + 1), time.Now()})
		}
		must(r.fleet.deploy())
		r.await(ctx, promiseToken, "the same token in all replicas", r.fleet.settled)
		if i < 3 {
			r.say(view.Info, "%s: every replica has the token; %d of %d are used", deployName(i+1), r.env.endpoint.Issued(), perHour)
		}
	}
	token := r.fleet.current()
	marks[1] = mark{"the token request", token.Arrived}
	sums, _, first := r.fleet.sums()
	d.Shared = DeployFigures{TokenRequests: len(r.env.endpoint.Requests()), Tokens: r.env.endpoint.Issued(), FailedCalls: sums.failed}
	if d.Shared.TokenRequests != 1 {
		r.breaks(promiseDeploys, "%d starts of the fleet took %d token requests", d.Starts, d.Shared.TokenRequests)
	}
	r.ordered(promiseDeploys, marks...)
	return fmt.Sprintf("%s for %s of a replica; the slowest had its token after %s",
		view.Plural(d.Shared.TokenRequests, "token request"), view.Plural(d.Starts*len(r.fleet.slots), "start"), view.Span(first))
}

// rotate replaces the token as fleettoken rotate does.
func (r *run) rotate(ctx context.Context) string {
	old := r.state()
	r.env.next(r.plan.renewal)
	began := r.say(view.Fault, "an operator runs: fleettoken rotate")
	r.rotated = append(r.rotated, began)
	limit, cancel := context.WithTimeout(ctx, tokencache.DefaultMaxWait)
	defer cancel()
	if err := r.env.operate(func(operator *replica) error { return operator.source.Rotate(limit) }); err != nil {
		must(ctx.Err())
		r.breaks(promiseRotate, "%v", err)
		must(errStop)
	}
	_, a := r.renewed(ctx, promiseRotate, old, func() []mark { return []mark{{"the operator's command", began}} })
	took := a.last.Sub(began)
	if r.report.RotationMS = milliseconds(took); took > r.plan.lease {
		r.breaks(promiseRotate, "it took %s", view.Span(took))
	}
	return fmt.Sprintf("all replicas had the new token %s after the command began", view.Span(took))
}

// memory counts what calls cost while the token is fresh.
func (r *run) memory(ctx context.Context) string {
	old := r.state()
	before, _, _ := r.fleet.sums()
	began, due := time.Now(), dueAt(old.token)
	wait(ctx, time.Until(due)-r.plan.beat-margin*3/2)
	after, _, _ := r.fleet.sums()
	ended, requests := time.Now(), r.state().requests-old.requests
	r.ordered(promiseMemory, mark{"the first call", began}, mark{"the last call", ended}, mark{"the token is due", due})
	calls, commands := after.calls-before.calls, after.commands-before.commands
	if requests > 0 || calls == 0 || commands > len(r.fleet.slots) {
		r.breaks(promiseMemory, "%d calls cost %d Redis commands and %d token requests", calls, commands, requests)
	}
	return fmt.Sprintf("%s in %s, with %s and %s", view.Plural(calls, "call"), view.Span(ended.Sub(began)),
		view.Plural(commands, "Redis command"), view.Plural(requests, "token request"))
}

// renewal waits until the token is due and renewed.
func (r *run) renewal(ctx context.Context) string {
	old := r.state()
	r.env.next(r.plan.crash)
	token, a := r.renewed(ctx, promiseRenewal, old, func() []mark { return []mark{old.due()} })
	return fmt.Sprintf("%s renewed it in %s; the last replica had the new one %s after the first; %s served meanwhile",
		token.UserAgent, view.Span(token.InFlight()), view.Span(a.last.Sub(a.first)), view.Plural(r.state().calls-old.calls, "call"))
}

// crash kills the replica that renews, while the endpoint does not answer it.
// Its lease has to end by itself.
func (r *run) crash(ctx context.Context) string {
	old := r.state()
	r.env.next(r.plan.refusal, auth0test.Hang())
	var hung auth0test.Request
	var victim *slot
	r.await(ctx, promiseRenewal, "a request for the next token", func() bool {
		for _, i := range r.env.endpoint.Requests() {
			for _, s := range r.fleet.slots {
				if i.Fault == auth0test.Hang().Name && i.UserAgent == s.name {
					hung, victim = i, s
				}
			}
		}
		return victim != nil
	})
	killed := r.say(view.Fault, "the endpoint does not answer, and %s is killed while it waits", hung.UserAgent)
	r.fleet.end(victim, (*replica).kill)
	restarted := r.say(view.Fault, "%s is started again", hung.UserAgent)
	must(r.fleet.start(victim))
	r.await(ctx, promiseRestart, "a token in the replica that was started again", func() (has bool) {
		r.fleet.look(func() { has = victim.token > 0 })
		return has
	})
	first := time.Since(restarted)
	token, _ := r.renewed(ctx, promiseTakes, old, func() []mark {
		return []mark{old.due(), {"the request that hangs", hung.Arrived}, {"the death of its sender", killed}}
	})
	if n := r.state().requests - old.requests; n != 2 { // the one that hangs, and its successor
		r.breaks(promiseRestart, "%d requests were sent", n)
	}
	return fmt.Sprintf("started again, %s had the fleet's token after %s; %s asked for the next one %s after the request that hangs",
		hung.UserAgent, view.Span(first), token.UserAgent, view.Span(token.Arrived.Sub(hung.Arrived)))
}

// backOff lets the endpoint refuse one request.
func (r *run) backOff(ctx context.Context) string {
	old := r.state()
	r.env.next(r.plan.redisDown, auth0test.ApplicationLimit(r.plan.retry))
	var refused auth0test.Request
	token, _ := r.renewed(ctx, promiseBackOff, old, func() []mark {
		for _, i := range r.env.endpoint.Requests() {
			if i.Status == http.StatusTooManyRequests {
				refused = i
			}
		}
		return []mark{old.due(), {"the refused request", refused.Arrived}, {"the end of Retry-After", refused.Arrived.Add(r.plan.retry)}}
	})
	if n := r.env.endpoint.Requests().Answered(http.StatusTooManyRequests); n != 1 {
		r.breaks(promiseBackOff, "%d requests were refused", n)
	}
	return fmt.Sprintf("%s was refused; the next request came %s later, from %s; %s served meanwhile",
		refused.UserAgent, view.Span(token.Arrived.Sub(refused.Arrived)), token.UserAgent, view.Plural(r.state().calls-old.calls, "call"))
}

// outage takes Redis down before the token is due, and brings it back after
// that. No replica can renew meanwhile, and none has to: the token is valid.
func (r *run) outage(ctx context.Context) string {
	var old state
	var down, lost time.Time
	for {
		r.fresh(ctx, margin)
		wait(ctx, time.Until(dueAt(r.fleet.current()))-400*time.Millisecond)
		r.fleet.look(func() { r.fleet.lost = time.Time{} })
		old = r.state()
		r.env.takeRedisDown(r.fleet)
		down = r.say(view.Fault, "Redis is down; the token is due in %s", view.Span(time.Until(dueAt(old.token))))
		if down.Before(old.due().at) {
			break
		}
		must(r.env.bringRedisBack(ctx, r.fleet))
		r.say(view.Fault, "Redis is back: this machine was too slow to stop it before the token was due")
	}
	wait(ctx, time.Until(dueAt(old.token)))
	due := r.say(view.Fault, "the token is due, and Redis is down")
	r.await(ctx, promiseOutage, "a replica that cannot reach Redis", func() bool {
		r.fleet.look(func() { lost = r.fleet.lost })
		return !lost.IsZero() && time.Since(due) >= r.plan.outage
	})
	during := r.state()
	must(r.env.bringRedisBack(ctx, r.fleet))
	back := r.say(view.Fault, "Redis is back")
	token, a := r.renewed(ctx, promiseOutage, old, func() []mark {
		return []mark{{"Redis is down", down}, {"the token is due", due}, {"Redis is back", back}}
	})
	if n := during.requests - old.requests; n > 0 {
		r.breaks(promiseOutage, "%s sent while Redis was down", view.Plural(n, "token request"))
	}
	return fmt.Sprintf("%s served in the %s without Redis; %s asked for the new token %s after Redis was back, and the last replica had it %s after the first",
		view.Plural(during.calls-old.calls, "call"), view.Span(back.Sub(down)), token.UserAgent, view.Span(token.Arrived.Sub(back)), view.Span(a.last.Sub(a.first)))
}
