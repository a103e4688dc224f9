package tokencache

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

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
	heard := ear != nil // before the look, so nothing can be missed after it
	if len(batch) == 1 && c.cold(batch[0]) && !(heard && ear.rested) {
		if next, done := c.coldRound(ctx, batch[0], ear); done {
			return next
		}
	}

	// Look. Mostly, this is all: somebody else has renewed.
	views, err := c.look(ctx, batch...)
	if err != nil {
		c.away(ctx, batch, err)
		return ear
	}
	told := c.catchUp(ctx) // what was seen to be denied may be granted after that
	// A lease without an end, or with one beyond a lease's, is none: the locker
	// deals with that.
	left := views[0].lease
	held := left > 0 && left <= c.cache.terms.lease
	var todo []*Source
	for i, s := range batch {
		if s.take(ctx, views[i]) || s.onlyLooked() || c.holdsBack(s) || !held && !told && s.deniedAgain(views[i]) {
			continue
		}
		todo = append(todo, s)
	}
	switch {
	case len(todo) == 0:
		c.back()
		return ear
	case held:
		return c.standBy(ctx, todo, left, ear, heard)
	default:
		return c.try(ctx, todo, ear)
	}
}

// coldRound is the first round of a replica that has no token, when a whole fleet
// starts at once. Then there is nothing to see but whether somebody is asking
// already, which is one command where a look is six. It reports whether that
// was all.
func (c *client) coldRound(ctx context.Context, s *Source, ear *listener) (*listener, bool) {
	seen, err := c.glimpse(ctx, s)
	if err != nil {
		c.away(ctx, []*Source{s}, err)
		return ear, true
	}
	c.catchUp(ctx)
	switch {
	case seen.record:
		return ear, false
	case ear == nil:
		// Listen before waiting or trying, and see again after: the holder tells
		// when it is done, and then that is heard.
		ear, err = c.listen(ctx)
		return ear, err == nil
	case seen.lease:
		return c.standBy(ctx, []*Source{s}, c.cache.terms.lease, ear, true), true
	default:
		return c.try(ctx, []*Source{s}, ear), true
	}
}

// try takes the lease and asks, or waits for whoever was faster.
func (c *client) try(ctx context.Context, todo []*Source, ear *listener) *listener {
	if ear == nil && c.anyWaits(todo) {
		ear, _ = c.listen(ctx) // deaf, it looks more often
	}
	err := c.cache.locker.Do(ctx, c.names.Lock, func(ctx context.Context, lease *lock.Lease) error {
		return c.spend(ctx, lease, todo)
	})
	if held, ok := errors.AsType[*lock.HeldError](err); ok {
		// The ear was open before, and the holder has yet to say that it is done.
		return c.standBy(ctx, todo, held.Remaining, ear, ear != nil)
	}
	switch {
	case errors.Is(err, errShort): // and to call others would be of no use to them
	case err != nil:
		c.away(ctx, todo, c.cache.redisError(err))
	default:
		c.announce(ctx)
	}
	return ear
}

