package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/lock"
)

// TestConformance runs one story on every kind of Redis.
func TestConformance(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		m.ClockTTL(true)
		rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
		defer rdb.Close()
		conformance(t, rdb)
	})
	t.Run("redis-server", func(t *testing.T) {
		conformance(t, redistest.Start(t).Client())
	})
	t.Run("Cluster", func(t *testing.T) {
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.StartCluster(t, 3).Addrs()})
		defer rdb.Close()
		conformance(t, rdb)
	})
}

func conformance(t *testing.T, rdb redis.UniversalClient) {
	defer pipelined(t, rdb)
	a, b := newLocker(t, rdb, &lock.Options{Replica: "a"}), newLocker(t, rdb, nil)
	ctx := t.Context()
	err := a.Do(ctx, key, func(ctx context.Context, lease *lock.Lease) error {
		if err := rdb.ScriptFlush(ctx).Err(); err != nil {
			return err
		}
		held, ok := errors.AsType[*lock.HeldError](b.Do(ctx, key, mustNotRun(t)))
		if !ok || held.Remaining <= 0 || held.Remaining > lock.DefaultTTL {
			t.Errorf("held: got %+v, want up to %v", held, lock.DefaultTTL)
		}
		holder, ok, err := b.Holder(ctx, key)
		if err != nil || !ok || holder.ID != a.ID() {
			t.Errorf("Holder: got %+v, %v, %v, want %s", holder, ok, err, a.ID())
		}
		if err := lease.Extend(ctx); err != nil {
			t.Errorf("Extend: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Do(ctx, key, func(context.Context, *lock.Lease) error { return nil }); err != nil {
		t.Errorf("after the first gave it back: %v", err)
	}

	// A lease ends by itself, and what another one holds then is not touched.
	err = a.Do(ctx, key, func(ctx context.Context, lease *lock.Lease) error {
		if err := rdb.PExpire(ctx, key, time.Millisecond).Err(); err != nil {
			return err
		}
		for rdb.Exists(ctx, key).Val() != 0 {
		}
		if err := lease.Extend(ctx); err != lock.ErrLost {
			t.Errorf("Extend of a lease that is over: got %v, want ErrLost", err)
		}
		return rdb.Set(t.Context(), key, "another's", time.Minute).Err() // the holder's own context has ended
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := rdb.Get(ctx, key).Val(); got != "another's" {
		t.Errorf("the lease of another was touched: the key is %q", got)
	}
}

// The lease and what depends on it are one round trip.
func pipelined(t *testing.T, rdb redis.UniversalClient) {
	a, b := newLocker(t, rdb, nil), newLocker(t, rdb, nil)
	ctx := t.Context()
	const other = "{k}:other"
	rdb.Del(ctx, key)
	queue := func(cmd **redis.Cmd) func(pipe redis.Pipeliner, value string) {
		return func(pipe redis.Pipeliner, value string) {
			*cmd = pipe.Eval(ctx, `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('INCR', KEYS[2]) end return 0`, []string{key, other}, value)
		}
	}
	unknown := func() (time.Duration, bool) { return 0, false }
	var mine, theirs *redis.Cmd
	err := a.DoPipelined(ctx, key, queue(&mine), unknown, func(ctx context.Context, lease *lock.Lease) error {
		if n, err := mine.Int(); n != 1 || err != nil {
			t.Errorf("with the lease: got %d, %v, want 1", n, err)
		}
		err := b.DoPipelined(ctx, key, queue(&theirs), unknown, mustNotRun(t))
		held, ok := errors.AsType[*lock.HeldError](err)
		if !ok || !errors.Is(err, lock.ErrHeld) || held.Remaining <= 0 || held.Remaining > lock.DefaultTTL {
			t.Errorf("held: got %v, want up to %v", err, lock.DefaultTTL)
		}
		if n, err := theirs.Int(); n != 0 || err != nil {
			t.Errorf("without the lease: got %d, %v, want 0", n, err)
		}
		known := func() (time.Duration, bool) { return time.Second, true }
		if err := b.DoPipelined(ctx, key, queue(&theirs), known, mustNotRun(t)); !errors.As(err, &held) || held.Remaining != time.Second {
			t.Errorf("held for a second: got %v", err)
		}
		if err := lease.Extend(ctx); err != nil {
			t.Errorf("Extend: %v", err)
		}
		if n := rdb.Get(ctx, other).Val(); n != "1" {
			t.Errorf("what was queued with the lease ran %s times, want once", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := rdb.Exists(ctx, key).Val(); n != 0 {
		t.Error("the lease was not given back")
	}
}
