package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bsm/redislock"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// The defaults of Options.
const (
	DefaultTTL     = 20 * time.Second
	DefaultTimeout = time.Second
)

// Client is what a Locker needs of Redis. Every redis.UniversalClient has it.
type Client interface {
	redis.Scripter
	Get(ctx context.Context, key string) *redis.StringCmd
	PTTL(ctx context.Context, key string) *redis.DurationCmd
	PExpire(ctx context.Context, key string, ttl time.Duration) *redis.BoolCmd
	Pipeline() redis.Pipeliner
}

// Options configures a Locker. A nil *Options is ready for use.
type Options struct {
	// TTL is how long a lease lasts unless it is extended. A process that dies
	// holds up the others for as long. All processes that share a key must have the
	// same one. Zero means DefaultTTL; less than a second is an error, as redislock
	// v0.10.0 makes locks of less than a millisecond that never were.
	TTL time.Duration

	// Margin is how long before its end the holder stops to trust its lease. It
	// is for clocks that do not run equally fast. Zero means a tenth of TTL.
	Margin time.Duration

	// Timeout bounds each call to Redis, whatever the client's own settings
	// are. Zero means DefaultTimeout.
	Timeout time.Duration

	// Replica names this process in the lease, for people. Empty means the name of
	// the host. An id of the process is added.
	Replica string
}

// A Locker takes leases. It is safe for concurrent use.
type Locker struct {
	terms
	rdb   Client
	locks *redislock.Client

	id       string
	metadata string // of its leases: the id, and the TTL
}

// New returns a Locker that keeps its leases in rdb. It does no I/O.
func New(rdb Client, opts *Options) (*Locker, error) {
	if opts == nil {
		opts = &Options{}
	}
	l := &Locker{
		terms: terms{ttl: cmp.Or(opts.TTL, DefaultTTL), timeout: cmp.Or(opts.Timeout, DefaultTimeout)},
		rdb:   rdb,
		locks: redislock.New(rdb),
	}
	l.margin = cmp.Or(opts.Margin, l.ttl/10)
	if l.ttl < time.Second {
		return nil, fmt.Errorf("lock: TTL is %v: give a lease a second or more", l.ttl)
	}
	if l.margin < 0 || l.margin >= l.ttl {
		return nil, fmt.Errorf("lock: Margin is %v of a TTL of %v: leave the holder some time to trust", l.margin, l.ttl)
	}
	if l.timeout < 0 {
		return nil, fmt.Errorf("lock: Timeout is %v: it cannot be negative", l.timeout)
	}
	replica := opts.Replica
	if replica == "" {
		replica, _ = os.Hostname() // without a name, the id tells processes apart
	}
	l.id = tame(replica) + "/" + uuid.NewString()
	l.metadata = l.id + lifetimeMark + strconv.FormatInt(l.ttl.Milliseconds(), 10)
	return l, nil
}

// ID names this Locker in the leases it holds: the replica's name, a slash, and
// an id that no other Locker has. It has no spaces.
func (l *Locker) ID() string { return l.id }

// TTL is how long the leases of this Locker last.
func (l *Locker) TTL() time.Duration { return l.ttl }

// Do takes the lease on key and calls f while it holds it. There are three outcomes,
// and only the first calls f:
//
//   - The lease is free: f runs, and Do returns what f returns.
//   - The lease is held: Do returns a [*HeldError] at once. Whether to wait is for the
//     caller to decide.
//   - It is not known: any other error. It never means that the lease is held.
//
// The context that f gets ends when the lease can no longer be trusted, with
// [ErrLost] as its cause, or when ctx ends. f must stop then. The lease is given
// back after f, also if ctx has ended meanwhile, and a lease that could not be
// given back ends by itself.
func (l *Locker) Do(ctx context.Context, key string, f func(context.Context, *Lease) error) error {
	lease, err := l.acquire(ctx, key, l.obtain)
	if err != nil {
		return err
	}
	return l.hold(ctx, lease, f)
}

// hold calls f while this process holds the lease.
func (l *Locker) hold(ctx context.Context, lease *Lease, f func(context.Context, *Lease) error) error {
	held, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer lease.release(ctx)
	lease.expire = time.AfterFunc(lease.Remaining(), func() { cancel(ErrLost) })
	defer lease.expire.Stop()
	return f(held, lease)
}

