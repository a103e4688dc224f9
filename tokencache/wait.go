package tokencache

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// This file is about waiting for another replica that renews.

// standBy waits for whoever holds the lease, on behalf of the callers that have
// no token; a source with a valid one goes on serving it, and looks again when
// the lease would end. It returns when there may be something new to see. heard
// says that the ear was open before it was seen that the lease is held.
func (c *client) standBy(ctx context.Context, todo []*Source, left time.Duration, ear *listener, heard bool) *listener {
	// If the holder dies, the lease ends by itself, and somebody has to be the
	// next: at a moment of its own, so that not all come at once.
	turn := left + rand.N(min(left/10, time.Second)+1)
	c.mu.Lock()
	waits := false
	for _, s := range todo {
		if s.awaited() && (s.valid() == nil || s.unwanted != nil) {
			waits = true
		} else if s.valid() != nil {
			s.schedule(turn)
		}
	}
	c.mu.Unlock()
	if !waits {
		return ear
	}
	if ear == nil {
		if ear, _ = c.listen(ctx); ear == nil { // deaf
			c.pause(ctx, min(turn, pollUnheard), nil)
			return nil
		}
	}
	if !heard {
		return ear // what was published before it stood open has to be seen
	}
	if !c.pause(ctx, min(turn, pollHeard), ear) { // gone deaf
		ear.close()
		c.pause(ctx, rand.N(pollUnheard), nil)
		return nil
	}
	ear.rested = true
	return ear
}

// pause waits until nothing is due any more, or there may be something new to
// see, and for at most d. It returns false if the ear has gone deaf.
func (c *client) pause(ctx context.Context, d time.Duration, ear *listener) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var messages chan []byte
	if ear != nil {
		messages = ear.messages
	}
	for {
		select {
		case message, ok := <-messages:
			if !ok {
				return false
			}
			if c.hear(message, ear.opened) || !c.anyDue() {
				return true
			}
		case <-c.poke:
			return true
		case <-timer.C:
			return true
		case <-ctx.Done():
			return true
		}
	}
}

func (c *client) anyDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return slices.ContainsFunc(c.sources, func(s *Source) bool { return !s.at.IsZero() && !s.at.After(now) })
}

// hear takes in a message that was published after a moment, and reports whether
// it says to look.
func (c *client) hear(message []byte, after moment) bool {
	n, ok := parseNews(message)
	if !ok {
		return false
	}
	if n.id == "" {
		return true
	}
	c.mu.Lock()
	sources := slices.DeleteFunc(slices.Clone(c.sources), func(s *Source) bool { return s.id != n.id })
	c.mu.Unlock()
	for _, s := range sources {
		s.hear(n, after)
	}
	return false
}

// hear adopts the record that a message carries. The message says what the clock
// of Redis showed when it was published; how long ago that is, nobody knows, for
// the process may have been stopped before it read this. But it was after the
// ear was opened, so the token lives as long as is left, counted from then. If
// that gives too much away, as with an ear that is open always, the replica
// looks instead.
func (s *Source) hear(n news, after moment) {
	c := s.client
	v := view{glance: glance{at: after, seen: after.mono, now: n.now}}
	v.decodeRecord(s, n.issued, n.expires, n.sealed)
	late := ageBy(time.Since(after.mono), c.cache.wall().Sub(after.wall)) > pollHeard+c.cache.terms.lease

	c.mu.Lock()
	var adopted *held
	h := s.valid()
	last := s.held.Load()
	switch {
	case last != nil && v.record != nil && v.record.order(last.record) <= 0: // somebody repeats what was said once
	case v.record == nil || v.record.issued < s.floor:
	case late:
		if h != nil || s.awaited() {
			s.schedule(rand.N(100 * time.Millisecond)) // not all at once
		}
	default:
		_, adopted = s.merge(v)
	}
	c.mu.Unlock()
	if adopted != nil {
		s.tellAdopted(adopted, false)
	}
}

// follow listens for as long as the cache lives. Whatever it may have missed
// between two subscriptions, it looks for. One that breaks at once is not
// renewed at once.
func (c *client) follow() {
	ctx := c.cache.ctx
	failures := 0
	for first := true; ctx.Err() == nil; first = false {
		began := time.Now()
		if ear, err := c.listen(ctx); err == nil {
			if !first {
				c.lookSoon()
			}
			c.hearAll(ctx, ear)
			ear.close()
		}
		failures++
		if time.Since(began) > time.Minute {
			failures = 1
		}
		select {
		case <-time.After(backoff(failures, time.Second, 30*time.Second, rand.Float64())):
		case <-ctx.Done():
		}
	}
}

// hearAll takes in messages until the ear is deaf.
func (c *client) hearAll(ctx context.Context, ear *listener) {
	for {
		select {
		case message, open := <-ear.messages:
			if !open {
				return
			}
			c.hear(message, ear.opened)
		case <-ctx.Done():
			return
		}
	}
}

// lookSoon lets all sources with a token look, not all replicas at once.
func (c *client) lookSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sources {
		if s.valid() != nil {
			s.schedule(rand.N(time.Second))
		}
	}
}
