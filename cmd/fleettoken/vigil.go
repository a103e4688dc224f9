package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
)

// patience is how long a person waits before being told what for.
const patience = 3 * time.Second

// A vigil is a person's wait for a token. The library waits as a service should:
// in silence, and for as long as there is hope. A person is told what goes wrong
// meanwhile, and does not have to wait for what only a person can put right.
type vigil struct {
	stop context.CancelCauseFunc // ends the wait

	mu   sync.Mutex
	last error // why the last token request brought no token, or was not sent
}

// waitFor joins the fleet and calls f, which waits for a token, with a context
// that ends after the timeout of the command line.
func (a *app) waitFor(ctx context.Context, c *config, f func(context.Context, *fleet) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.flags.timeout, fmt.Errorf("nothing came within %v (--timeout)", a.flags.timeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	v := &vigil{stop: stop}

	waiting := *c
	waiting.options.Hooks = &tokencache.Hooks{
		Requested: func(info tokencache.RequestedInfo) { v.hear(info.Err) },
		Denied:    func(info tokencache.DeniedInfo) { v.hear(info.Err) },
	}
	waiting.options.RequestTimeout = requestTimeout(c.options.RequestTimeout, a.flags.timeout)
	fleet, err := waiting.join()
	if err != nil {
		return err
	}
	defer fleet.close()
	timer := time.AfterFunc(patience, func() {
		reason := ""
		if last := v.lastError(); last != nil {
			reason = ": " + c.names.Replace(last.Error())
		}
		a.say("still waiting for the fleet's token%s", reason)
	})
	defer timer.Stop()
	if err := f(ctx, fleet); err != nil {
		failure := c.explain(err)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			_ = fleet.cache.Close() // waits for a request that is under way, and so for what it comes to
			if last := v.lastError(); last != nil {
				failure.problems[0].hints = append([]string{"the last attempt: " + c.names.Replace(last.Error())}, c.hints(last)...)
			}
		}
		return failure
	}
	return nil
}

// requestTimeout bounds a token request so that it is not waited for much longer
// than people said that they wait. The library wants it to have half a second.
func requestTimeout(set, timeout time.Duration) time.Duration {
	if set == 0 {
		set = tokencache.DefaultRequestTimeout
	}
	return max(min(set, timeout), 500*time.Millisecond)
}

// hear is told of every token request that was sent or denied.
func (v *vigil) hear(err error) {
	if err == nil {
		return
	}
	v.mu.Lock()
	v.last = err
	v.mu.Unlock()
	if callsForPerson(err) {
		v.stop(err)
	}
}

// lastError returns what went wrong last, nil if nothing did.
func (v *vigil) lastError() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last
}

// callsForPerson reports whether a token request failed, now or earlier, for a
// reason that does not pass by itself. A response that holds no token may pass,
// but each attempt may have cost one.
func callsForPerson(err error) bool {
	if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
		return setRight(tokencache.Class(denied.Reason)) != ""
	}
	failed, ok := errors.AsType[*tokencache.RequestError](err)
	if !ok {
		return false
	}
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	return setRight(failed.Class) != "" || failed.Class == tokencache.ClassMalformed ||
		errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &dns) && dns.IsNotFound
}
