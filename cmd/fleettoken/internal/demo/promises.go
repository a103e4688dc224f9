package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// The promises, by the names under which they are reported as broken.
const (
	promiseProblem = "replicas that do not share are locked out"
	promiseToken   = "every replica gets a token"
	promiseDeploys = "a deploy costs no token request"
	promiseRotate  = "a rotation reaches every replica at once"
	promiseMemory  = "a valid token is served from memory"
	promiseRenewal = "a token is renewed before it expires"
	promiseTakes   = "a renewer that dies is replaced"
	promiseRestart = "a restart costs no token request"
	promiseBackOff = "one refusal stops every replica for as long as the endpoint asks"
	promiseOutage  = "a fleet survives the loss of Redis"
	promiseCalls   = "no call fails"
	promiseExpired = "no expired token is served"
	promiseAtOnce  = "one replica at a time asks the endpoint"
	promiseQuota   = "no token request is wasted"
)

// tolerance is how much earlier than the endpoint a replica may see a token as due: it
// counts the life from before the request is sent.
const tolerance = 100 * time.Millisecond

// finish fills in the report.
func (r *run) finish(interrupted bool) {
	ledger, calls := r.env.endpoint.Requests(), r.env.endpoint.APICalls()
	sums, adoptions, first := r.fleet.sums()
	out := &r.report
	out.Replicas, out.Redis, out.Seconds, out.Interrupted = r.options.Replicas, r.env.name(), time.Since(r.began).Seconds(), interrupted
	// A replica on its own had needed a token each time that one came into its
	// memory, and requests that fail on top.
	out.TokenRequests, out.UnsharedTokenRequests, out.AtOnce = len(ledger), adoptions, ledger.MaxConcurrent()
	for _, row := range ledger {
		if row.Fault != "" {
			out.Faults++
		}
		if answered(row) {
			out.TokensIssued++
		}
	}
	out.APICalls, out.FailedCalls, out.ExpiredServed = calls[auth0test.TokenValid], sums.failed, calls[auth0test.TokenExpired]
	out.FirstTokenMS, out.RedisCommands, out.Quota, out.Ledger = milliseconds(first), sums.commands, quotaOf(ledger), ledger.String()
	out.RedisCommandsPerCall = float64(sums.commands) / float64(max(out.APICalls, 1))
	out.Broken = append(append([]string{}, out.Broken...), verdicts(ledger, r.rotated, calls, sums)...)
}

// verdicts returns the broken promises among those that hold at all times.
func verdicts(ledger auth0test.Ledger, rotated []time.Time, calls map[auth0test.TokenState]int, sums totals) (broken []string) {
	add := func(promise, format string, args ...any) {
		broken = append(broken, promise+": "+fmt.Sprintf(format, args...))
	}
	if sums.failed > 0 {
		add(promiseCalls, "%d did, such as with: %s", sums.failed, sums.failure)
	}
	if n := calls[auth0test.TokenExpired]; n > 0 {
		add(promiseExpired, "the API saw %d calls with one", n)
	}
	if n := calls[auth0test.TokenUnknown] + calls[auth0test.TokenRevoked]; n > 0 {
		add(promiseCalls, "the API saw %d calls with a token that it does not know", n)
	}
	var last auth0test.Request // that brought the token in use
	for _, i := range ledger {
		if i.Concurrent > 1 {
			add(promiseAtOnce, "request %d was sent while another one was in progress", i.Number)
		}
		asked := slices.ContainsFunc(rotated, func(at time.Time) bool { return !at.Before(last.Arrived) && !at.After(i.Arrived) })
		if early := dueAt(last).Sub(i.Arrived); last.Issued && early > tolerance && !asked {
			add(promiseQuota, "request %d, from %s, was sent %s before the token was due", i.Number, i.UserAgent, view.Span(early))
		}
		if answered(i) {
			last = i
		}
	}
	return broken
}
