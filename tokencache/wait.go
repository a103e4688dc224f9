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
func (s *Source) serve() *held {
	h := s.held.Load()
	if h == nil {
		return nil
	}
	now := s.client.cache.now()
	drifted := h.Drifted(now)
	if !drifted { // the clocks agree, so one of them will do for a while
		h.checked.Store(int64(now.Mono - h.Since.Mono))
	}
	if !h.used.Swap(true) || drifted && !h.noticed.Swap(true) {
		s.client.apply(func(now replica.Instant, state *replica.State) { state.Touch(now, s.id) })
	}
	if !h.Valid(now) {
		return nil
	}
	return h
}

// obtain returns a valid token, and waits for one if need be.
func (s *Source) obtain(ctx context.Context) (*held, error) {
	if h := s.serve(); h != nil {
		return h, nil
	}
	h, err := s.wait(ctx, replica.Want{})
	if err != nil {
		return nil, err
	}
	if !h.used.Swap(true) {
		s.client.apply(func(now replica.Instant, state *replica.State) { state.Touch(now, s.id) })
	}
	return h, nil
}

// wait waits for what a caller wants, for as long as that makes sense.
func (s *Source) wait(ctx context.Context, want replica.Want) (h *held, err error) {
	c := s.client
	limit := c.cache.now().Mono + c.cache.opts.MaxWait
	if deadline, ok := ctx.Deadline(); ok {
		limit = c.cache.now().Mono + time.Until(deadline)
	}
	gaveUp := false
	c.apply(func(_ replica.Instant, state *replica.State) { state.Wait(s.id) })
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
		case <-c.cache.ctx.Done():
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

// invalidate notes that the API refused the access token. It returns what is held if that
// is it, and nil if it was replaced already.
func (s *Source) invalidate(accessToken string) *held {
	h := s.held.Load()
	if h == nil || h.token.AccessToken != accessToken {
		return nil
	}
	s.client.apply(func(now replica.Instant, state *replica.State) {
		state.Invalidate(now, s.id, h.Record.Token, replica.Invalidated)
	})
	return h
}

// replaced waits until s holds another token than h.
func (s *Source) replaced(ctx context.Context, h *held) error {
	_, err := s.wait(ctx, replica.Want{Not: h.Record.Token})
	return err
}
