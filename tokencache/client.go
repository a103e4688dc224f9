package tokencache

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/keys"
)

// A client is what the tokens of one OAuth client share in this process: the
// lease, the ledger, what is blocked, and the flight, which is the goroutine
// that brings them up to date. At rest there is none: a timer for each source
// starts it when one is due.
type client struct {
	cache  *Cache
	names  keys.Client
	label  string
	ledger *quota.Ledger

	poke chan struct{} // tells a waiting flight that something is due

	// mu is held for moments, never across I/O or a wait.
	mu        sync.Mutex
	sources   []*Source
	flying    bool
	following bool // Options.Subscribe is at work
	blocks    map[quota.Scope]block
	accounts  []account // of requests that Redis could not be told of yet
	outage    outage
	crowded   time.Time // until then, many may want to ask who had to wait
}

// A block is this replica's own copy of what is blocked: losing the fleet's
// starts no storm.
type block struct {
	quota.DeniedError // as it was when it was seen
	until             time.Time
}

func newClient(c *Cache, names keys.Client, label string) *client {
	return &client{
		cache: c, names: names, label: label,
		ledger: quota.NewLedger(c.rdb, names.Quota, &quota.Options{Journal: names.Journal, Enforced: c.opts.EnforcedQuota}),
		poke:   make(chan struct{}, 1),
		blocks: make(map[quota.Scope]block),
	}
}

// wake starts the flight, or tells it that something is due. The caller holds
// mu.
func (c *client) wake() {
	if c.flying {
		select {
		case c.poke <- struct{}{}:
		default:
		}
		return
	}
	c.flying = c.cache.spawn(c.fly)
	if c.flying && c.cache.opts.Subscribe && !c.following {
		c.following = c.cache.spawn(c.follow)
	}
}

// fly brings the sources up to date, round by round, until none is due.
func (c *client) fly() {
	ctx := c.cache.ctx
	var ear *listener
	defer func() {
		if ear != nil {
			ear.close()
		}
	}()
	for {
		batch := c.due()
		if len(batch) == 0 {
			return
		}
		ear = c.round(ctx, batch, ear)
	}
}

// due returns the sources that want something now. If there are none, or the
// cache is closed, the flight is over: whoever comes next starts another one.
func (c *client) due() []*Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	var batch []*Source
	now := time.Now()
	for _, s := range c.sources {
		if !s.at.IsZero() && !s.at.After(now) {
			if s.idle() {
				s.rest()
				continue
			}
			batch = append(batch, s)
		}
	}
	if c.cache.ctx.Err() != nil {
		batch = nil
	}
	c.flying = len(batch) > 0
	return batch
}

// learn keeps a copy of the blocks that are on.
func (c *client) learn(blocked []quota.Blocked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range blocked {
		c.keep(quota.DeniedError{Scope: b.Scope, Reason: b.Reason, Count: b.Count, RetryIn: b.Remaining})
	}
}

// keep keeps a copy of one, unless there is one that lasts longer. The caller holds
// mu.
func (c *client) keep(denied quota.DeniedError) {
	until := time.Now().Add(denied.RetryIn)
	if known, ok := c.blocks[denied.Scope]; ok && known.until.After(until) {
		return
	}
	c.blocks[denied.Scope] = block{denied, until}
	c.crowd(until)
}

// crowd notes that many may want to ask from a moment on, when what held them up
// is over. The caller holds mu.
func (c *client) crowd(from time.Time) {
	if until := from.Add(time.Minute); until.After(c.crowded) {
		c.crowded = until
	}
}

// pace keeps those apart who were held up together: whoever has asked for a token
// keeps the lease for a while, so that the fleet asks for two in a second at most.
// Otherwise the tenant's own limit, which has a second as well, would be next.
func (c *client) pace(ctx context.Context, asked time.Time) {
	c.mu.Lock()
	now := time.Now()
	crowded := now.Before(c.crowded)
	for _, whole := range []quota.Scope{quota.Client, quota.Tenant} {
		crowded = crowded && !c.blocks[whole].until.After(now) // else nobody asks next, and all shall hear of it
	}
	c.mu.Unlock()
	if !crowded {
		return
	}
	select {
	case <-time.After(time.Until(asked.Add(500 * time.Millisecond))):
	case <-ctx.Done():
	}
}

// forget drops the blocks that a success has disproved.
func (c *client) forget(scopes []quota.Scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, scope := range scopes {
		delete(c.blocks, scope)
	}
}

// punish keeps blocks of this replica's own making, where the fleet has none:
// since Redis could not be told, or takes the trouble for ours alone. It returns
// when the last of them ends.
func (c *client) punish(blocks []quota.Block) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	last := now
	for _, b := range blocks {
		mine := c.blocks[b.Scope]
		if !mine.until.After(now) {
			wait := b.Backoff(mine.Count + 1)
			wait += rand.N(min(wait/10, 30*time.Second) + 1)
			mine = block{quota.DeniedError{Scope: b.Scope, Reason: b.Reason, Count: mine.Count + 1}, now.Add(wait)}
			c.blocks[b.Scope] = mine
		}
		if mine.until.After(last) {
			last = mine.until
		}
	}
	return last
}

// blocked returns the block that holds s back longest, if any does.
func (c *client) blocked(s *Source) *quota.DeniedError {
	c.mu.Lock()
	defer c.mu.Unlock()
	var worst block
	for _, scope := range s.scopeList {
		if b, ok := c.blocks[scope]; ok && b.until.After(worst.until) {
			worst = b
		}
	}
	left := time.Until(worst.until)
	if left <= 0 {
		return nil
	}
	denied := worst.DeniedError
	denied.RetryIn, denied.RetryAt = left, c.cache.wall().Add(left)
	return &denied
}

// announce tells those who wait that the lease is free, and that there may be
// something to see. It is a hint, so a failure is none.
func (c *client) announce(ctx context.Context) {
	_, _ = call(context.WithoutCancel(ctx), c.cache, func(ctx context.Context) (int64, error) {
		return c.cache.rdb.Publish(ctx, c.names.News, lookNews).Result()
	})
}

// log says what has changed.
func (c *client) log(level slog.Level, message string, attrs ...slog.Attr) {
	defer func() { _ = recover() }() // a handler that panics must not end the flight
	c.cache.opts.Logger.LogAttrs(context.Background(), level, message, append([]slog.Attr{slog.String("client", c.label)}, attrs...)...)
}
