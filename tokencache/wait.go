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
		if s.waiting > 0 && (s.valid() == nil || s.unwanted != nil) {
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
		ear, _ = c.listen(ctx)
	}
	if ear == nil { // deaf
		c.pause(ctx, min(turn, pollUnheard), nil)
		return nil
	}
	if !heard {
		return ear // what was published before it stood open has to be seen
	}
	if !c.pause(ctx, min(turn, pollHeard), ear) {
		ear.close()
		return nil
	}
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
			if c.hear(message) || !c.anyDue() {
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

// hear takes in a message, and reports whether it says to look.
func (c *client) hear(message []byte) bool {
	n, ok := parseNews(message)
	if !ok {
		return false
	}
	if n.id == "" {
		return true
	}
	c.mu.Lock()
	sources := make([]*Source, 0, 1)
	for _, s := range c.sources {
		if s.id == n.id {
			sources = append(sources, s)
		}
	}
	ref := c.ref
	c.mu.Unlock()
	for _, s := range sources {
		s.hear(n, ref)
	}
	return false
}

// hear adopts the record that a message carries. The message tells when the
// token expires by the clock of Redis, and not how long it lives yet: a process
// may have been stopped before it read this. If it is long since this replica
// has looked at that clock, it looks.
func (s *Source) hear(n news, ref reference) {
	c := s.client
	if !ref.fresh() {
		c.mu.Lock()
		if s.valid() != nil || s.waiting > 0 {
			s.schedule(rand.N(time.Second))
		}
		c.mu.Unlock()
		return
	}
	heard := time.Now()
	v := view{glance: glance{at: heard, seen: heard, now: ref.redisNow()}}
	v.decodeRecord(s, n.epoch, n.expires, n.sealed)
	c.mu.Lock()
	if v.record == nil || v.record.epoch < s.floor {
		c.mu.Unlock()
		return
	}
	h := s.valid()
	var adopted *held
	if h == nil || v.record.order(h.record) > 0 {
		_, adopted = s.merge(v)
	}
	c.mu.Unlock()
	if adopted != nil {
		s.tellAdopted(adopted, false)
	}
}

// follow listens for as long as the cache lives. Whatever it may have missed
// between two subscriptions, it looks for.
func (c *client) follow() {
	ctx := c.cache.ctx
	for failures, first := 0, true; ctx.Err() == nil; first = false {
		ear, err := c.listen(ctx)
		if err != nil {
			failures++
			select {
			case <-time.After(backoff(failures, time.Second, 30*time.Second, rand.Float64())):
			case <-ctx.Done():
			}
			continue
		}
		failures = 0
		if !first {
			c.mu.Lock()
			for _, s := range c.sources {
				if s.valid() != nil {
					s.schedule(rand.N(time.Second))
				}
			}
			c.mu.Unlock()
		}
		for open := true; open; {
			var message []byte
			select {
			case message, open = <-ear.messages:
				if open {
					c.hear(message)
				}
			case <-ctx.Done():
				open = false
			}
		}
		ear.close()
	}
}
