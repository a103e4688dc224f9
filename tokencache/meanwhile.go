package tokencache

import (
	"context"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is about what other replicas do while a token request of this one is under way.
// As a rule it is nothing. But Redis may lose a lease, as in a failover, and then another
// replica may have a token first. Callers here are to be served from that one. A notification
// says so, unless it was missed.

// fetchMeanwhile fetches what callers wait for, now and then, as long as no notification can
// arrive, until the token request is answered.
func (c *client) fetchMeanwhile(answered <-chan struct{}) {
	for n := 1; ; n++ {
		var pause time.Duration
		c.apply(func(_ replica.Instant, state *replica.State) { pause = state.Subscription.Poll(n) })
		select {
		case <-answered:
			return
		case <-time.After(pause):
		}
		listening := false
		c.apply(func(_ replica.Instant, state *replica.State) { listening = state.Listening() != 0 })
		if !listening {
			c.fetchMissed(c.host.ctx)
		}
	}
}

// fetchMissed fetches what callers wait for, beside a refresh in progress. What is to be done
// about it is left to that.
func (c *client) fetchMissed(ctx context.Context) {
	var batch []*source
	c.apply(func(now replica.Instant, state *replica.State) {
		for _, s := range c.sources {
			if s != nil && c.refreshing && state.Tokens[s.id].Blocking(now) {
				batch = append(batch, s)
			}
		}
	})
	if len(batch) == 0 {
		return
	}
	read, err := c.fetch(ctx, batch...)
	if err != nil { // the refresh finds that out, too
		return
	}
	for i, s := range batch {
		c.applyTo(s, func(now replica.Instant, state *replica.State) { state.Merge(now, s.id, read.of(i), random()) })
	}
}
