package tokencache

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// A Cache shares tokens through Redis. It is safe for concurrent use.
type Cache struct {
	host // of all clients

	mu      sync.Mutex
	clients map[string]*client
	unused  map[string]*client // those whose last source was closed, as far as they are in clients
	sources map[string]*Source
}

// New returns a Cache that shares tokens through rdb. It does no I/O, so a
// process can start while Redis is down. The Redis client stays the caller's,
// who closes it after the Cache; see [NewRedisClient] for one that suits.
func New(rdb redis.UniversalClient, opts *Options) (*Cache, error) {
	if v := reflect.ValueOf(rdb); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("tokencache: no Redis client: give one, such as NewRedisClient makes")
	}
	c := &Cache{clients: make(map[string]*client), unused: make(map[string]*client), sources: make(map[string]*Source)}
	if err := c.host.init(rdb, opts); err != nil {
		return nil, fmt.Errorf("tokencache: %w", err)
	}
	return c, nil
}

// Source returns the fleet's token for cred. It does no I/O. Equal credentials
// get the same Source, and share their token with the Sources of equal
// credentials in every other process.
func (c *Cache) Source(cred Credentials) (*Source, error) {
	if err := cred.validate(c.opts.InsecureLoopback); err != nil {
		return nil, fmt.Errorf("tokencache: %w", err)
	}
	cred = cred.clone()
	ring, keyID := c.ring, ""
	if len(ring) == 0 {
		key, err := store.DeriveEncryptionKey(cred.ClientSecret, store.Hash(cred.TokenURL, cred.ClientID))
		if err != nil {
			return nil, fmt.Errorf("tokencache: %w", err)
		}
		ring, keyID = store.KeyRing{key}, key.ID()
	}
	id := cred.id(keyID)
	// Equal tokens requested with different secrets or in different forms are one token
	// to the fleet, and still two ways of requesting it here.
	local := store.Hash(id, cred.ClientSecret, cred.Encoding.String(), cred.DefaultLifetime.String(), fmt.Sprint(cred.Header))

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed() {
		return nil, fmt.Errorf("tokencache: %w", ErrClosed)
	}
	if s, ok := c.sources[local]; ok {
		return s, nil
	}
	c.forgetUnused()
	names := store.NamesFor(c.opts.Prefix, cred.TokenURL, cred.ClientID)
	cl, ok := c.clients[names.Lock]
	if !ok {
		cl = newClient(&c.host, names, clientLabel(cred.ClientID))
		cl.refreshDue, cl.subscribe = cl.refresh, cl.listen
		c.clients[names.Lock] = cl
	}
	s := &Source{client: cl}
	s.forget = func() { c.forget(local, names.Lock, s) }
	cl.add(&s.source, cred, store.NewToken(names, id, ring), ring)
	c.sources[local] = s
	return s, nil
}

// forget forgets a Source, and its client if it was the last one.
func (c *Cache) forget(local, lock string, s *Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sources[local] != s { // it was closed before
		return
	}
	delete(c.sources, local)
	s.client.remove(&s.source)
	c.unused[lock] = s.client
	c.forgetUnused()
}

// forgetUnused forgets clients without sources. One that still refreshes is kept: a source
// that comes back must not compete with it. The caller holds mu.
func (c *Cache) forgetUnused() {
	for lock, cl := range c.unused {
		used, refreshing := cl.inUse()
		if !used && !refreshing {
			delete(c.clients, lock)
		}
		if used || !refreshing {
			delete(c.unused, lock)
		}
	}
}

// Close ends the background work and waits for it. A token request that is
// under way is finished first, within RequestTimeout: the fleet has paid for
// it. Sources serve what they hold until it expires, and nothing new.
func (c *Cache) Close() error {
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.clients {
		cl.apply(func(replica.Instant, *replica.State) {}) // stops the timer
	}
	return nil
}

// String returns the name of this replica.
func (c *Cache) String() string { return "cache of replica " + c.locker.ID() }

// Format prints String, whatever the verb.
func (c *Cache) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
