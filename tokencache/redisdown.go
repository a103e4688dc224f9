package tokencache

import (
	"context"
	"slices"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is about a Redis that cannot be used.

// redisFailed notes that the refresh of some tokens could not use Redis. A valid token
// is served on. Without one, callers get the error, unless Options.RedisDownBudget lets
// this replica request one all the same.
func (c *client) redisFailed(ctx context.Context, batch []*source, err error) {
	if c.host.closed() { // it is closed, and says nothing of Redis
		for i := range batch {
			c.traced(batch[i:i+1], "RedisFailed", false)
		}
		return
	}
	var beyond []*source
	c.apply(func(now replica.Instant, state *replica.State) {
		beyond = c.sourcesOf(state.RedisFailed(now, idsOf(batch), err, isReply(err), random()))
	})
	for i, s := range batch {
		c.traced(batch[i:i+1], "RedisFailed", slices.Contains(beyond, s))
	}
	c.host.reloadCluster(ctx) // the lease is not taken by call
	for _, s := range beyond {
		var may bool
		c.apply(func(now replica.Instant, state *replica.State) {
			may = state.RequestBeyondRedis(now, s.id, err, random())
		})
		c.traced([]*source{s}, "RequestBeyondRedis", may)
		if may {
			c.requestBeyondRedis(ctx, s)
		}
	}
}

// requestBeyondRedis sends a token request that the ledger does not know of. Redis gets
// the answer with the next fetch that works.
func (c *client) requestBeyondRedis(ctx context.Context, s *source) {
	var req replica.Request
	var needed bool
	c.apply(func(now replica.Instant, state *replica.State) {
		req, needed = state.Request(now, s.id, replica.Readable)
	})
	c.traced([]*source{s}, "Request", needed)
	if !needed {
		return
	}
	done := c.ask(ctx, s, c.host.terms.RequestTimeout, c.attempt(s, req), true)
	c.queueReports([]*source{s}, done.report)
	if done.verdict.Class != "" {
		c.refused(s, done, req)
		return
	}
	c.issued(s, done, req, replica.Issue{})
}

// redisWorked notes that Redis did all that was asked of it.
func (c *client) redisWorked() {
	c.apply(func(_ replica.Instant, state *replica.State) { state.RedisWorked() })
}
