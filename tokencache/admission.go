package tokencache

import (
	"context"
	"errors"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// An admission was asked for in the round trip that took the lease.
type admission struct {
	attempt *quota.Attempt
	pending *quota.PendingAdmission
	at      replica.Instant // after the reply
}

// admit asks the ledger whether a request may be sent, unless it was asked with the lease.
func (c *client) admit(ctx context.Context, s *source, req replica.Request, early *admission) (*quota.Attempt, quota.Admission, replica.Instant, error) {
	if early != nil {
		if admitted, err := early.pending.Result(); !errors.Is(err, quota.ErrUnmet) {
			if err != nil && !errors.Is(err, quota.ErrDenied) {
				err = c.host.redisError(err)
			}
			return early.attempt, admitted, early.at, err
		}
	}
	attempt := c.attempt(s, req)
	admitted, err := call(ctx, c.host, func(ctx context.Context) (quota.Admission, error) { return c.ledger.Admit(ctx, attempt) })
	return attempt, admitted, c.host.now(), err
}

// takeBack reports that a request was admitted with the lease, and is not sent.
func (c *client) takeBack(ctx context.Context, s *source, early *admission) {
	if early == nil {
		return
	}
	if _, err := early.pending.Result(); errors.Is(err, quota.ErrUnmet) || errors.Is(err, quota.ErrDenied) {
		return
	}
	if !c.sendReport(context.WithoutCancel(ctx), nil, early.unsent()) {
		c.queueReports(nil, early.unsent())
	}
}

func (a *admission) unsent() replica.Report {
	return replica.Report{Attempt: a.attempt, Answer: quota.Answer{Outcome: quota.Unsent, Status: "not needed"}}
}