// take learns from a look, and reports whether that is all that s needs.
func (s *Source) take(ctx context.Context, v view) bool {
	c := s.client
	c.learn(v.blocked)
	c.mu.Lock()
	mine, adopted := s.merge(v)
	problem := v.problem
	c.mu.Unlock()
	if adopted != nil {
		s.tellAdopted(adopted, false)
	}
	if errors.Is(problem, seal.ErrUnknownKey) {
		c.log(slog.LevelError, "the fleet's token is sealed with a key that this replica does not have", slog.String("token", s.id))
		s.endure(ErrEncryptionKey, time.Minute)
		return true
	}
	if problem != nil {
		c.log(slog.LevelWarn, "the fleet's token in Redis is damaged, and is replaced", slog.String("token", s.id))
	}
	unsaved := false
	if mine != nil { // the fleet has lost it, or has an older one
		word, err := s.commit(ctx, mine.record, v.spoilt)
		if unsaved = err != nil || !kept(word); !unsaved {
			mine.shared.Store(true)
			c.log(slog.LevelInfo, "gave the fleet back its token", slog.String("token", s.id))
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if _, _, any := s.needs(); any {
		return false
	}
	switch h := s.valid(); {
	case h != nil && unsaved: // or somebody was faster
		s.schedule(min(h.look-h.age(c.cache.wall()), backoff(1, 5*time.Second, 5*time.Second, rand.Float64())))
	case h != nil:
		s.schedule(h.look - h.age(c.cache.wall()))
	default:
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
	denied.Priority = s.urgency()
	s.deny(denied)
	return true
}

// deniedAgain reports whether the ledger has denied somebody else what s needs, and
// nobody has asked since; if so, it lets s rest until that is over. Otherwise a
// whole fleet would take the lease, one after the other, to be told the same, and
// each would call all the others.
func (s *Source) deniedAgain(v view) bool {
	priority, _ := v.charge(s.urgency(), "")
	for _, denied := range v.denied {
		if denied.Priority == priority && slices.Contains(s.scopeList, denied.Scope) {
			s.client.note(denied)
			s.deny(denied)
			return true
		}
	}
	return false
}

// note keeps in mind that the whole client may ask for nothing, so that its other
// tokens need not take the lease to hear the same.
func (c *client) note(denied *quota.DeniedError) {
	if denied.Priority == quota.Need && (denied.Count > 0 || denied.Reason == quota.Spent) {
		c.mu.Lock()
		c.keep(*denied)
		c.mu.Unlock()
	}
}

// onlyLooked reports whether there is still a reason why s can have no token, so that
// to look whether the fleet has one again was all there was to do.
func (s *Source) onlyLooked() bool {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if !s.fails() {
		return false
	}
	s.failure.seen = time.Now()
	s.scheduleAt(s.failure.next())
	s.tell()
	return true
}

// cold reports whether s has no token, and callers that wait for one.
func (c *client) cold(s *Source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.valid() == nil && s.awaited() && !s.fails()
}

// anyWaits reports whether a caller waits for one of the sources.
func (c *client) anyWaits(todo []*Source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(todo, (*Source).awaited)
}

// spend asks the token endpoint for what is still needed, one token after the
// other, while this replica is the renewer. Those without a token come first. It
// returns errShort if there was no time for some.
func (c *client) spend(ctx context.Context, lease *lock.Lease, todo []*Source) error {
	// Look again, now that nobody else can ask: the last one may have.
	views, err := c.look(ctx, todo...)
	if err != nil {
		c.away(ctx, todo, err)
		return nil
	}
	type want struct {
		s        *Source
		v        view
		priority quota.Priority
	}
	var wants []want
	for i, s := range todo {
		if !s.take(ctx, views[i]) && !c.holdsBack(s) {
			wants = append(wants, want{s, views[i], s.urgency()})
		}
	}
	slices.SortStableFunc(wants, func(a, b want) int { return cmp.Compare(a.priority, b.priority) })

	for i, w := range wants {
		if lease.Remaining() < c.cache.terms.request*3/2 && lease.Extend(ctx) != nil || ctx.Err() != nil {
			var rest []*Source
			for _, w := range wants[i:] {
				rest = append(rest, w.s)
			}
			c.away(ctx, rest, errShort)
			return errShort
		}
		if c.holdsBack(w.s) { // the one before may have been refused
			continue
		}
		if slices.ContainsFunc(wants[:i], func(other want) bool { return other.s.key == w.s.key }) {
			views, err := c.look(ctx, w.s) // the same token by another way, and it may be there by now
			if err != nil {
				c.away(ctx, []*Source{w.s}, err)
				continue
			}
			if w.v = views[0]; w.s.take(ctx, w.v) {
				continue
			}
		}
		c.fetch(ctx, lease, w.s, w.v)
	}
	return nil
}

// errShort means that a token request did not fit into what was left of the
// lease. Trying again at once would end in the same way.
var errShort = redisError(errors.New("its replies took so long, or this process was stopped for so long, that the lease ended before the token request could be sent"))

// fetch sends one token request, if the ledger lets it, and gives the fleet what
// came of it.
func (c *client) fetch(ctx context.Context, lease *lock.Lease, s *Source, v view) {
	c.mu.Lock()
	priority, why, any := s.needs()
	before, floor := s.held.Load(), s.floor
	c.mu.Unlock()
	if !any {
		return // those who waited have left
	}
	forced := priority == quota.Forced
	priority, why = v.charge(priority, why)
	attempt := s.attempt(priority, why)
	admission, err := call(ctx, c.cache, func(ctx context.Context) (quota.Admission, error) { return c.ledger.Admit(ctx, attempt) })
	admitted := time.Now()
	if err != nil {
		if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
			c.back()
			c.note(denied)
			s.deny(denied)
			return
		}
		// It may have been counted, and is not sent. Redis is told when it is back.
		c.remember(account{attempt: attempt, answer: quota.Answer{Outcome: quota.Unsent, Status: "not admitted"}})
		c.away(ctx, []*Source{s}, err)
		return
	}

	// The request must be over before the lease is: nobody else may ask
	// meanwhile. A process that was stopped finds out here, and asks nothing; nor
	// does it spend a token on a request that has no time.
	within := min(c.cache.terms.request, lease.Remaining()-c.cache.terms.request/4)
	if within < c.cache.terms.request/2 || ctx.Err() != nil {
		c.account(ctx, account{attempt: attempt, answer: quota.Answer{Outcome: quota.Unsent, Status: "lease lost"}})
		c.away(ctx, []*Source{s}, errShort)
		return
	}
	c.back()
	done := s.ask(ctx, within, attempt, false)
	if done.answer.sent {
		defer c.pace(ctx, done.sent.mono)
	}
	if done.verdict.class != "" {
		c.account(ctx, done.account)
		s.refuse(done, priority)
		return
	}

	r := s.granted(done.verdict.grant)
	// It counts as issued when it was admitted, but after the one that it replaces,
	// even if the clock of Redis went back in between.
	r.issued = max(admission.Now, floor)
	if before != nil {
		r.issued = max(r.issued, before.record.issued+1)
	}
	r.body.Forced = forced
	r.expires = expiry(admission.Now, admitted, done.sent.mono, done.verdict.grant.life)
	// Those who wait here are served at once; the fleet a moment later. That is
	// paid for, so it is done even if this replica is told to stop.
	c.forget(s.scopeList)
	h := s.adoptAnswer(r, done, before)
	word, err := s.commit(context.WithoutCancel(ctx), r, v.spoilt)
	c.account(ctx, done.account)
	if err != nil {
		c.log(slog.LevelWarn, "the fleet could not be told of its new token yet", slog.Any("error", err))
		c.mu.Lock()
		s.schedule(backoff(1, time.Second, time.Second, rand.Float64())) // then the look repairs it
		c.mu.Unlock()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !kept(word) { // the lease was broken, and another one was faster
		s.schedule(0)
		return
	}
	if h != nil {
		h.shared.Store(true)
	}
	s.tell()
}
