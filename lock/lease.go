package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bsm/redislock"
)

// A Lease is a key that this process holds for a while. It is safe for
// concurrent use.
type Lease struct {
	terms  terms
	lock   *redislock.Lock
	expire *time.Timer // ends the holder's context

	mu    sync.Mutex
	until time.Time // when the holder stops trusting the lease
}

// terms are how long the leases of a Locker last, and its calls.
type terms struct {
	ttl, margin, timeout time.Duration
}

// Remaining returns how long the holder may still trust its lease. It is zero or negative
// when the holder may not. Check it before each step that needs the lease: a process that
// was stopped runs again before its context ends.
func (l *Lease) Remaining() time.Duration {
	l.mu.Lock()
	until := l.until
	l.mu.Unlock()
	// The monotonic clock stands still while a machine sleeps, and the wall clock can
	// be set. The one that leaves less counts.
	now := time.Now()
	return min(until.Sub(now), until.Round(0).Sub(now.Round(0)))
}

// Extend starts the lease anew, if it is still held. It returns [ErrLost] if it
// is not; any other error leaves the lease as it was.
func (l *Lease) Extend(ctx context.Context) error {
	if l.Remaining() <= 0 {
		return ErrLost
	}
	asked := time.Now()
	_, err := bounded(ctx, l.terms.timeout, func(ctx context.Context) (any, error) {
		return nil, l.lock.Refresh(ctx, l.terms.ttl, nil)
	}, nil)
	if errors.Is(err, redislock.ErrNotObtained) {
		l.expire.Reset(0)
		return ErrLost
	}
	if err != nil {
		return fmt.Errorf("lock: extend %s: %w", l.lock.Key(), err)
	}
	if !l.expire.Stop() { // the context has ended, and cannot begin again
		return ErrLost
	}
	l.mu.Lock()
	l.until = asked.Add(l.terms.ttl - l.terms.margin)
	l.mu.Unlock()
	l.expire.Reset(l.Remaining())
	return nil
}

// release gives the lease back if it is still held. It has a timeout of its own, since
// the caller's context may have ended. It ignores errors: a lost reply looks like a lost
// lease, and a lease that was not given back ends by itself.
func (l *Lease) release(ctx context.Context) {
	_, _ = bounded(context.WithoutCancel(ctx), l.terms.timeout, func(ctx context.Context) (any, error) {
		return nil, l.lock.Release(ctx)
	}, nil)
}

// ErrLost is why the context of a holder ends when its lease does, and what
// Extend returns when there is nothing left to extend.
var ErrLost = errors.New("lock: lease lost")

// ErrHeld is what every [*HeldError] is.
var ErrHeld = errors.New("lock: held by another process")

// A HeldError says that another process holds the lease.
type HeldError struct {
	Key string

	// Remaining is how long the lease lasts yet if it is neither extended nor given
	// back.
	Remaining time.Duration
}

// Is reports whether target is [ErrHeld].
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// Error returns the key and how long it is held.
func (e *HeldError) Error() string {
	return fmt.Sprintf("lock: %s is held for up to %v", e.Key, e.Remaining)
}
