package tokencache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// A client is one OAuth client in this process. Its tokens share the lease, the
// ledger and the blocks, so they share a state, and at most one refresh is in
// progress. When none is due there is no goroutine, only a timer.
type client struct {
	host     *host
	reporter reporter
	names    store.Names
	store    *store.Store
	ledger   *quota.Ledger

	refreshDue func()                         // refreshes what is due
	subscribe  func(unwanted <-chan struct{}) // receives notifications until unwanted is closed

	// mu guards the rest. Only apply locks it.
	mu         sync.Mutex
	state      replica.State
	sources    []*source // by the id that state has for them; nil for one that is gone
	timer      *time.Timer
	refreshing bool
	rested     chan struct{} // closed when the refresh in progress is over
	refreshed  bool          // a refresh was started at some time
	listening  bool          // there is a subscription, or one is being opened
	unwanted   chan struct{} // closed when it is wanted no longer; nil after that

	turn     turn          // of the refresh in progress
	begun    chan struct{} // closed when the first refresh has its turn
	begunBy  sync.Once
	probed   chan struct{} // closed when the first refresh knows whether the fleet has a token
	probedBy sync.Once
}

// A source is one token of a client: how it is requested, and what callers are served
// from. It is the part of a [Source] that the client works on.
type source struct {
	id      int // in the state of the client
	cred    Credentials
	request endpoint.Request
	token   *store.Token

	scopes    endpoint.Scopes
	scopeList []quota.Scope // all that may hold back its requests

	held   atomic.Pointer[held]
	change chan struct{} // closed when a wait may be over; guarded by client.mu
	closed chan struct{} // closed when the source is
}

// newClient returns a client that does nothing yet. refreshDue and subscribe are to be
// set.
func newClient(h *host, names store.Names, label string) *client {
	ledger := quota.NewLedger(h.rdb, names.Quota, &quota.Options{Journal: names.Journal, Enforced: h.opts.EnforcedQuota})
	return &client{
		host: h, reporter: reporter{h, label}, names: names, ledger: ledger, store: store.New(h.rdb, names, ledger),
		begun: make(chan struct{}), probed: make(chan struct{}), rested: make(chan struct{}),
		state: replica.State{Terms: h.terms, Origin: h.origin.Round(0)},
	}
}

// add makes s one of the client's sources.
//
// Redis has the names of the scopes. One for a secret is made with the encryption key, so
// that no guess of the secret can be tested with it.
func (c *client) add(s *source, cred Credentials, token *store.Token, ring store.KeyRing) {
	asked := []string{cred.TokenURL, cred.ClientID, cred.ClientSecret, cred.Encoding.String()}
	s.cred, s.request, s.token, s.change, s.closed = cred, cred.request(), token, make(chan struct{}), make(chan struct{})
	s.scopes = endpoint.Scopes{
		Audience:    quota.Named("audience", token.ID),
		Credentials: quota.Named("credentials", ring.Name(asked...)),
		Request:     quota.Named("request", ring.Name(append(asked, token.ID)...)),
	}
	s.scopeList = []quota.Scope{quota.Client, quota.Tenant, s.scopes.Audience, s.scopes.Credentials, s.scopes.Request}
	if cred.Organization != "" {
		s.scopes.Organization = quota.Organization(cred.Organization)
		s.scopeList = append(s.scopeList, s.scopes.Organization)
	}
	c.apply(func(_ replica.Instant, state *replica.State) {
		if s.id = state.Add(token.ID, s.scopeList); s.id < len(c.sources) {
			c.sources[s.id] = s
		} else {
			c.sources = append(c.sources, s)
		}
	})
}

// remove makes s none of the client's sources any more. A refresh in progress is finished
// first.
func (c *client) remove(s *source) {
	c.apply(func(_ replica.Instant, state *replica.State) {
		close(s.closed)
		state.Close(s.id)
	})
}

// inUse reports whether the client has sources that are not closed, and whether a refresh
// is in progress.
func (c *client) inUse() (used, refreshing bool) {
	c.apply(func(replica.Instant, *replica.State) { used, refreshing = c.openSources() > 0, c.refreshing })
	return used, refreshing
}

// openSources returns how many sources are not closed. The caller is in apply.
func (c *client) openSources() (n int) {
	for id, s := range c.sources {
		if s != nil && !c.state.Tokens[id].Closed {
			n++
		}
	}
	return n
}

