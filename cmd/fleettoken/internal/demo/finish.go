package demo

import (
	"context"
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// finish ends the fleet, and reports what came of it. Why is how the story
// ended.
func (s *story) finish(ctx context.Context, why error) *Report {
	took := time.Since(s.began)
	calm := context.WithoutCancel(ctx)
	_ = s.fleet.ask(calm, DoStop) // whoever does not answer has told its counters a moment ago
	_ = s.stage.observer.look(calm)
	s.fleet.leave()
	s.backstage.Wait()

	totals, ledger, calls := s.fleet.totals(), s.ledger(), s.stage.tenant.APICalls()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Report{
		Replicas: s.options.Replicas, Processes: s.options.Spawn != nil, Redis: s.stage.store.name(),
		Seconds: took.Seconds(), Interrupted: ctx.Err() != nil && why != nil,

		TokenRequests: len(ledger), UnsharedTokenRequests: s.fleet.unshared(),
		TokensIssued: len(answeredRows(ledger)), Faults: faults(ledger), AtOnce: ledger.MaxConcurrent(),
		APICalls: calls[auth0test.TokenValid], FailedCalls: totals.Failed,
		ExpiredServed: calls[auth0test.TokenExpired], FirstTokenMS: milliseconds(s.fleet.slowest()),
		RotationMS: milliseconds(s.rotation), RedisCommands: totals.Commands, Quota: quotaOf(ledger),
		Chapters: s.results, Broken: slices.Clone(s.broken),
		Ledger: ledger.String(), Journal: s.stage.observer.entries(),
	}
	if r.APICalls > 0 {
		r.RedisCommandsPerCall = float64(r.RedisCommands) / float64(r.APICalls)
	}
	if !r.Interrupted {
		for _, trouble := range s.fleet.troubles() {
			r.Broken = append(r.Broken, promiseToken+": "+trouble)
		}
	}
	r.Broken = append(r.Broken, verdicts(ledger, calls, totals)...)
	if why == nil {
		r.Broken = append(r.Broken, waste(ledger, s.away)...)
	}
	if r.Broken == nil {
		r.Broken = []string{} // an empty list in JSON, too
	}
	return r
}

// answeredRows returns the requests that brought a token.
func answeredRows(ledger auth0test.Ledger) auth0test.Ledger {
	var rows auth0test.Ledger
	for _, r := range ledger {
		if answered(r) {
			rows = append(rows, r)
		}
	}
	return rows
}

// quotaOf is what the endpoint said last of the quota.
func quotaOf(ledger auth0test.Ledger) map[string]Bucket {
	buckets := make(map[string]Bucket)
	for _, row := range answeredRows(ledger) {
		limits, _ := quota.ParseLimits(row.ClientQuota)
		for _, l := range limits {
			used, _ := l.Used()
			buckets[l.Bucket] = Bucket{Quota: l.Quota, Used: used, Remaining: l.Remaining}
		}
	}
	return buckets
}

// faults is how many requests the demo made fail.
func faults(ledger auth0test.Ledger) int {
	n := 0
	for _, r := range ledger {
		if r.Fault != "" {
			n++
		}
	}
	return n
}
