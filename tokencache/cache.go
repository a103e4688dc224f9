package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/lock"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// A Cache shares tokens through Redis. It is safe for concurrent use.
type Cache struct {
	rdb    redis.UniversalClient
	opts   Options
	ring   store.KeyRing // empty: each client's own, from its secret
	terms  replica.Terms
	locker *lock.Locker
	rt     http.RoundTripper

	redisTimeout time.Duration
	stuck        atomic.Int32                             // calls to Redis that have not returned
	origin       time.Time                                // where replica.Instants count from
	wall         func() time.Time                         // time.Now, but where a test sets the clock wrong
	trace        func(c *client, event string, ids []int) // nil but in tests

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	life   sync.Mutex     // orders the start of work against Close
	work   sync.WaitGroup // background work

	mu      sync.Mutex
	clients map[string]*client
	sources map[string]*Source
}

// New returns a Cache that shares tokens through rdb. It does no I/O, so a
// process can start while Redis is down. The Redis client stays the caller's,
// who closes it after the Cache; see [NewRedisClient] for one that suits.
func New(rdb redis.UniversalClient, opts *Options) (*Cache, error) {
	if v := reflect.ValueOf(rdb); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("tokencache: no Redis client: give one, such as NewRedisClient makes")
	}
	c := &Cache{rdb: rdb, origin: time.Now(), wall: time.Now, clients: make(map[string]*client), sources: make(map[string]*Source)}
	var err error
	if c.opts, c.ring, err = opts.complete(); err != nil {
		return nil, fmt.Errorf("tokencache: %w", err)
	}
	c.redisTimeout, c.rt = c.opts.RedisTimeout, c.opts.Transport
	c.terms = replica.Terms{RenewBefore: c.opts.RenewBefore, RequestTimeout: c.opts.RequestTimeout, Lease: 2 * c.opts.RequestTimeout}
	if budget := c.opts.RedisDownBudget; budget != nil {
		c.terms.RedisDownRequests, c.terms.RedisDownSpread = budget.Requests, budget.Spread
	}
	c.locker, err = lock.New(rdb, &lock.Options{TTL: c.terms.Lease, Timeout: c.redisTimeout, Replica: c.opts.Replica})
	if err != nil {
		return nil, fmt.Errorf("tokencache: %w", err)
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
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
	if c.ctx.Err() != nil {
		return nil, fmt.Errorf("tokencache: %w", ErrClosed)
	}
	if s, ok := c.sources[local]; ok {
		return s, nil
	}
	names := store.NamesFor(c.opts.Prefix, cred.TokenURL, cred.ClientID)
	cl, ok := c.clients[names.Lock]
	if !ok {
		cl = newClient(c, names, clientLabel(cred.ClientID))
		c.clients[names.Lock] = cl
	}
	s := newSource(cl, cred, store.NewToken(names, id, ring))
	c.sources[local] = s
	return s, nil
}

// Close ends the background work and waits for it. A token request that is
// under way is finished first, within RequestTimeout: the fleet has paid for
// it. Sources serve what they hold until it expires, and nothing new.
func (c *Cache) Close() error {
	c.life.Lock()
	c.cancel(ErrClosed)
	c.life.Unlock()
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.clients {
		cl.apply(func(replica.Instant, *replica.State) {}) // stops the timer
	}
	return nil
}

// spawn runs f in the background, unless the cache is closed.
func (c *Cache) spawn(f func()) bool {
	c.life.Lock()
	defer c.life.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.work.Go(f)
	return true
}

// String returns the name of this replica.
func (c *Cache) String() string { return "cache of replica " + c.locker.ID() }

// Format prints String, whatever the verb.
func (c *Cache) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