func (l *Locker) acquire(ctx context.Context, key string, obtain func(context.Context, string) (*Lease, error)) (*Lease, error) {
	lease, err := bounded(ctx, l.timeout, func(ctx context.Context) (*Lease, error) {
		return obtain(ctx, key)
	}, func(late *Lease) {
		late.release(ctx)
	})
	if _, held := errors.AsType[*HeldError](err); err != nil && !held {
		err = fmt.Errorf("lock: acquire %s: %w", key, err)
	}
	return lease, err
}

func (l *Locker) obtain(ctx context.Context, key string) (*Lease, error) {
	// The clock starts before the question: the lease begins at some time
	// after, so it cannot end before we think it does. The token stays random:
	// one that is a prefix of the holder's would take the lock from it.
	asked := time.Now()
	lock, err := l.locks.Obtain(ctx, key, l.ttl, &redislock.Options{Metadata: l.metadata})
	if err == nil {
		return &Lease{terms: l.terms, lock: lock, until: asked.Add(l.ttl - l.margin)}, nil
	}
	// A key of another type is not a lease, and gets an end like any other key that
	// has none.
	if !errors.Is(err, redislock.ErrNotObtained) && !strings.Contains(err.Error(), "WRONGTYPE") {
		return nil, err
	}
	return nil, l.held(ctx, key)
}

// held returns the HeldError for a key that could not be taken.
func (l *Locker) held(ctx context.Context, key string) error {
	left, err := l.rdb.PTTL(ctx, key).Result()
	if err != nil {
		return err
	}
	if left < 0 && left != -2 || left > l.ttl {
		// The holder may have a longer TTL. But no Locker takes a lease without an end,
		// or for longer than it says: then the key was set by hand, or the clock of Redis
		// went back. It would block all, so it gets an end. If it is a lease that was
		// taken just now, it stays one.
		value, err := l.rdb.Get(ctx, key).Result()
		if err != nil && !errors.Is(err, redis.Nil) && !strings.Contains(err.Error(), "WRONGTYPE") {
			return err
		}
		_, most := parseMetadata(value)
		if most = max(l.ttl, min(most, maxTTL)); left < 0 || left > most {
			if err := l.rdb.PExpire(ctx, key, most).Err(); err != nil {
				return err
			}
			left = most
		}
	}
	if left == -2 { // it has ended meanwhile
		left = 0
	} else { // its last millisecond is shown as none
		left = max(left, time.Millisecond)
	}
	return &HeldError{Key: key, Remaining: left}
}

// lifetimeMark is between the id of a holder and the TTL of its lease in milliseconds, so
// that a Locker with a shorter TTL leaves the lease its end.
const lifetimeMark = "#"

// maxTTL is the longest TTL that is believed of another holder.
const maxTTL = 2 * time.Hour

// parseMetadata returns who holds a lease, and its TTL, zero if the value does not say.
func parseMetadata(value string) (id string, ttl time.Duration) {
	id = value[min(len(value), tokenLength):]
	if i := strings.LastIndex(id, lifetimeMark); i >= 0 {
		if ms, err := strconv.ParseUint(id[i+1:], 10, 40); err == nil {
			return id[:i], time.Duration(ms) * time.Millisecond
		}
	}
	return id, 0
}

// A Holder is who holds a lease.
type Holder struct {
	// ID is the holder's [Locker.ID].
	ID string

	// Remaining is how long the lease lasts yet. It is negative if the key has no
	// end: no Locker made it, and the next one that wants it will give it one.
	Remaining time.Duration
}

// Holder reports who holds the lease on key, for people. It returns false if
// none does.
func (l *Locker) Holder(ctx context.Context, key string) (Holder, bool, error) {
	holder, err := bounded(ctx, l.timeout, func(ctx context.Context) (*Holder, error) {
		value, err := l.rdb.Get(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		left, err := l.rdb.PTTL(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		id, _ := parseMetadata(value)
		return &Holder{ID: id, Remaining: left}, nil
	}, nil)
	switch {
	case errors.Is(err, redis.Nil):
		return Holder{}, false, nil
	case err != nil:
		return Holder{}, false, fmt.Errorf("lock: holder of %s: %w", key, err)
	}
	return *holder, true, nil
}

// tokenLength is how much of a lock's value is redislock's random token: 16
// bytes in base64. The rest is the metadata.
const tokenLength = 22

// tame makes a name that can stand in a journal and a log line.
func tame(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == '|' || r == '@' || r > '~' {
			return '_'
		}
		return r
	}, name[:min(len(name), 64)])
}
