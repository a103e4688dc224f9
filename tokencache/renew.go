package tokencache

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fleettoken/fleettoken/lock"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/seal"
)

// This file is the way of a token: look at what the fleet has; wait for whoever
// is renewing; take the lease, look again, ask the token endpoint, and give
// what came of it to the fleet.

// round brings a batch of due sources one step further. It takes and returns
// the ear of the flight: the subscription to news, which is opened when a
// caller has to wait, and stays open until the flight is over.
func (c *client) round(ctx context.Context, batch []*Source, ear *listener) *listener {
	// Look. Mostly, this is all: somebody else has renewed.
	heard := ear != nil // before the look, so nothing can be missed after it
	var todo []*Source
	var left time.Duration
	for _, s := range batch {
		v, err := s.look(ctx)
		if err != nil {
			c.away(ctx, batch, err)
			return ear
		}
		c.back(ctx)
		if !s.take(ctx, v) {
			todo, left = append(todo, s), v.lease
		}
	}
	todo = slices.DeleteFunc(todo, c.holdsBack)
	if len(todo) == 0 {
		return ear
	}
	if left > 0 {
		return c.standBy(ctx, todo, left, ear, heard)
	}

	// The lease is free, as far as that look can tell. Whoever has to wait if
	// another replica is faster, listens before trying: the holder tells when
	// it is done, and that is then heard.
	if ear == nil && c.anyWaits(todo) {
		ear, _ = c.listen(ctx) // deaf, it looks more often
		heard = ear != nil
	}
	err := c.cache.locker.Do(ctx, c.names.Lock, func(ctx context.Context, lease *lock.Lease) error {
		c.spend(ctx, lease, todo)
		return nil
	})
	if held, ok := errors.AsType[*lock.HeldError](err); ok {
		return c.standBy(ctx, todo, held.Left, ear, heard)
	}
	if err != nil {
		c.away(ctx, todo, redisError(err))
		return ear
	}
	c.announce(ctx)
	return ear
}

