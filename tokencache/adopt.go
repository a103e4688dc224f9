package tokencache

import (
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/tokencache/internal/seal"
)

// errSameToken means that a token which was to be replaced was given out again.
var errSameToken = errors.New("the token endpoint gave out the same token again")

// adopt makes r the token in memory. It had left to live when it was measured,
// at since, at the least. The caller holds client.mu.
func (s *Source) adopt(r record, left time.Duration, since moment, requested bool) *held {
	cache := s.client.cache
	old := s.held.Load()
	same := old != nil && old.record.body.Token == r.body.Token
	// The endpoint may give out a token again, and say anew how long it lives.
	again := same && old.record.expires > 0 && r.issued > old.record.issued
	if same = same && !again; same { // nothing makes it live longer than was known already
		left = min(left, old.left-since.mono.Sub(old.since.mono))
	}
	h := &held{
		token: (&oauth2.Token{
			AccessToken: r.body.Token, TokenType: r.body.Type, Expiry: since.wall.Add(left),
		}).WithExtra(r.body.Extra),
		header: []string{r.body.Type + " " + r.body.Token},
		record: r, since: since, left: left,
		plan: cache.terms.planFor(r.ttl(), left),
	}
	// The renewer looks first, so that the others find the new token when they
	// look. The moment of each is drawn once a token: measuring it again must
	// not draw it again.
	switch {
	case same:
		h.late = old.late
		h.used.Store(old.used.Load())
	case !requested:
		h.late = 1 + rand.N(max(cache.terms.spread(r.ttl()), 1))
	}
	h.look = h.plan.renew + h.late
	h.shared.Store(!requested || same && old.shared.Load())
	s.held.Store(h)
	if same { // measured anew, and nothing else is new
		return h
	}
	unwanted := s.unwanted
	s.unwanted, s.failure, s.refusal = nil, nil, nil
	if again && unwanted != nil { // there is no other one, however often one asks
		s.refusal = &failure{err: errSameToken, until: time.Now().Add(15 * time.Minute), final: true, stands: true}
	}
	s.schedule(h.look - h.age(cache.wall()))
	s.tell()
	return h
}

// adoptAnswer adopts the token that a request has brought, and returns it. If
// another one came meanwhile that was issued later, it adopts nothing: the lease
// was lost, or Redis was away, and an answer that comes late outranks nobody.
// before is what was held when it was decided to ask.
func (s *Source) adoptAnswer(r record, done request, before *held) *held {
	s.client.mu.Lock()
	if now := s.valid(); now != nil && !now.same(before) && now.record.order(r) > 0 {
		s.client.mu.Unlock()
		return nil
	}
	h := s.adopt(r, done.verdict.grant.life, done.sent, true)
	s.client.mu.Unlock()
	s.tellAdopted(h, true)
	return h
}

// merge takes the better of two tokens: the one in memory and the fleet's. It
// returns the one in memory if the fleet should have it, and the fleet's if it
// is news here. The caller holds mu.
func (s *Source) merge(v view) (mine, adopted *held) {
	s.floor = max(s.floor, v.floor)
	h, last := s.valid(), s.held.Load()
	if h != nil && h.record.expires == 0 { // asked for while Redis was away
		unsynced := h.record
		// What is left now was left when Redis read its clock, for that was before.
		unsynced.expires = v.now + (h.left - h.age(s.client.cache.wall())).Milliseconds()
		unsynced.issued = unsynced.expires - unsynced.body.TTL
		h = s.adopt(unsynced, h.left, h.since, true)
	}
	if v.record != nil && v.record.issued >= s.floor && (h == nil || v.record.order(h.record) >= 0) {
		// No token has more left than its whole life, whatever the clock of Redis
		// says: it may have been set back.
		left := min(millis(v.record.expires-v.now), v.record.ttl())
		if now := s.adopt(*v.record, left, v.at, false); !now.same(last) {
			adopted = now
		}
		return nil, adopted
	}
	switch {
	case h == nil || errors.Is(v.problem, seal.ErrUnknownKey):
		return nil, nil
	case h.record.issued >= s.floor:
		return h, nil
	}
	// It was rotated away, and its successor is lost.
	s.reject(h, "rotated")
	return nil, nil
}
