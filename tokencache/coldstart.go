package tokencache

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/lock"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// This file is the first refresh of a replica, when a whole fleet may start at once. As a
// rule, another replica renews already, which one small command shows. If none does, the
// lease, the fetch under it and the admission take one round trip. The subscription is
// opened beside that.

func (c *client) isCold(s *Source) (cold bool) {
	c.apply(func(now replica.Instant, state *replica.State) { cold = state.ColdStart(now, s.id) })
	return cold
}

// startCold returns false if the fleet has a token, which is to be fetched.
func (c *client) startCold(ctx context.Context, s *Source) bool {
	batch := []*Source{s}
	sent := c.sending()
	type probe struct{ record, lease bool }
	seen, err := call(ctx, c.cache, func(ctx context.Context) (p probe, err error) {
		p.record, p.lease, err = c.store.Probe(ctx, s.token)
		return p, err
	})
	switch {
	case err != nil:
		c.redisFailed(ctx, batch, err)
		return true
	case seen.record:
		return false
	}
	c.probedOnce()
	c.apply(func(_ replica.Instant, state *replica.State) { state.Probed(s.id, sent.heard) })
	if seen.lease {
		c.traced(batch, "Probed", "held")
		c.leaseHeld(batch, c.cache.terms.Lease)
		return true
	}
	c.traced(batch, "Probed", "free")
	c.renewCold(ctx, s)
	return true
}

// probedOnce notes that the first refresh knows whether the fleet has a token.
func (c *client) probedOnce() { c.probedBy.Do(func() { close(c.probed) }) }

// An admission was asked for in the round trip that took the lease.
type admission struct {
	attempt *quota.Attempt
	pending *quota.PendingAdmission
	at      replica.Instant // after the reply
}

// renewCold is renew in as few round trips as there can be.
func (c *client) renewCold(ctx context.Context, s *Source) {
	batch := []*Source{s}
	early := &admission{attempt: s.attempt(replica.Request{Priority: quota.Need, Reason: replica.Cold})}
	tokens, scopes := tokensOf(batch)
	var sent sent
	var fetch *store.PendingFetch
	queue := func(pipe redis.Pipeliner, lockValue string) {
		sent = c.sending()
		fetch = c.store.QueueFetch(ctx, pipe, tokens, scopes)
		early.pending = c.ledger.QueueAdmit(ctx, pipe, early.attempt,
			quota.Condition{Key: c.names.Lock, Value: lockValue}, quota.Condition{Key: s.token.Key()})
	}
	remaining := func() (time.Duration, bool) {
		read, err := fetch.Result()
		return read.Lease, err == nil
	}
	err := c.cache.locker.DoPipelined(ctx, c.names.Lock, queue, remaining, func(ctx context.Context, lease *lock.Lease) error {
		c.traced(batch, "LeaseTaken")
		defer c.traced(batch, "LeaseReleased")
		early.at = c.cache.now()
		read, err := fetch.Result()
		if err != nil {
			c.takeBack(ctx, s, early)
			c.redisFailed(ctx, batch, c.cache.redisError(err))
			return nil
		}
		_, needed := c.merge(ctx, batch, snapshot{read, sent}, replica.Context{UnderLease: true})
		if len(needed) == 0 || c.heldBack(s) {
			c.takeBack(ctx, s, early)
			return nil
		}
		c.requestToken(ctx, lease, s, snapshot{read, sent}.view(0), early)
		return nil
	})
	switch {
	case errors.Is(err, lock.ErrHeld):
		c.apply(func(_ replica.Instant, state *replica.State) { state.Contended(s.id) })
	case err != nil && early.at == (replica.Instant{}): // it is not known what Redis did
		c.queueReports(nil, early.unsent())
	}
	c.renewed(ctx, batch, err)
}

// admit asks the ledger whether a request may be sent, unless it was asked with the lease.
func (c *client) admit(ctx context.Context, s *Source, req replica.Request, early *admission) (*quota.Attempt, quota.Admission, replica.Instant, error) {
	if early != nil {
		if admitted, err := early.pending.Result(); !errors.Is(err, quota.ErrUnmet) {
			if err != nil && !errors.Is(err, quota.ErrDenied) {
				err = c.cache.redisError(err)
			}
			return early.attempt, admitted, early.at, err
		}
	}
	attempt := s.attempt(req)
	admitted, err := call(ctx, c.cache, func(ctx context.Context) (quota.Admission, error) { return c.ledger.Admit(ctx, attempt) })
	return attempt, admitted, c.cache.now(), err
}

// takeBack reports that a request was admitted with the lease, and is not sent.
func (c *client) takeBack(ctx context.Context, s *Source, early *admission) {
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
