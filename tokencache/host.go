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
	origin       time.Time                                // where replica.Instants count from
	wall         func() time.Time                         // time.Now, but where a test sets the clock wrong
	trace        func(client, event string, tokens []int) // nil but in tests

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	life   sync.Mutex     // orders the start of work against Close
	work   sync.WaitGroup // background work
}

// init makes a host of options that need not be complete.
func (o *host) init(rdb redis.UniversalClient, opts *Options) (err error) {
	if o.opts, o.ring, err = opts.complete(); err != nil {
		return err
	}
	o.rdb, o.rt, o.redisTimeout = rdb, o.opts.Transport, o.opts.RedisTimeout
	o.origin, o.wall = time.Now(), time.Now
	o.terms = replica.Terms{RenewBefore: o.opts.RenewBefore, RequestTimeout: o.opts.RequestTimeout, Lease: 2 * o.opts.RequestTimeout}
	if budget := o.opts.RedisDownBudget; budget != nil {
		o.terms.RedisDownRequests, o.terms.RedisDownSpread = budget.Requests, budget.Spread
	}
	o.locker, err = lock.New(rdb, &lock.Options{TTL: o.terms.Lease, Timeout: o.redisTimeout, Replica: o.opts.Replica})
	o.ctx, o.cancel = context.WithCancelCause(context.Background())
	return err
}

// now reads both clocks.
func (o *host) now() replica.Instant {
	return replica.Instant{Mono: time.Since(o.origin), Wall: o.wall().Round(0).Sub(o.origin.Round(0))}
}

// closed reports whether the Cache was closed.
func (o *host) closed() bool { return o.ctx.Err() != nil }

// spawn runs f in the background, unless the Cache is closed.
func (o *host) spawn(f func()) bool {
	o.life.Lock()
	defer o.life.Unlock()
	if o.closed() {
		return false
	}
	o.work.Go(f)
	return true
}

// stop ends the background work and waits for it.
func (o *host) stop() {
	o.life.Lock()
	o.cancel(ErrClosed)
	o.life.Unlock()
	o.work.Wait()
}
