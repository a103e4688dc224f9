package tokencache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// This file is about Redis being away, and about what is made up for when it is
// back.

// An outage is what a client knows of the time since Redis went away.
type outage struct {
	failures int
	from     time.Time   // when requests past Redis may start, drawn once
	direct   []time.Time // when they were sent, the last hour's
}

// An account is what became of an attempt that Redis was not told of yet.
type account struct {
	attempt  *quota.Attempt
	answer   quota.Answer
	received time.Time
	direct   bool // it was never admitted
}

// maxAccounts bounds what is remembered of an outage.
const maxAccounts = 64

// away deals with a batch of sources that need Redis while it does not answer. A
// valid token is served on, and Redis is asked again after a while, at random.
// Without one, callers are refused at once, unless Options.RedisDownBudget lets this
// replica ask past Redis. What no error of Redis does is to look like a held
// lease, or like a fleet without a token.
func (c *client) away(ctx context.Context, batch []*Source, err error) {
	if c.cache.ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	c.outage.failures++
	n := c.outage.failures
	c.crowd(time.Now())
	if n == 1 && c.cache.opts.RedisDownBudget != nil {
		c.outage.from = time.Now().Add(rand.N(c.cache.opts.RedisDownBudget.Spread))
	}
	c.mu.Unlock()
	c.cache.lookAround(ctx) // the lease is not asked for by call
	if n == 1 {
		c.log(slog.LevelWarn, "Redis is away", slog.Any("error", err))
		tell(c.cache, c.cache.opts.Hooks.Redis, RedisInfo{Client: c.label, Err: err, Failures: n})
	}
	luck := rand.Float64()
	for _, s := range batch {
		c.mu.Lock()
		h, waits := s.valid(), s.awaited()
		c.mu.Unlock()
		switch {
		case s.onlyLooked():
		case h != nil:
			// The less is left, the more often: Redis may be back, and whoever
			// tries but once before the end may try in vain.
			left := h.plan.expire - h.age(c.cache.wall())
			s.endure(err, backoff(n, time.Second, min(20*time.Second, max(left/4, 100*time.Millisecond)), luck))
		case waits && c.cache.opts.RedisDownBudget != nil:
			c.direct(ctx, s, err)
		default:
			s.endure(err, backoff(n, 100*time.Millisecond, time.Second, luck))
		}
	}
}

// back notes that Redis does what it is asked to. That it can be read is not
// enough: there is no primary, or no memory, while nothing can be written.
func (c *client) back() {
	c.mu.Lock()
	failures := c.outage.failures
	c.outage.failures = 0
	c.mu.Unlock()
	if failures > 0 {
		c.log(slog.LevelInfo, "Redis is back", slog.Int("failures", failures))
		tell(c.cache, c.cache.opts.Hooks.Redis, RedisInfo{Client: c.label, Failures: failures})
	}
}

// catchUp tells Redis what it missed, and reports whether there was anything.
func (c *client) catchUp(ctx context.Context) bool {
	c.mu.Lock()
	accounts := c.accounts
	c.accounts = nil
	c.mu.Unlock()
	for i, a := range accounts {
		if !c.settle(ctx, a) {
			c.remember(accounts[i:]...)
			break
		}
	}
	return len(accounts) > 0
}

// account tells the ledger what became of an attempt, or remembers to.
func (c *client) account(ctx context.Context, a account) {
	if !c.settle(context.WithoutCancel(ctx), a) {
		c.remember(a)
	}
}

// settle tells the ledger what became of an attempt. Told twice, it counts once,
// as long as the ledger knows the attempt.
func (c *client) settle(ctx context.Context, a account) bool {
	blocked, err := call(ctx, c.cache, func(ctx context.Context) ([]quota.Blocked, error) {
		if a.direct { // count it first; a denial comes too late to matter
			if _, err := c.ledger.Admit(ctx, a.attempt); err != nil && !errors.Is(err, quota.ErrDenied) {
				return nil, err
			}
		}
		answer := a.answer
		if !a.received.IsZero() {
			answer.Age = time.Since(a.received)
		}
		return c.ledger.Observe(ctx, a.attempt, &answer)
	})
	if err != nil {
		return false
	}
	c.learn(blocked)
	return true
}

func (c *client) remember(accounts ...account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accounts = append(c.accounts, accounts...)
	if n := len(c.accounts) - maxAccounts; n > 0 {
		c.accounts = c.accounts[n:]
	}
}

// direct asks the token endpoint past Redis, within the budget of this replica.
// The answer goes to Redis when it is back: by the look that is due then.
func (c *client) direct(ctx context.Context, s *Source, away error) {
	if denied := c.blocked(s); denied != nil { // that costs nothing of the budget
		s.deny(denied)
		return
	}
	budget := c.cache.opts.RedisDownBudget
	now := time.Now()
	c.mu.Lock()
	o := &c.outage
	for len(o.direct) > 0 && now.Sub(o.direct[0]) >= time.Hour {
		o.direct = o.direct[1:]
	}
	var wait time.Time
	var why error
	switch {
	case now.Before(o.from):
		wait, why = o.from, fmt.Errorf("%w; this replica asks the token endpoint itself at %s", away, clock(c.cache.wall().Add(o.from.Sub(now))))
	case len(o.direct) >= budget.Requests:
		wait, why = o.direct[0].Add(time.Hour), fmt.Errorf("%w, and this replica's budget of %d token requests an hour past Redis is spent", away, budget.Requests)
	default:
		o.direct = append(o.direct, now)
	}
	if wait.IsZero() {
		c.mu.Unlock()
		c.askDirect(ctx, s)
		return
	}
	// Redis may be back before that moment.
	again := now.Add(backoff(o.failures, time.Second, 5*time.Second, rand.Float64()))
	if wait.Before(again) {
		again = wait
	}
	s.lack(&failure{err: why, until: again, hope: wait})
	s.tell()
	c.mu.Unlock()
}

func (c *client) askDirect(ctx context.Context, s *Source) {
	if denied := c.blocked(s); denied != nil {
		s.deny(denied)
		return
	}
	before := s.held.Load()
	done := s.ask(ctx, c.cache.terms.request, s.attempt(quota.Need, "cold"), true)
	c.remember(done.account)
	if done.verdict.class != "" {
		s.refuse(done, quota.Need)
		return
	}
	c.forget(s.scopeList)
	s.adoptAnswer(s.granted(done.verdict.grant), done, before)
	c.mu.Lock()
	s.schedule(backoff(1, time.Second, time.Second, rand.Float64())) // until the fleet has it
	c.mu.Unlock()
}
