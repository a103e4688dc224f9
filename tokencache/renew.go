package tokencache

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/lock"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// This file is the way of a token, from what was read in Redis to the token endpoint and
// into memory, from top to bottom, with its I/O in order. What to do next, package replica
// decides.

// merge takes the better of what the fleet has and what this replica has, for each
// token, and gives the fleet what it lacks. It returns the tokens that need a lease
// holder that another replica is, and those that need this one to be.
func (c *client) merge(ctx context.Context, batch []*source, read snapshot, in replica.Context) (wait, renew []*source) {
	in.EncryptionKey = ErrEncryptionKey
	for i, s := range batch {
		var step replica.Step
		v := read.of(i)
		c.apply(func(now replica.Instant, state *replica.State) {
			step = state.Fetched(now, s.id, v, in, random())
		})
		c.traced(batch[i:i+1], "Fetched", step)
		if step == replica.WriteBack {
			kept := c.writeBack(ctx, s, read.Tokens[i].Damaged)
			c.apply(func(now replica.Instant, state *replica.State) {
				step = state.WroteBack(now, s.id, kept, v, in, random())
			})
			c.traced(batch[i:i+1], "WroteBack", step)
		}
		switch step {
		case replica.Wait:
			wait = append(wait, s)
		case replica.Renew:
			renew = append(renew, s)
		}
	}
	return wait, renew
}

// writeBack gives the fleet the token in memory, and reports whether it is the fleet's.
func (c *client) writeBack(ctx context.Context, s *source, damaged []byte) bool {
	result, err := c.commit(ctx, s, s.held.Load().Record, damaged)
	return err == nil && result.Kept()
}

// renew takes the lease and requests tokens, or waits for the replica that was faster.
func (c *client) renew(ctx context.Context, batch []*source) {
	err := c.host.locker.Do(ctx, c.names.Lock, func(ctx context.Context, lease *lock.Lease) error {
		c.traced(batch, "LeaseTaken")
		defer c.traced(batch, "LeaseReleased")
		return c.renewUnderLease(ctx, lease, batch)
	})
	c.renewed(ctx, batch, err)
}

// renewed ends a renewal, given what came of taking the lease.
func (c *client) renewed(ctx context.Context, batch []*source, err error) {
	held, isHeld := errors.AsType[*lock.HeldError](err)
	switch {
	case isHeld:
		c.leaseHeld(batch, held.Remaining)
	case errors.Is(err, errShort): // the others would have no more time
	case err != nil:
		c.redisFailed(ctx, batch, c.host.redisError(err))
	default:
		c.publishReleased(ctx)
		c.traced(batch, "Published")
	}
}

// renewUnderLease requests what is still needed, one token after the other, those that
// callers wait for first. It returns errShort if there was no time for some.
func (c *client) renewUnderLease(ctx context.Context, lease *lock.Lease, batch []*source) error {
	// Fetch again, now that no other replica can renew: the last lease holder may have.
	fetched, err := c.fetch(ctx, batch...)
	if err != nil {
		c.redisFailed(ctx, batch, err)
		return nil
	}
	views := make(map[*source]view, len(batch))
	for i, s := range batch {
		views[s] = fetched.view(i)
	}
	_, batch = c.merge(ctx, batch, fetched, replica.Context{UnderLease: true})
	c.sortByPriority(batch)
	for i, s := range batch {
		if lease.Remaining() < c.host.terms.RequestTimeout*3/2 && lease.Extend(ctx) != nil || ctx.Err() != nil {
			c.redisFailed(ctx, batch[i:], errShort)
			return errShort
		}
		if c.heldBack(s) { // the request before may have been refused
			continue
		}
		if slices.ContainsFunc(batch[:i], func(other *source) bool { return other.token.ID == s.token.ID }) { // it may be there by now
			fetched, err := c.fetch(ctx, s)
			if err != nil {
				c.redisFailed(ctx, batch[i:i+1], err)
				continue
			}
			views[s] = fetched.view(0)
			if _, needed := c.merge(ctx, batch[i:i+1], fetched, replica.Context{UnderLease: true}); len(needed) == 0 {
				continue
			}
		}
		c.requestToken(ctx, lease, s, views[s], nil)
	}
	return nil
}

