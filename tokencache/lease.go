package tokencache

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// leaseHeld notes that another replica holds the lease.
func (c *client) leaseHeld(batch []*source, remaining time.Duration) {
	c.apply(func(now replica.Instant, state *replica.State) {
		state.LeaseHeld(now, idsOf(batch), remaining, random())
	})
	c.traced(batch, "LeaseHeld")
}

// heldBack reports whether a block holds back a source.
func (c *client) heldBack(s *source) (held bool) {
	c.apply(func(now replica.Instant, state *replica.State) { held = state.HeldBack(now, s.id) })
	c.traced([]*source{s}, "HeldBack", held)
	return held
}

// publishReleased notifies those who wait that the lease is free. It is a hint, so a
// failure is of no consequence.
func (c *client) publishReleased(ctx context.Context) {
	_, _ = call(context.WithoutCancel(ctx), c.host, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.store.PublishReleased(ctx)
	})
}

// commitFailed notes that Redis did not take a new token.
func (c *client) commitFailed(s *source, err error) {
	c.reporter.log(slog.LevelWarn, "the new token could not be stored in Redis yet", slog.Any("error", err))
	c.apply(func(now replica.Instant, state *replica.State) { state.CommitFailed(now, s.id, random()) })
	c.traced([]*source{s}, "CommitFailed")
}

// sortByPriority puts those that are needed most first.
func (c *client) sortByPriority(batch []*source) {
	c.apply(func(now replica.Instant, state *replica.State) {
		slices.SortStableFunc(batch, func(a, b *source) int {
			pa, _, _ := state.Tokens[a.id].Need(now)
			pb, _, _ := state.Tokens[b.id].Need(now)
			return cmp.Compare(pa, pb)
		})
	})
}
