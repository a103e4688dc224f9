package tokencache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/lock"
	"github.com/fleettoken/fleettoken/tokencache/internal/keys"
	"github.com/fleettoken/fleettoken/tokencache/internal/seal"
)

// The defaults of Options.
const (
	DefaultPrefix         = "fleettoken"
	DefaultRequestTimeout = 10 * time.Second
	DefaultRedisTimeout   = time.Second
	DefaultMaxWait        = 30 * time.Second
)

// Options configures a Cache. A nil *Options is ready for use. All replicas of
// a fleet should have the same ones, but for Replica and what observes.
type Options struct {
	// Prefix begins the name of every key in Redis. Empty means DefaultPrefix.
	Prefix string

	// Replica names this process in the lease and the journal, for people.
	// Empty means the host's name; an id of the process is added.
	Replica string

	// RenewBefore is how long before its expiry a token is renewed. Zero means
	// an hour, and a quarter of the lifetime of tokens that live less than four
	// hours. Longer survives a longer outage of the token endpoint, and spends
	// more of the quota.
	RenewBefore time.Duration

	// RequestTimeout bounds a token request. Zero means DefaultRequestTimeout.
	// The lease lasts twice as long, so that is how long a renewer that dies
	// holds up the others; a token that is still valid is served meanwhile.
	RequestTimeout time.Duration

	// RedisTimeout bounds each call to Redis. Zero means DefaultRedisTimeout.
	RedisTimeout time.Duration

	// MaxWait is how long a caller without a deadline waits for a moment that
	// is known to come, such as the end of a block. A caller with a deadline
	// waits until then. Beyond it the caller gets an error at once, which names
	// the moment. Zero means DefaultMaxWait.
	MaxWait time.Duration

	// SealKeys are the keys that the tokens in Redis are sealed with, 32 random
	// bytes each. The first seals, all of them open, so that keys can be
	// rotated: add the new one at the end everywhere, then move it to the front
	// everywhere, then remove the old one. None means a key derived from the
	// client secret; then a new secret comes with a new record, and whoever may
	// ask for a token may read the one that is there. A secret that can be
	// guessed can be guessed from a copy of Redis: give keys if yours may be.
	SealKeys [][]byte

	// Transport sends token requests, such as through a proxy or with a
	// certificate authority of one's own. Nil means HTTPS over a connection
	// that is used once. It must not repeat a request, as each may cost a token.
	Transport http.RoundTripper

	// InsecureLoopback lets token URLs and APIs be plain http, if their host is
	// a loopback address. It is for tests.
	InsecureLoopback bool

	// EnforcedQuota says that the server is known to refuse what exceeds the
	// quota. Zero means that it is found out, at the price of one refused
	// request a week if the quota is spent; see quota.Options.
	EnforcedQuota bool

	// Direct lets a replica without a valid token ask the token endpoint itself
	// while Redis is away. Nil means that it does not: then Token fails at once.
	// It risks that every replica of the fleet asks, each within its budget.
	Direct *Direct

	// Listen keeps one connection per client open for news, so that a renewal
	// or rotation by another replica arrives at once, also while nobody waits.
	// It costs Redis a connection per replica, and no command but the look that
	// follows the news, which there would be anyway. Zero means that a replica
	// looks when renewal is due or the API refuses the token, and listens only
	// while a caller waits.
	Listen bool

	// Logger is told when something changes, and never of a token or a secret.
	// Nil means silence.
	Logger *slog.Logger

	// Trace is told what happens. Nil means nobody is.
	Trace *Trace
}

// Direct is the budget for token requests past Redis.
type Direct struct {
	// Requests is how many of them one replica may send in an hour. Zero means
	// one.
	Requests int

	// Spread is the time within which a replica starts to ask, at random, so
	// that a fleet does not ask as one. Zero means ten seconds.
	Spread time.Duration
}

// A Cache shares tokens through Redis. It is safe for concurrent use.
type Cache struct {
	rdb    redis.UniversalClient
	opts   Options
	ring   seal.Ring // empty: each client's own, from its secret
	terms  terms
	locker *lock.Locker
	rt     http.RoundTripper

	redisTimeout time.Duration
	stuck        atomic.Int32     // calls to Redis that have not returned
	wall         func() time.Time // time.Now, but where a test sets the clock wrong

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	life   sync.Mutex     // orders the start of work against Close
	work   sync.WaitGroup // background work

	mu      sync.Mutex
	clients map[string]*client
	sources map[string]*Source
}

