package tokencache

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/oauth2"
)

// This file is about those who call: how they get the token in memory, and how
// they wait if there is none.

// serve returns the token in memory if it is valid by both clocks, and notes
// that it is in use.
func (s *Source) serve() *held {
	h := s.held.Load()
	if h == nil {
		return nil
	}
	if !h.used.Load() {
		h.used.Store(true)
	}
	wall := s.client.cache.wall()
	age := h.age(wall)
	if (age >= h.look || h.drifted(wall)) && !h.noticed.Swap(true) {
		s.client.mu.Lock()
		if s.at.IsZero() || h.drifted(wall) {
			s.schedule(0)
		}
		s.client.mu.Unlock()
	}
	if age >= h.plan.expire {
		return nil
	}
	return h
}

// obtain returns a valid token, and waits for one if need be.
func (s *Source) obtain(ctx context.Context) (*held, error) {
	h := s.serve()
	if h != nil {
		return h, nil
	}
	err := s.wait(ctx, func() (bool, *failure) {
		if h = s.valid(); h != nil {
			h.used.Store(true)
		}
		return h != nil, s.failure
	})
	return h, err
}

// replaced waits until s holds another token than h, which is unwanted.
func (s *Source) replaced(ctx context.Context, h *held) error {
	return s.wait(ctx, func() (bool, *failure) { return !h.same(s.held.Load()), s.trouble() })
}

// trouble is what keeps the token from being replaced: what refuses another one
// or, as it has expired meanwhile, what keeps the fleet from having any.
func (s *Source) trouble() *failure {
	if s.refusal == nil && s.valid() == nil {
		return s.failure
	}
	return s.refusal
}

// A failure answers all callers until a moment, when the next attempt is due. Until
// then it is seen now and again whether the fleet has a token all the same.
type failure struct {
	err   error
	until time.Time
	seen  time.Time // that the fleet has none
	hope  time.Time // if that attempt needs luck, when one is due that does not
	final bool      // nobody should wait, even if there is time

	// stands says that nothing is tried again by itself, also when until has
	// passed.
	stands bool
}

// hopeless reports whether waiting until limit is in vain.
func (f *failure) hopeless(limit time.Time) bool {
	return f.final || f.until.After(limit) || f.hope.After(limit)
}

// seeAgain is how long it is believed that the fleet has no token.
const seeAgain = time.Minute

// next returns when the flight should look, if callers are waiting then.
func (f *failure) next() time.Time {
	if again := f.seen.Add(seeAgain); again.Before(f.until) {
		return again
	}
	return f.until
}

// wait waits until done says so, or says that it fails, for as long as it makes
// sense. It is called with client.mu held.
func (s *Source) wait(ctx context.Context, done func() (bool, *failure)) error {
	c := s.client
	limit := time.Now().Add(c.cache.opts.MaxWait)
	if deadline, ok := ctx.Deadline(); ok {
		limit = deadline
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.waiting++
	defer func() { s.waiting-- }()
	for {
		ok, f := done()
		if ok {
			return nil
		}
		if c.cache.ctx.Err() != nil {
			return ErrClosed
		}
		now := time.Now()
		switch failing := f != nil && (f.stands || now.Before(f.until)); {
		case failing && f.hopeless(limit) && (f.stands || now.Before(f.next())):
			return f.err
		case failing:
			if s.at.IsZero() || s.at.After(f.next()) {
				s.scheduleAt(f.next())
			}
		case s.at.IsZero() || s.at.After(now) && (s.valid() == nil || s.unwanted != nil):
			s.schedule(0)
		}
		change := s.change
		c.mu.Unlock()
		var err error
		select {
		case <-change:
		case <-c.cache.ctx.Done():
		case <-ctx.Done():
			err = fmt.Errorf("waiting for the fleet's token: %w", context.Cause(ctx))
		}
		c.mu.Lock()
		if err != nil {
			ok, f := done()
			if ok { // it came in the last moment
				return nil
			}
			s.missed = time.Now().Add(c.cache.terms.lease)
			if f != nil && time.Now().Before(f.until) && f.hopeless(limit) { // as far as is known
				return f.err
			}
			return err
		}
	}
}

// report notes that the API refused tok. It returns the token in memory if that
// is tok, and nil if tok was replaced already.
func (s *Source) report(tok *oauth2.Token) *held {
	h := s.held.Load()
	if tok == nil || h == nil || h.token.AccessToken != tok.AccessToken {
		return nil
	}
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.reject(h, "rejected")
	return h
}
