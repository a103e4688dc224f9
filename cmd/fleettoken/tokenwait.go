package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/fromenv"
)

// patience is how long a person waits before the command says what it waits for.
const patience = 3 * time.Second

// A tokenWait is a person's wait for a token. The library waits as a service does: it
// reports nothing until the caller's deadline. A person sees what goes wrong meanwhile,
// and does not have to wait for what only a person can put right.
type tokenWait struct {
	stop context.CancelCauseFunc // ends the wait

	requested atomic.Bool // a token request was sent, so another try may cost a second one

	mu    sync.Mutex
	last  error // why the last token request brought no token, or was not sent
	redis error // why Redis cannot be used; nil if it can
}

// waitFor joins the fleet and calls f, which waits for a token, with a context
// that ends after the timeout of the command line.
func (a *app) waitFor(ctx context.Context, c *config, f func(context.Context, *fleet) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.flags.timeout, fmt.Errorf("nothing came within %v (--timeout)", a.flags.timeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := &tokenWait{stop: stop}

	waiting := &config{Config: new(fromenv.Config), redisFrom: c.redisFrom}
	*waiting.Config = *c.Config
	waiting.Options.Hooks = &tokencache.Hooks{
		Requested: func(info tokencache.RequestedInfo) { w.requested.Store(true); w.note(info.Err) },
		Denied:    func(info tokencache.DeniedInfo) { w.note(info.Err) },
		Redis:     func(info tokencache.RedisInfo) { w.noteRedis(info.Err) },
	}
	waiting.Options.RequestTimeout = requestTimeout(c.Options.RequestTimeout, a.flags.timeout)
	fleet, err := waiting.join()
	if err != nil {
		return err
	}
	defer fleet.close()
	stopSaying := a.sayAfterPatience(func() string {
		reason := ""
		if err := cmp.Or(w.redisError(), w.lastError()); err != nil {
			reason = ": " + err.Error()
		}
		return "still waiting for the fleet's token" + reason
	})
	defer stopSaying()
	if err := retryWhileRedisDown(ctx, func() (bool, error) { err := f(ctx, fleet); return !w.requested.Load(), err }); err != nil {
		failure := c.explain(err)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			_ = fleet.cache.Close() // waits for a request that is under way, and so for what it comes to
			if last := w.lastError(); last != nil {
				failure.problems[0].hints = append([]string{"the last attempt: " + last.Error()}, c.hints(last)...)
			}
		}
		return failure
	}
	return nil
}

// sayAfterPatience says a text after patience, unless it is stopped before. stop returns
// when the text is written or will not be.
func (a *app) sayAfterPatience(text func() string) (stop func()) {
	said := make(chan struct{})
	timer := time.AfterFunc(patience, func() {
		defer close(said)
		a.say("%s", text())
	})
	return func() {
		if !timer.Stop() {
			<-said
		}
	}
}

// retryWhileRedisDown calls f again as long as Redis cannot be used for a reason that passes,
// such as a failover, and f may be called again, until ctx ends. It returns the last error
// of f.
func retryWhileRedisDown(ctx context.Context, f func() (again bool, err error)) error {
	var last error // before ctx ended
	for {
		again, err := f()
		if e, ok := errors.AsType[*tokencache.RedisError](err); !ok || !again || e.Kind != tokencache.RedisTransient {
			if last != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
				return last // which says more than that the time is over
			}
			return err
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-time.After(redisPause):
		case <-ctx.Done():
			return cmp.Or(last, err)
		}
	}
}

// redisPause is how long the command waits before it asks a Redis again that cannot be used.
const redisPause = 250 * time.Millisecond

// requestTimeout bounds a token request so that it is not waited for much longer
// than people said that they wait. The library wants it to have half a second.
func requestTimeout(set, timeout time.Duration) time.Duration {
	if set == 0 {
		set = tokencache.DefaultRequestTimeout
	}
	return max(min(set, timeout), 500*time.Millisecond)
}

// note takes the error of every token request that was sent or denied.
func (w *tokenWait) note(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	w.last = err
	w.mu.Unlock()
	if callsForPerson(err) {
		w.stop(err)
	}
}

// noteRedis takes why Redis cannot be used, nil if it can be used again.
func (w *tokenWait) noteRedis(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.redis = err
}

// redisError returns why Redis cannot be used, nil if it can.
func (w *tokenWait) redisError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.redis
}

// lastError returns what went wrong last, nil if nothing did.
func (w *tokenWait) lastError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// callsForPerson reports whether a token request failed, now or earlier, for a
// reason that does not pass by itself. A response that holds no token may pass,
// but each attempt may have cost one.
func callsForPerson(err error) bool {
	class := tokencache.ClassOf(err)
	if _, denied := errors.AsType[*quota.DeniedError](err); denied || class == "" {
		return class.Permanent()
	}
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	return class.Permanent() || class == tokencache.ClassMalformed ||
		errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &dns) && dns.IsNotFound
}
