package tokencache

import (
	"context"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// refresh brings the tokens that are due up to date, until none is.
func (c *client) refresh() {
	ctx := c.host.ctx
	for due, blocking := c.due(); len(due) > 0; due, blocking = c.due() {
		end, ok := c.host.turns.take(ctx, &c.turn, blocking)
		if !ok {
			continue // it is closed, and nothing is due
		}
		c.begunOnce()
		if due, _ = c.due(); len(due) == 0 { // for the turn took long to come
			end()
			return
		}
		c.refreshOnce(ctx, due)
		end()
	}
}

// refreshOnce fetches what the fleet has. As a rule that is all: another replica has
// renewed.
func (c *client) refreshOnce(ctx context.Context, batch []*source) {
	defer c.probedOnce()
	if len(batch) == 1 && c.isCold(batch[0]) && c.startCold(ctx, batch[0]) {
		return
	}
	fetched, err := c.fetch(ctx, batch...)
	if err != nil {
		c.redisFailed(ctx, batch, err)
		return
	}
	reported := c.flushReports(ctx, batch)
	wait, renew := c.merge(ctx, batch, fetched, replica.Context{Reported: reported})
	switch {
	case len(renew) > 0:
		c.renew(ctx, renew)
	case len(wait) > 0:
		c.leaseHeld(wait, fetched.Lease)
	default:
		c.redisWorked()
	}
}
