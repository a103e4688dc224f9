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

func (c *client) isCold(s *source) (cold bool) {
	c.apply(func(now replica.Instant, state *replica.State) { cold = state.ColdStart(now, s.id) })
	return cold
}

// startCold returns false if the fleet has a token, which is to be fetched.
func (c *client) startCold(ctx context.Context, s *source) bool {
	batch := []*source{s}
	sent := c.sending()
	type probe struct{ record, lease bool }
	seen, err := call(ctx, c.host, func(ctx context.Context) (p probe, err error) {
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
		c.leaseHeld(batch, c.host.terms.Lease)
		return true
	}
	c.traced(batch, "Probed", "free")
	c.renewCold(ctx, s)
	return true
}

// begunOnce notes that the first refresh has its turn.
func (c *client) begunOnce() { c.begunBy.Do(func() { close(c.begun) }) }

// probedOnce notes that the first refresh knows whether the fleet has a token.
func (c *client) probedOnce() { c.probedBy.Do(func() { close(c.probed) }) }

// renewCold is renew in as few round trips as there can be.
func (c *client) renewCold(ctx context.Context, s *source) {
	batch := []*source{s}
	early := &admission{attempt: c.attempt(s, replica.Request{Priority: quota.Need, Reason: replica.Cold})}
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
	err := c.host.locker.DoPipelined(ctx, c.names.Lock, queue, remaining, func(ctx context.Context, lease *lock.Lease) error {
		c.traced(batch, "LeaseTaken")
		defer c.traced(batch, "LeaseReleased")
		early.at = c.host.now()
		read, err := fetch.Result()
		if err != nil {
			c.takeBack(ctx, s, early)
			c.redisFailed(ctx, batch, c.host.redisError(err))
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
	case err != nil && early.at == (replica.Instant{}) && !isReply(err): // it is not known what Redis did
		c.queueReports(nil, early.unsent())
	}
	c.renewed(ctx, batch, err)
}
