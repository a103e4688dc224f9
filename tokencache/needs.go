package tokencache

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// This file is about what a source needs, and when it wants the flight's
// attention. All of it but urgency is called with client.mu held.

// urgency is how badly s needs a token request, if it does.
func (s *Source) urgency() quota.Priority {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	priority, _, _ := s.needs()
	return priority
}

// valid returns the token in memory if it is.
func (s *Source) valid() *held {
	if h := s.held.Load(); h != nil && h.age(s.client.cache.wall()) < h.plan.expire {
		return h
	}
	return nil
}

// fails reports whether there is no token, and it is known why, and until when.
func (s *Source) fails() bool {
	return s.failure != nil && s.valid() == nil && time.Now().Before(s.failure.until)
}

// idle reports whether nobody would miss a new token: one is valid and nobody
// asked for it in all its life, or none is and nobody waited for one lately.
func (s *Source) idle() bool {
	if h := s.valid(); h != nil {
		return !h.used.Load() && s.unwanted == nil && h.shared.Load()
	}
	return !s.awaited()
}

// awaited reports whether callers wait for a token, or left without one not long
// ago: if all are in a hurry, what one of them began is the next one's.
func (s *Source) awaited() bool { return s.waiting > 0 || time.Now().Before(s.missed) }

// needs returns how badly s needs a token request now, and why.
func (s *Source) needs() (quota.Priority, string, bool) {
	h := s.valid()
	if h == nil {
		return quota.Need, "cold", s.awaited()
	}
	if h.same(s.unwanted) {
		return quota.Forced, s.why, true
	}
	age := h.age(s.client.cache.wall())
	if age < h.look {
		return 0, "", false
	}
	priority, any := h.plan.need(age)
	return priority, priority.String(), any
}

// want asks for another token than h.
func (s *Source) want(h *held, why string) {
	if !h.same(s.unwanted) && h.same(s.held.Load()) {
		s.unwanted, s.why, s.refusal = h, why, nil
		s.schedule(0)
	}
}

// reject asks for another token than h, if that was not refused just now.
func (s *Source) reject(h *held, why string) {
	if s.refusal == nil || !time.Now().Before(s.refusal.until) {
		s.want(h, why)
	}
}

// schedule asks for the flight's attention after d, and not earlier.
func (s *Source) schedule(d time.Duration) { s.scheduleAt(time.Now().Add(max(d, 0))) }

func (s *Source) scheduleAt(at time.Time) {
	s.at = at
	d := time.Until(at)
	if d <= 0 {
		if s.timer != nil {
			s.timer.Stop()
		}
		s.client.wake()
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(d, func() {
			s.client.mu.Lock()
			defer s.client.mu.Unlock()
			s.client.wake()
		})
		return
	}
	s.timer.Reset(d)
}

// rest asks for no attention.
func (s *Source) rest() {
	s.at = time.Time{}
	if s.timer != nil {
		s.timer.Stop()
	}
}

// tell wakes those who wait.
func (s *Source) tell() {
	close(s.change)
	s.change = make(chan struct{})
}
