package tokencache

import (
	"context"
	"errors"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file reports to the ledger what became of token requests.

// report reports to the ledger what became of an attempt, or queues that until Redis can be
// used.
func (c *client) report(ctx context.Context, s *source, r replica.Report) {
	batch := []*source{s}
	if !c.sendReport(context.WithoutCancel(ctx), batch, r) {
		c.queueReports(batch, r)
	}
}

// sendReport, in the refresh of a batch, reports what became of an attempt. Sent twice, it counts once, as
// long as the ledger knows the attempt.
func (c *client) sendReport(ctx context.Context, batch []*source, r replica.Report) bool {
	blocked, err := call(ctx, c.host, func(ctx context.Context) ([]quota.Blocked, error) {
		if r.Unadmitted { // count it first; a denial comes too late to matter
			if _, err := c.ledger.Admit(ctx, r.Attempt); err != nil && !errors.Is(err, quota.ErrDenied) {
				return nil, err
			}
		}
		answer := r.Answer
		if r.Received != (replica.Instant{}) {
			answer.Age = max(0, c.host.now().Mono-r.Received.Mono)
		}
		return c.ledger.Observe(ctx, r.Attempt, &answer)
	})
	if err != nil {
		return false
	}
	c.apply(func(now replica.Instant, state *replica.State) { state.Reported(now, blocked) })
	c.traced(batch, "Reported")
	return true
}

func (c *client) queueReports(batch []*source, reports ...replica.Report) {
	c.apply(func(_ replica.Instant, state *replica.State) { state.QueueReports(reports...) })
	c.traced(batch, "QueueReports")
}

// flushReports sends what is queued, and returns whether anything was.
func (c *client) flushReports(ctx context.Context, batch []*source) bool {
	var queued []replica.Report
	c.apply(func(_ replica.Instant, state *replica.State) { queued = state.TakeReports() })
	c.traced(batch, "TakeReports")
	for i, r := range queued {
		if !c.sendReport(ctx, batch, r) {
			c.queueReports(batch, queued[i:]...)
			break
		}
	}
	return len(queued) > 0
}

// attempt names a request in the ledger and the journal.
func (c *client) attempt(s *source, req replica.Request) *quota.Attempt {
	return &quota.Attempt{
		ID: newAttemptID(), Priority: req.Priority, Organization: s.cred.Organization,
		Scopes: []quota.Scope{quota.Tenant, s.scopes.Audience, s.scopes.Credentials, s.scopes.Request},
		By:     c.host.locker.ID(), Reason: string(req.Reason), For: s.token.ID,
	}
}
