package tokencache

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// A client is one OAuth client in this process. Its tokens share the lease, the
// ledger and the blocks, so they share a state, and at most one refresh is in
// progress. When none is due there is no goroutine, only a timer.
type client struct {
	cache  *Cache
	label  string
	names  store.Names
	store  *store.Store
	ledger *quota.Ledger

	// mu guards the rest. Only apply locks it.
	mu         sync.Mutex
	state      replica.State
	sources    []*Source // by the id that state has for them
	timer      *time.Timer
	refreshing bool
	refreshed  bool          // a refresh was started at some time
	listening  bool          // there is a subscription, or one is being opened
	unwanted   chan struct{} // closed when it is wanted no longer; nil after that

	probed   chan struct{} // closed when the first refresh knows whether the fleet has a token
	probedBy sync.Once
}

func newClient(c *Cache, names store.Names, label string) *client {
	ledger := quota.NewLedger(c.rdb, names.Quota, &quota.Options{Journal: names.Journal, Enforced: c.opts.EnforcedQuota})
	return &client{
		cache: c, label: label, names: names, ledger: ledger, store: store.New(c.rdb, names, ledger), probed: make(chan struct{}),
		state: replica.State{Terms: c.terms, Origin: c.origin.Round(0)},
	}
}

// apply is how everything changes, and the only place that locks: it lets f change
// the state, publishes the tokens that callers are served from, starts what is due or
// arms the timer for it, and then, without the lock, logs and calls hooks. f must
// neither wait nor do I/O.
func (c *client) apply(f func(now replica.Instant, state *replica.State)) {
	c.mu.Lock()
	f(c.cache.now(), &c.state)
	c.publish()
	notices := c.drain()
	c.start(c.cache.now())
	c.mu.Unlock()
	for _, n := range notices {
		c.deliver(n)
	}
}

// drain wakes the callers whose wait may be over, and returns what is to be logged.
func (c *client) drain() (notices []notice) {
	for _, n := range c.state.Drain() {
		s := c.sources[n.ID]
		if n.Kind != replica.Wake {
			notices = append(notices, notice{n, s})
			continue
		}
		close(s.change)
		s.change = make(chan struct{})
	}
	return notices
}

// publish makes the tokens of the state those that callers are served from.
func (c *client) publish() {
	for id, s := range c.sources {
		t := &c.state.Tokens[id]
		if h := s.held.Load(); t.Held.Exists() && (h == nil || h.Held != t.Held) {
			s.held.Store(newHeld(c.cache, h, t))
		}
	}
}

// start starts a refresh if one is due, and the subscription if it is wanted. If no
// refresh is due yet, the timer calls it when one is.
func (c *client) start(now replica.Instant) {
	if c.cache.ctx.Err() != nil {
		if c.timer != nil {
			c.timer.Stop()
		}
		return
	}
	c.subscribeIfWanted(now)
	if c.refreshing { // it asks what is due when it is done
		return
	}
	switch due, at := c.state.Next(now); {
	case len(due) > 0:
		c.refreshing = c.cache.spawn(c.refresh)
		c.refreshed = true
	case at != 0 && c.timer == nil:
		c.timer = time.AfterFunc(at-now.Mono, func() { c.apply(func(replica.Instant, *replica.State) {}) })
	case at != 0:
		c.timer.Reset(at - now.Mono)
	case c.timer != nil:
		c.timer.Stop()
	}
}

// due returns the tokens that want a refresh now. If none does, the refresh in
// progress is over.
func (c *client) due() (batch []*Source) {
	c.apply(func(now replica.Instant, state *replica.State) {
		if c.cache.ctx.Err() == nil {
			due, _ := state.Next(now)
			batch = c.sourcesOf(due)
		}
		c.refreshing = len(batch) > 0
	})
	return batch
}

// sourcesOf returns the sources with the given ids. The caller is in apply.
func (c *client) sourcesOf(ids []int) (batch []*Source) {
	for _, id := range ids {
		batch = append(batch, c.sources[id])
	}
	return batch
}

// traced records a step of the refresh, for the tests that hold its order to the table of
// package trace.
func (c *client) traced(batch []*Source, event string, detail ...any) {
	if c.cache.trace == nil {
		return
	}
	for _, d := range detail {
		event += fmt.Sprint(":", d)
	}
	c.cache.trace(c, event, idsOf(batch))
}

func idsOf(batch []*Source) (ids []int) {
	for _, s := range batch {
		ids = append(ids, s.id)
	}
	return ids
}

// random is the random number of a transition.
func random() float64 { return rand.Float64() }
