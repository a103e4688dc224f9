package tokencache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fleettoken/fleettoken/quota"
)

// NewRedisClient returns a client with the options that we recommend, where
// opts leaves them at zero. A Cache works with any client, and bounds every call
// itself; with these options a call that is bounded is also given up, and a
// idle replica costs Redis less:
//
//   - deadlines of contexts are heeded, a dial waits five seconds and a reply one, and
//     one retry is enough; by default a Redis that swallows packets is dialled
//     twenty times, for a hundred seconds;
//   - connections are few, have small buffers, and are kept for about five minutes: so
//     a name that leads to another server is followed;
//   - the handshake leaves out what only Redis Enterprise answers, and a cluster
//     client does not download the list of all commands (90 kB each).
//
// It is a client of one node, of a Cluster (several addresses, or
// IsClusterMode), or of what Sentinels watch (MasterName).
//
// Nil options mean those of a Redis on this machine, at port 6379.
func NewRedisClient(opts *redis.UniversalOptions) redis.UniversalClient {
	var o redis.UniversalOptions
	if opts != nil {
		o = *opts
	}
	o.ContextTimeoutEnabled = true
	o.DialTimeout = cmp.Or(o.DialTimeout, 5*time.Second)
	o.DialerRetries = cmp.Or(o.DialerRetries, 1)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, time.Second)
	o.MaxRetries = cmp.Or(o.MaxRetries, 1)
	o.PoolSize = cmp.Or(o.PoolSize, 4)
	o.PipelinePoolSize = cmp.Or(o.PipelinePoolSize, -1)
	o.ConnMaxIdleTime = cmp.Or(o.ConnMaxIdleTime, -1)
	o.ConnMaxLifetime = cmp.Or(o.ConnMaxLifetime, 5*time.Minute)
	o.ConnMaxLifetimeJitter = cmp.Or(o.ConnMaxLifetimeJitter, time.Minute)
	o.ReadBufferSize = cmp.Or(o.ReadBufferSize, 8<<10)
	o.WriteBufferSize = cmp.Or(o.WriteBufferSize, 4<<10)
	o.DisableIdentity = true
	if o.MaintNotificationsConfig == nil {
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	if o.MasterName == "" && (len(o.Addrs) > 1 || o.IsClusterMode) {
		cluster := o.Cluster()
		cluster.DisableRoutingPolicies = true
		return redis.NewClusterClient(cluster)
	}
	return redis.NewUniversalClient(&o)
}

// maxStuck is how many calls to Redis may be left behind. A client that ignores
// its context goes on dialling for minutes; no more goroutines are given to it
// until it is through.
const maxStuck = 8

// call asks Redis, and returns when it answers, when ctx ends, or when the
// cache's timeout does, whatever the client's own options say.
func call[T any](ctx context.Context, h *host, f func(context.Context) (T, error)) (T, error) {
	var none T
	if h.stuck.Load() >= maxStuck {
		return none, redisError(errors.New("earlier calls have not returned yet"))
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, h.redisTimeout)
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	var alone atomic.Bool // one of the two sides has gone
	go func() {
		defer cancel() // after the result is there to be received
		value, err := f(ctx)
		results <- result{value, err}
		if alone.Swap(true) {
			h.stuck.Add(-1)
			if late, ok := any(value).(io.Closer); ok && err == nil {
				_ = late.Close() // the caller has left
			}
		}
	}()
	errNoAnswer := fmt.Errorf("no answer within %v", h.redisTimeout)
	r := result{err: errNoAnswer}
	select {
	case r = <-results:
	case <-ctx.Done():
		select {
		case r = <-results:
		default:
			if alone.Swap(true) { // it came in at the same time
				r = <-results
				break
			}
			h.stuck.Add(1)
		}
	}
	if caller.Err() != nil && (r.err == errNoAnswer || ofContext(r.err)) {
		r.err = &callerLeft{context.Cause(caller)}
	}
	if r.err != nil && !errors.Is(r.err, quota.ErrDenied) {
		h.reloadCluster(ctx)
		return none, h.redisError(r.err)
	}
	return r.value, r.err
}