// forget forgets closed sources. A refresh in progress knows them by their ids, and
// callers that wait do. The caller is in apply.
func (c *client) forget() {
	if c.refreshing {
		return
	}
	for id, s := range c.sources {
		if s != nil && c.state.Forget(id) {
			c.sources[id] = nil
		}
	}
}

// applyTo is apply for what is about s and comes from outside a refresh. It does nothing
// if s is gone: its id may be that of another source.
func (c *client) applyTo(s *source, f func(now replica.Instant, state *replica.State)) {
	c.apply(func(now replica.Instant, state *replica.State) {
		if c.sources[s.id] == s {
			f(now, state)
		}
	})
}

// apply is how everything changes, and the only place that locks: it lets f change
// the state, publishes the tokens that callers are served from, starts what is due or
// arms the timer for it, and then, without the lock, logs and calls hooks. f must
// neither wait nor do I/O.
func (c *client) apply(f func(now replica.Instant, state *replica.State)) {
	c.mu.Lock()
	f(c.host.now(), &c.state)
	c.publish()
	notices := c.drain()
	c.forget()
	c.start(c.host.now())
	c.mu.Unlock()
	for _, n := range notices {
		c.reporter.deliver(n)
	}
}

// drain wakes the callers whose wait may be over, and returns what is to be logged.
func (c *client) drain() (notices []notice) {
	for _, n := range c.state.Drain() {
		s := c.sources[n.ID]
		if n.Kind != replica.Wake {
			notices = append(notices, notice{n, s.cred.Audience, s.token.ID})
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
		if s == nil {
			continue
		}
		t := &c.state.Tokens[id]
		if h := s.held.Load(); t.Held.Exists() && (h == nil || h.Held != t.Held) {
			s.held.Store(newHeld(c.host, h, t))
		}
	}
}

// start starts a refresh if one is due, and the subscription if it is wanted. If no
// refresh is due yet, the timer calls it when one is.
func (c *client) start(now replica.Instant) {
	if c.host.closed() {
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
		c.refreshing = c.host.spawn(c.refreshDue)
		c.refreshed = true
	case at != 0 && c.timer == nil:
		c.timer = time.AfterFunc(at-now.Mono, func() { c.apply(func(replica.Instant, *replica.State) {}) })
	case at != 0:
		c.timer.Reset(at - now.Mono)
	case c.timer != nil:
		c.timer.Stop()
	}
}

// subscribeIfWanted starts the subscription when it is wanted, and ends it when it is
// wanted no longer. The caller is in apply.
func (c *client) subscribeIfWanted(now replica.Instant) {
	wanted := c.host.opts.Subscribe && c.refreshed && c.openSources() > 0 || c.state.Wanted(now)
	switch {
	case wanted && !c.listening && (c.state.Answers() || c.host.opts.Subscribe): // or it would fail as well
		unwanted := make(chan struct{})
		if c.listening = c.host.spawn(func() { c.subscribe(unwanted) }); c.listening {
			c.unwanted = unwanted
		}
	case !wanted && c.listening && c.unwanted != nil:
		close(c.unwanted)
		c.unwanted = nil
	}
}

// due returns the tokens that want a refresh now, and whether callers wait for one. If
// none does, the refresh in progress is over.
func (c *client) due() (batch []*source, blocking bool) {
	c.apply(func(now replica.Instant, state *replica.State) {
		if !c.host.closed() {
			due, _ := state.Next(now)
			batch = c.sourcesOf(due)
			blocking = slices.ContainsFunc(due, func(id int) bool { return state.Tokens[id].Blocking(now) })
		}
		if c.refreshing = len(batch) > 0; !c.refreshing {
			close(c.rested)
			c.rested = make(chan struct{})
		}
	})
	return batch, blocking
}

// sourcesOf returns the sources with the given ids. The caller is in apply.
func (c *client) sourcesOf(ids []int) (batch []*source) {
	for _, id := range ids {
		batch = append(batch, c.sources[id])
	}
	return batch
}

// traced records a step of the refresh, for the tests that hold its order to the table of
// package trace.
func (c *client) traced(batch []*source, event string, detail ...any) {
	if c.host.trace == nil {
		return
	}
	for _, d := range detail {
		event += fmt.Sprint(":", d)
	}
	c.host.trace(c.names.Lock, event, idsOf(batch))
}

func idsOf(batch []*source) (ids []int) {
	for _, s := range batch {
		ids = append(ids, s.id)
	}
	return ids
}

// random is the random number of a transition.
func random() float64 { return rand.Float64() }
