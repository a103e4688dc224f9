package tokencache

import (
	"context"
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is about callers: how they are served from memory, and how they wait if
// there is no token.

// serve returns the token in memory if it is valid by both clocks, and notes that it is
// in use.
func (c *client) serve(s *source) *held {
	h := s.held.Load()
	if h == nil {
		return nil
	}
	now := c.host.now()
	drifted := h.Drifted(now)
	if !drifted { // the clocks agree, so one of them will do for a while
		h.checked.Store(int64(now.Mono - h.Since.Mono))
	}
	if !h.used.Swap(true) || drifted && !h.noticed.Swap(true) {
		c.applyTo(s, func(now replica.Instant, state *replica.State) { state.Touch(now, s.id) })
	}
	if !h.Valid(now) {
		return nil
	}
	return h
}

// obtain returns a valid token, and waits for one if need be.
func (c *client) obtain(ctx context.Context, s *source) (*held, error) {
	if h := c.serve(s); h != nil {
		return h, nil
	}
	h, err := c.wait(ctx, s, replica.Want{})
	if err != nil {
		return nil, err
	}
	if !h.used.Swap(true) {
		c.applyTo(s, func(now replica.Instant, state *replica.State) { state.Touch(now, s.id) })
	}
	return h, nil
}

// wait waits for what a caller wants, for as long as that makes sense.
func (c *client) wait(ctx context.Context, s *source, want replica.Want) (h *held, err error) {
	limit := c.host.now().Mono + c.host.opts.MaxWait
	if deadline, ok := ctx.Deadline(); ok {
		limit = c.host.now().Mono + time.Until(deadline)
	}
	gaveUp := false
	waiting := false
	c.applyTo(s, func(_ replica.Instant, state *replica.State) { state.Wait(s.id); waiting = true })
	if !waiting {
		return nil, ErrClosed
	}
	c.host.turns.hurry(&c.turn)
	defer func() {
		c.apply(func(now replica.Instant, state *replica.State) { state.Leave(now, s.id, gaveUp) })
	}()
	for {
		var answer replica.Answer
		var change chan struct{}
		c.apply(func(now replica.Instant, state *replica.State) {
			answer, change, h = state.Answer(now, s.id, want, limit), s.change, s.held.Load()
		})
		if answer.Done {
			return h, answer.Err
		}
		select {
		case <-change:
		case <-c.host.ctx.Done():
			return nil, ErrClosed
		case <-s.closed:
			return nil, ErrClosed
		case <-ctx.Done():
			gaveUp = true
			err := fmt.Errorf("waiting for the fleet's token: %w", context.Cause(ctx))
			c.apply(func(now replica.Instant, state *replica.State) {
				answer, h = state.GiveUp(now, s.id, want, limit, err), s.held.Load()
			})
			return h, answer.Err
		}
	}
}

// settle waits until no refresh is due.
func (c *client) settle(ctx context.Context) error {
	for {
		var busy bool
		var rested chan struct{}
		c.apply(func(replica.Instant, *replica.State) {}) // starts what is due
		c.apply(func(replica.Instant, *replica.State) { busy, rested = c.refreshing, c.rested })
		if !busy {
			return nil
		}
		select {
		case <-rested:
		case <-c.host.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("waiting for the end of the renewal: %w", context.Cause(ctx))
		}
	}
}

// invalidate notes that the API refused the access token. It returns what is held if that
// is it, and nil if it was replaced already.
func (c *client) invalidate(s *source, accessToken string) *held {
	h := s.held.Load()
	if h == nil || h.token.AccessToken != accessToken {
		return nil
	}
	c.applyTo(s, func(now replica.Instant, state *replica.State) {
		state.Invalidate(now, s.id, h.Record.Token, replica.Invalidated)
	})
	return h
}

// replaced waits until s holds another token than h.
func (c *client) replaced(ctx context.Context, s *source, h *held) error {
	_, err := c.wait(ctx, s, replica.Want{Not: h.Record.Token})
	return err
}
