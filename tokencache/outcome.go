package tokencache

import (
	"log/slog"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// This file is about what callers notice when no token came: nothing, as long as
// there is a valid one.

// refuse deals with a request that brought no token.
func (s *Source) refuse(r request, priority quota.Priority) {
	c := s.client
	until := c.punish(r.verdict.blocks)
	if b := c.blocked(s); b != nil { // with the fleet's own word, if that is longer
		until = time.Now().Add(b.RetryIn)
	}
	err := newRequestError(r.answer, r.verdict, c.cache.wall().Add(time.Until(until)))
	c.log(slog.LevelWarn, "a token request failed", slog.String("why", r.account.attempt.Reason), slog.Any("error", err), s.meanwhile())
	c.mu.Lock()
	defer c.mu.Unlock()
	s.hold(&failure{err: err, until: until}, priority == quota.Forced)
}

// deny deals with a request that may not be sent.
func (s *Source) deny(denied *quota.DeniedError) {
	c := s.client
	c.log(slog.LevelInfo, "no token request for now", slog.String("priority", denied.Priority.String()), slog.Any("error", denied), s.meanwhile())
	tell(c.cache, c.cache.opts.Hooks.Denied, DeniedInfo{Client: c.label, Audience: s.cred.Audience, Err: denied})
	c.mu.Lock()
	defer c.mu.Unlock()
	s.hold(&failure{err: denied, until: time.Now().Add(denied.RetryIn)}, denied.Priority == quota.Forced)
}

// meanwhile says until when callers do not notice.
func (s *Source) meanwhile() slog.Attr {
	if h := s.valid(); h != nil {
		return slog.Time("token_valid_until", h.token.Expiry.UTC())
	}
	return slog.String("token_valid_until", "there is none")
}

// hold lets s rest until a failure is over. Callers who have a valid token do
// not notice. The caller holds mu.
func (s *Source) hold(f *failure, forced bool) {
	s.client.crowd(f.until)
	h := s.valid()
	switch {
	case forced && h != nil:
		// The one there is is good enough until somebody rejects it again: a
		// forced renewal is not repeated by itself.
		f.final, f.stands = true, true
		s.refusal, s.unwanted = f, nil
		s.schedule(h.look - h.age(s.client.cache.wall()))
	case h != nil:
		// What is refused to an early renewal is not refused for ever: it is
		// asked again when the need is greater.
		age := h.age(s.client.cache.wall())
		at := time.Until(f.until)
		for _, greater := range []time.Duration{h.plan.urgent - age, h.plan.expire - age} {
			if greater > 0 {
				at = min(at, greater)
			}
		}
		s.schedule(max(at, time.Second))
	default:
		s.lack(f)
	}
	s.tell()
}

// endure lets s rest for a while with a failure that has no end of its own.
func (s *Source) endure(err error, pause time.Duration) {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	f := &failure{err: err, until: time.Now().Add(pause), final: true}
	if s.valid() != nil {
		if s.unwanted != nil {
			f.stands = true
			s.refusal, s.unwanted = f, nil
		}
		s.schedule(pause)
	} else {
		s.lack(f)
	}
	s.tell()
}

// lack notes why there is no token. The caller holds mu.
func (s *Source) lack(f *failure) {
	f.seen = time.Now()
	s.failure = f
	s.scheduleAt(f.next())
}

func (s *Source) tellAdopted(h *held, requested bool) {
	c := s.client
	c.log(slog.LevelDebug, "a new token is in use", slog.Bool("requested", requested), slog.String("by", h.record.body.By), slog.Duration("left", h.left))
	tell(c.cache, c.cache.opts.Hooks.Adopted, AdoptedInfo{
		Client: c.label, Audience: s.cred.Audience, Requested: requested, By: h.record.body.By, Issued: h.record.asked(), Remaining: h.left,
	})
}
