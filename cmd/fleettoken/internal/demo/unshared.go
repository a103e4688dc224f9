package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
)

// alone deploys replicas that do not share a token until the endpoint refuses
// them. Nothing is injected: the quota is spent.
func (r *run) alone(ctx context.Context) string {
	cfg := r.env.config
	endpoint, roots := newEndpoint(cfg.credentials.ClientSecret, r.plan.latency)
	cfg.redis, cfg.roots, cfg.apiURL, cfg.credentials.TokenURL = nil, roots, endpoint.APIURL(), endpoint.TokenURL()
	f := newFleet(r.options.Replicas, cfg, endpoint, r.say)
	r.present(f)
	r.leave = func() { // before the next scenario: they stay in view until then
		r.present(r.fleet)
		f.stop()
		endpoint.Close()
		r.leave = func() {}
	}
	const enough = 5 * time.Second // for this scenario, within one hour of the quota
	if left := time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)); left < enough {
		r.say(view.Info, "the quota is renewed in %s; waiting for that", view.Span(left))
		wait(ctx, left)
	}
	began, d := time.Now(), &r.report.Deploys
	refused := func() bool { return endpoint.Requests().Answered(http.StatusTooManyRequests) > 0 }
	for !refused() {
		must(f.deploy())
		r.await(ctx, promiseProblem, "a call of every replica", f.called)
		if d.Starts++; !refused() && d.Starts <= 3 {
			r.say(view.Info, "%s: every replica asked for a token; %d of %d are used", deployName(d.Starts), endpoint.Issued(), perHour)
		}
	}
	r.say(view.Fault, "%s: the endpoint answers 429; all %d are used", deployName(d.Starts), perHour)
	// Replicas without a token go on, and ask for one with every call.
	wait(ctx, max(r.plan.beat, 3*r.plan.every))
	var retry time.Duration
	var since, spent, denied time.Time
	f.look(func() {
		for _, s := range f.slots {
			if in := s.lockedOut(); in > 0 {
				d.Unshared.LockedOut++
				retry = max(retry, in)
				if at := s.replica.failure.Load().at; since.IsZero() || at.Before(since) {
					since = at
				}
			}
		}
	})
	ledger := endpoint.Requests()
	for _, row := range ledger {
		if row.Issued {
			if d.Unshared.Tokens++; d.Unshared.Tokens == perHour {
				spent = row.Arrived
			}
		} else if row.Status == http.StatusTooManyRequests && denied.IsZero() {
			denied = row.Arrived
		}
	}
	sums, _, _ := f.sums()
	d.Unshared.TokenRequests, d.Unshared.FailedCalls, d.Unshared.RetryAfterSeconds = len(ledger), sums.failed, retry.Seconds()
	start, end := mark{"the first start", began}, mark{"a call without a token", since}
	r.ordered(promiseProblem, start, mark{fmt.Sprintf("token %d", perHour), spent}, end)
	r.ordered(promiseProblem, start, mark{"a refusal", denied}, end)
	return fmt.Sprintf("%s locked out for %s: %s failed, and %s brought %s", view.Plural(d.Unshared.LockedOut, "replica"), view.Span(retry),
		view.Plural(sums.failed, "call"), view.Plural(len(ledger), "token request"), view.Plural(d.Unshared.Tokens, "token"))
}

// present shows another fleet.
func (r *run) present(f *fleet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shown = f
}

// called reports whether a call of every replica has ended.
func (f *fleet) called() bool {
	all := true
	f.look(func() {
		for _, s := range f.slots {
			all = all && s.replica != nil && s.replica.calls.Load()+s.replica.failed.Load() > 0
		}
	})
	return all
}

// deployName names the n-th start of all replicas.
func deployName(n int) string {
	if n == 1 {
		return "start"
	}
	return fmt.Sprintf("deploy %d", n-1)
}