// take learns from a look, and reports whether that is all that s needs.
func (s *Source) take(ctx context.Context, v view) bool {
	c := s.client
	c.learn(v.blocked)
	c.mu.Lock()
	c.ref = reference{v.now, v.at}
	mine, adopted := s.merge(v)
	problem := v.problem
	c.mu.Unlock()
	if adopted != nil {
		s.tellAdopted(adopted, false)
	}
	if errors.Is(problem, seal.ErrUnknownKey) {
		c.log(slog.LevelError, "the fleet's token is sealed with a key that this replica does not have", slog.String("token", s.id))
		s.endure(ErrSealKey, time.Minute)
		return true
	}
	if problem != nil {
		c.log(slog.LevelWarn, "the fleet's token in Redis is damaged, and is replaced", slog.String("token", s.id))
	}
	if mine != nil { // the fleet has lost it, or has an older one
		if _, err := s.commit(ctx, mine.record, v.spoilt); err == nil {
			c.log(slog.LevelInfo, "gave the fleet back its token", slog.String("token", s.id))
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if _, _, any := s.needs(); any {
		return false
	}
	if h := s.valid(); h != nil {
		s.schedule(h.look - h.age(c.cache.wall()))
	} else {
		s.rest()
	}
	s.tell()
	return true
}

// holdsBack reports whether a block does, and if so lets s rest until it is over.
func (c *client) holdsBack(s *Source) bool {
	denied := c.blocked(s)
	if denied == nil {
		return false
	}
	c.mu.Lock()
	denied.Priority, _, _ = s.needs()
	c.mu.Unlock()
	s.deny(denied)
	return true
}

// anyWaits reports whether a caller waits for one of the sources.
func (c *client) anyWaits(todo []*Source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(todo, func(s *Source) bool { return s.waiting > 0 })
}

// merge takes the better of two tokens: the one in memory and the fleet's. It
// returns the one in memory if the fleet should have it, and the fleet's if it
// is news here. The caller holds mu.
func (s *Source) merge(v view) (mine, adopted *held) {
	h := s.valid()
	if h != nil && h.record.expires == 0 { // asked for while Redis was away
		unsynced := h.record
		unsynced.epoch = max(unsynced.epoch, v.floor)
		unsynced.expires = expiry(v.now, v.at, h.since, h.left)
		s.adopt(unsynced, h.left, h.since, true)
		h = s.held.Load()
	}
	if v.record != nil && (h == nil || v.record.order(h.record) >= 0) {
		if s.adopt(*v.record, millis(v.record.expires-v.now), v.at, false) {
			adopted = s.held.Load()
		}
		return nil, adopted
	}
	if h != nil && h.record.epoch >= v.floor && !errors.Is(v.problem, seal.ErrUnknownKey) {
		return h, nil
	}
	return nil, nil
}

// spend asks the token endpoint for what is still needed, one token after the
// other, while this replica is the renewer. Those without a token come first.
func (c *client) spend(ctx context.Context, lease *lock.Lease, todo []*Source) {
	c.mu.Lock()
	urgency := make(map[*Source]quota.Priority, len(todo))
	for _, s := range todo {
		urgency[s], _, _ = s.needs()
	}
	c.mu.Unlock()
	slices.SortStableFunc(todo, func(a, b *Source) int { return cmp.Compare(urgency[a], urgency[b]) })

	for _, s := range todo {
		if lease.Left() < c.cache.terms.request*3/2 && lease.Extend(ctx) != nil || ctx.Err() != nil {
			return // the rest stays due
		}
		// Look again, now that nobody else can ask: the last one may have.
		v, err := s.look(ctx)
		if err != nil {
			c.away(ctx, todo, err)
			return
		}
		if s.take(ctx, v) || c.holdsBack(s) {
			continue
		}
		c.fetch(ctx, lease, s, v)
	}
}

// fetch sends one token request, if the ledger lets it, and gives the fleet what
// came of it.
func (c *client) fetch(ctx context.Context, lease *lock.Lease, s *Source, v view) {
	c.mu.Lock()
	priority, why, any := s.needs()
	epoch := max(v.floor, 0)
	if h := s.valid(); h != nil {
		epoch = max(epoch, h.record.epoch)
	}
	c.mu.Unlock()
	if !any {
		return
	}
	if priority == quota.Forced {
		epoch++
	}
	if v.problem != nil && priority == quota.Need {
		// There is a record, and somebody damages it. Then the quota is not
		// theirs to spend.
		priority, why = quota.Forced, "damaged"
	}
	attempt := s.attempt(priority, why)
	admission, err := call(ctx, c.cache, func(ctx context.Context) (quota.Admission, error) { return c.ledger.Admit(ctx, attempt) })
	admitted := time.Now()
	if err != nil {
		if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
			s.deny(denied)
			return
		}
		c.away(ctx, []*Source{s}, err)
		return
	}

	// The request must be over before the lease is: nobody else may ask
	// meanwhile. A process that was stopped finds out here, and asks nothing.
	within := min(c.cache.terms.request, lease.Left()-c.cache.terms.request/4)
	if within <= 0 || ctx.Err() != nil {
		c.account(ctx, account{attempt: attempt, answer: quota.Answer{Outcome: quota.Unsent, Status: "lease lost"}})
		return
	}
	done := s.ask(ctx, within, attempt, false)
	if done.verdict.class != "" {
		c.account(ctx, done.account)
		s.refuse(done, priority)
		return
	}

	r := s.granted(done.verdict.grant, epoch)
	r.expires = expiry(admission.Now, admitted, done.sent, done.verdict.grant.life)
	// Those who wait here are served at once; the fleet a moment later. That is
	// paid for, so it is done even if this replica is told to stop.
	c.mu.Lock()
	s.adopt(r, done.verdict.grant.life, done.sent, true)
	c.mu.Unlock()
	s.tellAdopted(s.held.Load(), true)
	stored, err := s.commit(context.WithoutCancel(ctx), r, v.spoilt)
	c.account(ctx, done.account)
	if err != nil {
		c.log(slog.LevelWarn, "the fleet could not be told of its new token yet", slog.Any("error", err))
		c.mu.Lock()
		s.schedule(backoff(1, time.Second, time.Second, rand.Float64())) // then the look repairs it
		c.mu.Unlock()
		return
	}
	if stored == "older" || stored == "outdated" { // the lease was broken, and another one was faster
		c.mu.Lock()
		s.schedule(0)
		c.mu.Unlock()
	}
}

// A request is one token request, done.
type request struct {
	answer  answer
	verdict verdict
	sent    time.Time // just before
	account account
}

func (s *Source) attempt(priority quota.Priority, why string) *quota.Attempt {
	c := s.client
	return &quota.Attempt{
		ID: uuid.NewString(), Priority: priority, Organization: s.cred.Organization,
		Scopes: []quota.Scope{quota.Tenant, s.scopes.audience, s.scopes.credentials},
		By:     c.cache.locker.ID(), Why: why, For: s.id,
	}
}

// ask sends the request of an attempt. It goes on if ctx ends, since the token
// may be issued already, and it has a deadline of its own.
func (s *Source) ask(ctx context.Context, within time.Duration, attempt *quota.Attempt, direct bool) request {
	c := s.client
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	r := request{sent: time.Now()}
	r.answer = s.cred.request(sending, c.cache.rt)
	received := time.Now()
	r.verdict = classify(r.answer, s.scopes)
	r.account = account{attempt: attempt, received: received, direct: direct, answer: quota.Answer{
		Outcome: r.verdict.outcome, Header: r.answer.header, Took: r.answer.took, Status: r.status(), Blocks: r.verdict.blocks,
	}}

	limits, _ := quota.ClientLimits(r.answer.header)
	info := RequestedInfo{
		Client: c.label, Audience: s.cred.Audience, Why: attempt.Why, Priority: attempt.Priority, Direct: direct,
		Took: r.answer.took, Status: r.answer.status, Limits: limits, Life: r.verdict.grant.life,
	}
	if r.verdict.class == "" {
		c.log(slog.LevelInfo, "got a token", slog.String("why", attempt.Why), slog.Duration("took", r.answer.took),
			slog.Duration("life", r.verdict.grant.life), slog.String("quota", limits.String()))
	} else {
		info.Err = newRequestError(r.answer, r.verdict, time.Time{})
		c.log(slog.LevelWarn, "the token request failed", slog.String("why", attempt.Why), slog.Any("error", info.Err))
	}
	tell(c.cache, c.cache.opts.Trace.Requested, info)
	return r
}

// status is the result in a few words, for the journal.
func (r request) status() string {
	switch v := r.verdict; {
	case v.class == "":
		return "200"
	case r.answer.status == 0:
		return string(v.class)
	case v.code != "":
		return string(v.class) + " " + v.code
	default:
		return string(v.class)
	}
}

// granted makes the record of a token that was just issued.
func (s *Source) granted(g grant, epoch int64) record {
	return record{epoch: epoch, body: body{
		Token: g.token, Type: g.kind, TTL: g.life.Milliseconds(), By: s.client.cache.locker.ID(), Extra: g.extra,
	}}
}

// refuse deals with a request that brought no token.
func (s *Source) refuse(r request, priority quota.Priority) {
	c := s.client
	until := c.punish(r.verdict.blocks)
	if b := c.blocked(s); b != nil { // with the fleet's own word, if that is longer
		until = time.Now().Add(b.RetryIn)
	}
	err := newRequestError(r.answer, r.verdict, c.cache.wall().Add(time.Until(until)))
	c.mu.Lock()
	defer c.mu.Unlock()
	s.hold(&failure{err: err, until: until}, priority == quota.Forced)
}

// deny deals with a request that may not be sent.
func (s *Source) deny(denied *quota.DeniedError) {
	c := s.client
	c.log(slog.LevelInfo, "no token request for now", slog.String("priority", denied.Priority.String()), slog.Any("error", denied))
	tell(c.cache, c.cache.opts.Trace.Denied, DeniedInfo{Client: c.label, Audience: s.cred.Audience, Err: denied})
	c.mu.Lock()
	defer c.mu.Unlock()
	s.hold(&failure{err: denied, until: time.Now().Add(denied.RetryIn)}, denied.Priority == quota.Forced)
}

// hold lets s rest until a failure is over. Callers who have a valid token do
// not notice. The caller holds mu.
func (s *Source) hold(f *failure, forced bool) {
	h := s.valid()
	switch {
	case forced && h != nil:
		// The one there is is good enough until somebody rejects it again: a
		// forced renewal is not repeated by itself.
		f.final = true
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
		s.failure = f
		s.scheduleAt(f.until)
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
			s.refusal, s.unwanted = f, nil
		}
		s.schedule(pause)
	} else {
		s.failure = f
		s.scheduleAt(f.until)
	}
	s.tell()
}

func (s *Source) tellAdopted(h *held, requested bool) {
	c := s.client
	c.log(slog.LevelDebug, "a new token is in use", slog.Bool("requested", requested), slog.String("by", h.record.body.By), slog.Duration("left", h.left))
	tell(c.cache, c.cache.opts.Trace.Adopted, AdoptedInfo{
		Client: c.label, Audience: s.cred.Audience, Requested: requested, By: h.record.body.By, Epoch: h.record.epoch, Left: h.left,
	})
}