// New returns a Cache that shares tokens through rdb. It does no I/O, so a
// process can start while Redis is away. The Redis client stays the caller's,
// who closes it after the Cache; see [NewRedisClient] for one that suits.
func New(rdb redis.UniversalClient, opts *Options) (*Cache, error) {
	if rdb == nil {
		return nil, errors.New("tokencache: no Redis client: give one, such as NewRedisClient makes")
	}
	c := &Cache{rdb: rdb, wall: time.Now, clients: make(map[string]*client), sources: make(map[string]*Source)}
	if opts != nil {
		c.opts = *opts
	}
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("tokencache: %w", err)
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c, nil
}

func (c *Cache) complete() error {
	o := &c.opts
	for name, d := range map[string]time.Duration{
		"RenewBefore": o.RenewBefore, "RequestTimeout": o.RequestTimeout, "RedisTimeout": o.RedisTimeout, "MaxWait": o.MaxWait,
	} {
		if d < 0 {
			return fmt.Errorf("Options.%s is %v: it cannot be negative", name, d)
		}
	}
	o.Prefix = cmp.Or(o.Prefix, DefaultPrefix)
	if strings.ContainsAny(o.Prefix, "{} \n") {
		return fmt.Errorf("Options.Prefix is %q: leave out braces and blanks, which would break the names of keys", o.Prefix)
	}
	o.RequestTimeout = cmp.Or(o.RequestTimeout, DefaultRequestTimeout)
	if o.RequestTimeout < 500*time.Millisecond {
		return fmt.Errorf("Options.RequestTimeout is %v: a lease lasts twice as long and needs a second at least", o.RequestTimeout)
	}
	c.redisTimeout = cmp.Or(o.RedisTimeout, DefaultRedisTimeout)
	o.MaxWait = cmp.Or(o.MaxWait, DefaultMaxWait)
	if o.Direct != nil {
		direct := *o.Direct
		if direct.Requests < 0 || direct.Spread < 0 {
			return errors.New("Options.Direct has a negative field")
		}
		direct.Requests = cmp.Or(direct.Requests, 1)
		direct.Spread = cmp.Or(direct.Spread, 10*time.Second)
		o.Direct = &direct
	}
	for i, secret := range o.SealKeys {
		key, err := seal.New(secret)
		if err != nil {
			return fmt.Errorf("Options.SealKeys[%d]: %w: make one with: openssl rand 32", i, err)
		}
		c.ring = append(c.ring, key)
	}
	o.SealKeys = nil // not needed any more, so not kept
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Trace == nil {
		o.Trace = &Trace{}
	}
	if c.rt = o.Transport; c.rt == nil {
		c.rt = endpointTransport()
	}
	c.terms = terms{renewBefore: o.RenewBefore, request: o.RequestTimeout, lease: 2 * o.RequestTimeout}
	var err error
	c.locker, err = lock.New(c.rdb, &lock.Options{TTL: c.terms.lease, Timeout: c.redisTimeout, Replica: o.Replica})
	return err
}

// Source returns the fleet's token for cred. It does no I/O. Equal credentials
// get the same Source, and share their token with the Sources of equal
// credentials in every other process.
func (c *Cache) Source(cred Credentials) (*Source, error) {
	if err := cred.check(c.opts.InsecureLoopback); err != nil {
		return nil, fmt.Errorf("tokencache: %w", err)
	}
	cred = cred.clone()
	ring, sealedBy := c.ring, ""
	if len(ring) == 0 {
		key, err := seal.Derive(cred.ClientSecret, keys.Hash(cred.TokenURL, cred.ClientID))
		if err != nil {
			return nil, fmt.Errorf("tokencache: %w", err)
		}
		ring, sealedBy = seal.Ring{key}, key.ID()
	}
	id := cred.id(sealedBy)
	// Equal tokens asked for with different secrets or in different forms are
	// one token to the fleet, and still two ways of asking here.
	local := keys.Hash(id, cred.ClientSecret, fmt.Sprint(int(cred.Encoding)))

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil, fmt.Errorf("tokencache: %w", ErrClosed)
	}
	if s, ok := c.sources[local]; ok {
		return s, nil
	}
	names := keys.ForClient(c.opts.Prefix, cred.TokenURL, cred.ClientID)
	cl, ok := c.clients[names.Lock]
	if !ok {
		cl = newClient(c, names, clientLabel(cred.ClientID))
		c.clients[names.Lock] = cl
	}
	s := newSource(cl, cred, ring, id)
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
	for _, s := range c.sources {
		s.client.mu.Lock()
		s.rest()
		s.client.mu.Unlock()
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