// errShort means that a token request did not fit into what was left of the lease.
// Trying again at once would end in the same way.
var errShort = redisError(errors.New("its replies took so long, or this process was stopped for so long, that the lease ended before the token request could be sent"))

// requestToken sends one token request, if the ledger admits it, and gives the fleet
// what came of it. early is an admission that was asked for with the lease; nil if none was.
func (c *client) requestToken(ctx context.Context, lease *lock.Lease, s *source, v view, early *admission) {
	var req replica.Request
	var needed bool
	c.apply(func(now replica.Instant, state *replica.State) { req, needed = state.Request(now, s.id, v.Problem) })
	c.traced([]*source{s}, "Request", needed)
	if !needed {
		c.takeBack(ctx, s, early)
		return
	}
	attempt, admitted, at, err := c.admit(ctx, s, req, early)
	if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
		c.redisWorked()
		c.apply(func(now replica.Instant, state *replica.State) { state.Denied(now, s.id, denied) })
		c.traced([]*source{s}, "Denied")
		return
	}
	if err != nil {
		// It may have been counted, and is not sent. The ledger learns that later.
		c.queueReports([]*source{s}, replica.Report{Attempt: attempt, Answer: quota.Answer{Outcome: quota.Unsent, Status: "not admitted"}})
		c.redisFailed(ctx, []*source{s}, err)
		return
	}

	c.traced([]*source{s}, "Admitted")

	// The request must be over before the lease is. A process that was stopped finds
	// out here, and does not spend a token on a request that has no time.
	timeout := c.host.terms.RequestTimeout
	within := min(timeout, lease.Remaining()-timeout/4)
	if within < timeout/2 || ctx.Err() != nil {
		c.report(ctx, s, replica.Report{Attempt: attempt, Answer: quota.Answer{Outcome: quota.Unsent, Status: "lease lost"}})
		c.redisFailed(ctx, []*source{s}, errShort)
		return
	}
	c.redisWorked()
	done := c.ask(ctx, s, within, attempt, false)
	if done.answer.Sent {
		defer c.throttle(ctx, done.sent)
	}
	if done.verdict.Class != "" {
		c.report(ctx, s, done.report)
		c.refused(s, done, req)
		return
	}

	// Callers here are served at once, and the fleet with the commit. The token is
	// paid for, so it is committed even if this replica is closed.
	r := c.issued(s, done, req, replica.Issue{Now: admitted.Now, Admitted: at})
	result, err := c.commit(context.WithoutCancel(ctx), s, r, v.damaged)
	c.report(ctx, s, done.report)
	if err != nil {
		c.commitFailed(s, err)
		return
	}
	c.apply(func(now replica.Instant, state *replica.State) { state.Committed(now, s.id, r, result.Kept()) })
	c.traced([]*source{s}, "Committed")
}

// commit merges a record into what the fleet has, and notifies subscribers.
func (c *client) commit(ctx context.Context, s *source, r replica.Record, damaged []byte) (store.Result, error) {
	record := storeRecord(r)
	sealed, err := s.token.Seal(record)
	if err != nil { // which says nothing of Redis
		return "", err
	}
	return call(ctx, c.host, func(ctx context.Context) (store.Result, error) {
		return c.store.Commit(ctx, s.token, record, sealed, damaged)
	})
}

// throttle keeps the lease after a token request, while replicas that were blocked
// together retry together.
func (c *client) throttle(ctx context.Context, sent replica.Instant) {
	var wait time.Duration
	c.apply(func(now replica.Instant, state *replica.State) { wait = state.Throttle(now, sent) })
	if wait == 0 {
		return
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}
