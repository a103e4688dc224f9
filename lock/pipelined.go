package lock

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
)

// DoPipelined is Do, with commands of the caller's in the same round trip as the taking of
// the lease, and behind it. queue queues them. value is what the key holds if the lease is
// taken, so a script among them can depend on that. They are executed whether or not it
// is taken, and their results are there when f is called or DoPipelined returns. If one of
// them reads how long another process holds the lease, remaining returns that, which saves
// a round trip. It returns false if none does.
//
// In a cluster, all keys must share a hash tag. queue may be called more than once.
func (l *Locker) DoPipelined(ctx context.Context, key string, queue func(pipe redis.Pipeliner, value string), remaining func() (time.Duration, bool), f func(context.Context, *Lease) error) error {
	lease, err := l.acquire(ctx, key, func(ctx context.Context, key string) (*Lease, error) {
		token, err := newToken()
		if err != nil {
			return nil, err
		}
		asked := time.Now()
		locks := redislock.New(pipelined{l.rdb, func(pipe redis.Pipeliner) { queue(pipe, token+l.metadata) }})
		lock, err := locks.Obtain(ctx, key, l.ttl, &redislock.Options{Token: token, Metadata: l.metadata})
		if err == nil {
			lock.Client = l.locks // it is extended and given back by commands of their own
			return &Lease{terms: l.terms, lock: lock, until: asked.Add(l.ttl - l.margin)}, nil
		}
		if !errors.Is(err, redislock.ErrNotObtained) && !strings.Contains(err.Error(), "WRONGTYPE") {
			return nil, err
		}
		if left, ok := remaining(); ok && left > 0 && left <= l.ttl {
			return nil, &HeldError{Key: key, Remaining: left}
		}
		return nil, l.held(ctx, key)
	})
	if err != nil {
		return err
	}
	return l.hold(ctx, lease, f)
}

// newToken returns a random token of the length of redislock's own: one that was a prefix
// of another holder's would take the lock from it.
func newToken() (string, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(random), nil
}

// pipelined runs a script of redislock in a pipeline with further commands.
type pipelined struct {
	rdb   Client
	queue func(pipe redis.Pipeliner)
}

// Eval runs a script, and the queued commands behind it.
func (p pipelined) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	pipe := p.rdb.Pipeline()
	cmd := pipe.Eval(ctx, script, keys, args...)
	p.queue(pipe)
	_, _ = pipe.Exec(ctx) // each command has its own error
	return cmd
}

// EvalSha says that Redis does not know the script, without asking: then redislock sends
// it whole, and a Redis that has just started costs no round trip.
func (p pipelined) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(noScript{})
	return cmd
}

// EvalRO and the others complete redis.Scripter. redislock does not call them.
func (p pipelined) EvalRO(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return p.rdb.EvalRO(ctx, script, keys, args...)
}

func (p pipelined) EvalShaRO(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return p.rdb.EvalShaRO(ctx, sha, keys, args...)
}

func (p pipelined) ScriptExists(ctx context.Context, hashes ...string) *redis.BoolSliceCmd {
	return p.rdb.ScriptExists(ctx, hashes...)
}

func (p pipelined) ScriptLoad(ctx context.Context, script string) *redis.StringCmd {
	return p.rdb.ScriptLoad(ctx, script)
}

// noScript is the error of a Redis that does not know a script.
type noScript struct{}

func (noScript) Error() string { return "NOSCRIPT" }

// RedisError marks the errors that Redis replies with.
func (noScript) RedisError() {}
