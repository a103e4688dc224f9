package tokencache

import (
	"context"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is about a Redis that cannot be used.

// redisFailed notes that the refresh of some tokens could not use Redis. A valid token
// is served on. Without one, callers get the error, unless Options.RedisDownBudget lets
// this replica request one all the same.
func (c *client) redisFailed(ctx context.Context, batch []*Source, err error) {
	if c.cache.ctx.Err() != nil {
		return
	}
	var beyond []*Source
	c.apply("RedisFailed", func(now replica.Instant, state *replica.State) {
		beyond = c.sourcesOf(state.RedisFailed(now, idsOf(batch), err, random()))
	})
	c.cache.lookAround(ctx) // the lease is not taken by call
	for _, s := range beyond {
		var may bool
		c.apply("RequestBeyondRedis", func(now replica.Instant, state *replica.State) {
			may = state.RequestBeyondRedis(now, s.id, err, random())
		})
		if may {
			s.requestBeyondRedis(ctx)
		}
	}
}

// requestBeyondRedis sends a token request that the ledger does not know of. Redis gets
// the answer with the next fetch that works.
func (s *Source) requestBeyondRedis(ctx context.Context) {
	c := s.client
	var req replica.Request
	var needed bool
	c.apply("Request", func(now replica.Instant, state *replica.State) {
		req, needed = state.Request(now, s.id, replica.Readable)
	})
	if !needed {
		return
	}
	done := s.ask(ctx, c.cache.terms.RequestTimeout, s.attempt(req), true)
	c.queueReports(done.report)
	if done.verdict.Class != "" {
		s.refused(done, req)
		return
	}
	s.issued(done, req, replica.Issue{})
}

// redisWorked notes that Redis did all that was asked of it.
func (c *client) redisWorked() {
	c.apply("RedisWorked", func(_ replica.Instant, state *replica.State) { state.RedisWorked() })
}
