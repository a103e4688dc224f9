package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A Report is what happened in a demo.
type Report struct {
	Replicas    int     `json:"replicas"`
	Processes   bool    `json:"processes"` // whether each replica had its own: always false
	Redis       string  `json:"redis"`
	Seconds     float64 `json:"seconds"`
	Interrupted bool    `json:"interrupted"`

	Deploys Deploys `json:"deploys"`

	// The rest is of the fleet with fleettoken.
	TokenRequests         int `json:"token_requests"`          // that the endpoint has seen
	TokensIssued          int `json:"tokens_issued"`           // in answers that arrived
	UnsharedTokenRequests int `json:"unshared_token_requests"` // at least, if no replica had shared
	Faults                int `json:"faults"`                  // requests that the demo made fail
	AtOnce                int `json:"max_concurrent_requests"`

	APICalls      int     `json:"api_calls"` // that the API answered with 200
	FailedCalls   int     `json:"failed_calls"`
	ExpiredServed int     `json:"expired_served"` // calls with an expired token, by the API's clock
	FirstTokenMS  float64 `json:"first_token_ms"` // of the slowest replica
	RotationMS    float64 `json:"rotation_ms"`    // until the last replica had the new token

	RedisCommands        int     `json:"redis_commands"` // of all replicas
	RedisCommandsPerCall float64 `json:"redis_commands_per_call"`

	Quota    map[string]Bucket `json:"quota"` // as the endpoint reported it last
	Outcomes []Outcome         `json:"chapters"`

	// Broken are the promises that were broken, and how.
	Broken []string `json:"broken_promises"`
	Notes  []string `json:"notes,omitempty"`

	Ledger string `json:"-"` // all token requests, as the endpoint has seen them
}

// Deploys compares the same deploys without and with fleettoken.
type Deploys struct {
	Starts   int           `json:"starts"` // of all replicas
	Unshared DeployFigures `json:"without_sharing"`
	Shared   DeployFigures `json:"with_fleettoken"`
}

// DeployFigures are what deploys cost.
type DeployFigures struct {
	TokenRequests     int     `json:"token_requests"`
	Tokens            int     `json:"tokens_issued"`
	LockedOut         int     `json:"replicas_locked_out"`
	FailedCalls       int     `json:"failed_calls"`
	RetryAfterSeconds float64 `json:"retry_after_s"` // zero: no request was refused
}

// A Bucket is a part of the quota.
type Bucket struct {
	Quota     int64 `json:"quota"`
	Used      int64 `json:"used"`
	Remaining int64 `json:"remaining"`
}

// An Outcome is what became of one scenario that began.
type Outcome struct {
	Title  string `json:"title"`
	Result string `json:"result"`
	Kept   bool   `json:"kept"` // whether it went as promised
}

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

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// answered reports whether a request brought a token to its sender.
func answered(r auth0test.Request) bool { return r.Issued && r.Status == 200 }

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
