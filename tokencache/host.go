package tokencache

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/lock"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// A host is what the clients of one Cache share: its options, its clocks, its connections
// and its background work.
type host struct {
	opts   Options
	ring   store.KeyRing // empty: each client's own, from its secret
	terms  replica.Terms
	rdb    redis.UniversalClient
	locker *lock.Locker
	rt     http.RoundTripper

	redisTimeout time.Duration
	stuck        atomic.Int32                             // calls to Redis that have not returned
	turns        turns                                    // of the refreshes
	origin       time.Time                                // where replica.Instants count from
	wall         func() time.Time                         // time.Now, but where a test sets the clock wrong
	trace        func(client, event string, tokens []int) // nil but in tests

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	life   sync.Mutex     // orders the start of work against Close
	work   sync.WaitGroup // background work
}

// init makes a host of options that need not be complete.
func (h *host) init(rdb redis.UniversalClient, opts *Options) (err error) {
	if h.opts, h.ring, err = opts.complete(); err != nil {
		return err
	}
	h.rdb, h.rt, h.redisTimeout = rdb, h.opts.Transport, h.opts.RedisTimeout
	h.origin, h.wall = time.Now(), time.Now
	h.terms = replica.Terms{RenewBefore: h.opts.RenewBefore, RequestTimeout: h.opts.RequestTimeout, Lease: 2 * h.opts.RequestTimeout}
	if budget := h.opts.RedisDownBudget; budget != nil {
		h.terms.RedisDownRequests, h.terms.RedisDownSpread = budget.Requests, budget.Spread
	}
	h.locker, err = lock.New(rdb, &lock.Options{TTL: h.terms.Lease, Timeout: h.redisTimeout, Replica: h.opts.Replica})
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	return err
}

// now reads both clocks.
func (h *host) now() replica.Instant {
	return replica.Instant{Mono: time.Since(h.origin), Wall: h.wall().Round(0).Sub(h.origin.Round(0))}
}

// closed reports whether the Cache was closed.
func (h *host) closed() bool { return h.ctx.Err() != nil }

// spawn runs f in the background, unless the Cache is closed.
func (h *host) spawn(f func()) bool {
	h.life.Lock()
	defer h.life.Unlock()
	if h.closed() {
		return false
	}
	h.work.Go(f)
	return true
}

// stop ends the background work and waits for it.
func (h *host) stop() {
	h.life.Lock()
	h.cancel(ErrClosed)
	h.life.Unlock()
	h.work.Wait()
}
