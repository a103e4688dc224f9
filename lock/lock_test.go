package lock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fleettoken/fleettoken/lock"
)

const key = "{k}:lock"

// A site is a Redis on the bubble's clock, and a way to connect to it.
type site struct {
	t *testing.T
	m *miniredis.Miniredis
}

func bubble(t *testing.T, story func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true)
		t.Cleanup(m.Close)
		story(t, &site{t, m})
	})
}

// client connects through dial; nil means directly.
func (s *site) client(dial func() (net.Conn, error)) *redis.Client {
	if dial == nil {
		dial = s.m.Dial
	}
	rdb := redis.NewClient(&redis.Options{
		Addr:                     "127.0.0.1:6379",
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return dial() },
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	s.t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func (s *site) locker(opts *lock.Options) *lock.Locker {
	s.t.Helper()
	return newLocker(s.t, s.client(nil), opts)
}

func newLocker(t testing.TB, rdb lock.Client, opts *lock.Options) *lock.Locker {
	t.Helper()
	l, err := lock.New(rdb, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// hold takes the lease and keeps it until the function it returns is called.
func hold(t *testing.T, l *lock.Locker) (release func()) {
	t.Helper()
	taken, done, gone := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		err := l.Do(t.Context(), key, func(context.Context, *lock.Lease) error {
			taken <- nil
			<-done
			return nil
		})
		if err != nil {
			taken <- err
		}
	}()
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	return func() { close(done); <-gone }
}

func mustNotRun(t *testing.T) func(context.Context, *lock.Lease) error {
	return func(context.Context, *lock.Lease) error {
		t.Error("the function ran without a lease")
		return nil
	}
}

func TestThreeOutcomes(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		a, b := s.locker(nil), s.locker(nil)

		want := errors.New("what f returns")
		if err := a.Do(t.Context(), key, func(context.Context, *lock.Lease) error { return want }); err != want {
			t.Errorf("free: got %v, want %v", err, want)
		}
		if s.m.Exists(key) {
			t.Error("the lease was not given back")
		}

		release := hold(t, a)
		time.Sleep(5 * time.Second)
		err := b.Do(t.Context(), key, mustNotRun(t))
		held, ok := errors.AsType[*lock.HeldError](err)
		if !ok || held.Remaining != 15*time.Second || held.Key != key {
			t.Errorf("held for 5 s of 20 s: got %v, want 15 s left", err)
		}
		release()

		// Redis shows the last millisecond as none.
		_ = s.m.Set(key, "somebody")
		s.m.SetTTL(key, time.Millisecond/2)
		err = b.Do(t.Context(), key, mustNotRun(t))
		if held, ok := errors.AsType[*lock.HeldError](err); !ok || held.Remaining != time.Millisecond {
			t.Errorf("held for half a millisecond yet: got %v, want that a millisecond is left", err)
		}
		time.Sleep(time.Millisecond)

		s.m.SetError("LOADING Redis is loading the dataset in memory")
		err = b.Do(t.Context(), key, mustNotRun(t))
		if _, ok := errors.AsType[*lock.HeldError](err); err == nil || ok {
			t.Errorf("Redis away: got %v, want an error that is not held", err)
		}
	})
}

func TestHolderIsToldWhenToStop(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		err := s.locker(nil).Do(t.Context(), key, func(ctx context.Context, lease *lock.Lease) error {
			if got := lease.Remaining(); got != 18*time.Second {
				t.Errorf("at the start: %v left, want 18 s: TTL less the margin", got)
			}
			start := time.Now()
			<-ctx.Done()
			if got := time.Since(start); got != 18*time.Second {
				t.Errorf("the context ended after %v, want 18 s", got)
			}
			if got := context.Cause(ctx); got != lock.ErrLost {
				t.Errorf("the context's cause is %v, want ErrLost", got)
			}
			if got := lease.Remaining(); got > 0 {
				t.Errorf("%v left after the end", got)
			}
			if err := lease.Extend(t.Context()); err != lock.ErrLost {
				t.Errorf("Extend after the end: got %v, want ErrLost", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// The time until Redis answers belongs to the lease.
func TestDeadlineCountsFromBeforeTheQuestion(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		rdb := s.client(func() (net.Conn, error) {
			time.Sleep(800 * time.Millisecond) // the handshake is a part of the question
			return s.m.Dial()
		})
		start := time.Now()
		err := newLocker(t, rdb, nil).Do(t.Context(), key, func(ctx context.Context, lease *lock.Lease) error {
			<-ctx.Done()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 18*time.Second {
			t.Errorf("the holder stopped %v after it asked, want 18 s", got)
		}
	})
}

func TestExtend(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		err := s.locker(nil).Do(t.Context(), key, func(ctx context.Context, lease *lock.Lease) error {
			for range 5 {
				time.Sleep(15 * time.Second)
				if err := lease.Extend(ctx); err != nil {
					t.Fatal(err)
				}
				if got := lease.Remaining(); got != 18*time.Second {
					t.Errorf("after Extend: %v left, want 18 s", got)
				}
			}
			if ctx.Err() != nil {
				t.Errorf("after 75 s of work: %v", context.Cause(ctx))
			}
			s.m.Del(key) // an operator, or a failover
			if err := lease.Extend(ctx); err != lock.ErrLost {
				t.Errorf("Extend of a lost lease: got %v, want ErrLost", err)
			}
			<-ctx.Done()
			if got := context.Cause(ctx); got != lock.ErrLost {
				t.Errorf("the context's cause is %v, want ErrLost", got)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// An outage takes nothing from a lease that is held.
func TestExtendWhileRedisIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		err := s.locker(nil).Do(t.Context(), key, func(ctx context.Context, lease *lock.Lease) error {
			s.m.SetError("READONLY You can't write against a read only replica.")
			if err := lease.Extend(ctx); err == nil || errors.Is(err, lock.ErrLost) {
				t.Errorf("got %v, want an error that is not ErrLost", err)
			}
			if ctx.Err() != nil || lease.Remaining() <= 0 {
				t.Error("the lease is lost, want it to go on")
			}
			s.m.SetError("")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestReleaseSurvivesTheCaller(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.locker(nil).Do(ctx, key, func(ctx context.Context, _ *lock.Lease) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		if err != context.Canceled {
			t.Errorf("got %v, want what f returned", err)
		}
		if s.m.Exists(key) {
			t.Error("the lease was not given back")
		}
	})
}

func TestPanicReleases(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		func() {
			defer func() { _ = recover() }()
			_ = s.locker(nil).Do(t.Context(), key, func(context.Context, *lock.Lease) error { panic("f") })
		}()
		if s.m.Exists(key) {
			t.Error("the lease was not given back")
		}
	})
}

func TestNobodyReleasesTheLeaseOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		a, b := s.locker(nil), s.locker(nil)
		var release func()
		err := a.Do(t.Context(), key, func(ctx context.Context, _ *lock.Lease) error {
			time.Sleep(25 * time.Second) // stopped, for longer than the lease lasts
			release = hold(t, b)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if holder, ok, err := a.Holder(t.Context(), key); err != nil || !ok || holder.ID != b.ID() {
			t.Errorf("after a late release: holder %+v, %v, %v, want %s", holder, ok, err, b.ID())
		}
	})
}

// A client that ignores its context must not hold up the caller, and a lease
// that Redis grants to a caller who has left is given back.
func TestLateGrantIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		rdb := s.client(func() (net.Conn, error) {
			time.Sleep(4 * time.Second) // whatever the context says
			return s.m.Dial()
		})
		l := newLocker(t, rdb, nil)
		start := time.Now()
		err := l.Do(t.Context(), key, mustNotRun(t))
		if _, held := errors.AsType[*lock.HeldError](err); err == nil || held || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline to be exceeded", err)
		}
		if got := time.Since(start); got != lock.DefaultTimeout {
			t.Errorf("Do took %v, want %v", got, lock.DefaultTimeout)
		}
		time.Sleep(10 * time.Second)
		if s.m.Exists(key) {
			t.Error("a lease that nobody has was not given back")
		}
	})
}

func TestCallerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		rdb := s.client(func() (net.Conn, error) {
			time.Sleep(4 * time.Second)
			return s.m.Dial()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := newLocker(t, rdb, nil).Do(ctx, key, mustNotRun(t)); err == nil {
			t.Error("got no error")
		}
		if got := time.Since(start); got != 50*time.Millisecond {
			t.Errorf("Do took %v, want 50 ms", got)
		}
		time.Sleep(10 * time.Second) // until the client has given up, too
	})
}

func TestHolder(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		a, b := s.locker(&lock.Options{Replica: "web 7/x"}), s.locker(nil)
		if _, ok, err := b.Holder(t.Context(), key); ok || err != nil {
			t.Errorf("nobody holds it: got %v, %v", ok, err)
		}
		defer hold(t, a)()
		holder, ok, err := b.Holder(t.Context(), key)
		if err != nil || !ok || holder.ID != a.ID() || holder.Remaining != 20*time.Second {
			t.Errorf("got %+v, %v, %v, want %s for 20 s", holder, ok, err, a.ID())
		}
		if !strings.HasPrefix(a.ID(), "web_7_x/") || a.ID() == b.ID() {
			t.Errorf("got IDs %q and %q, want different ones, and the first to begin with web_7_x/", a.ID(), b.ID())
		}
	})
}

// A key without an end, or with one far off, is no lease. It holds nobody up for
// longer than a lease does.
func TestForeignKey(t *testing.T) {
	for name, ttl := range map[string]time.Duration{"without an end": 0, "the clock of Redis went back": time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				if err := s.m.Set(key, "x"); err != nil {
					t.Fatal(err)
				}
				if ttl > 0 {
					s.m.SetTTL(key, ttl)
				}
				l := s.locker(nil)
				held, ok := errors.AsType[*lock.HeldError](l.Do(t.Context(), key, mustNotRun(t)))
				if !ok || held.Remaining != lock.DefaultTTL {
					t.Fatalf("got %v, want it to be held for a lease's time", held)
				}
				if holder, ok, err := l.Holder(t.Context(), key); err != nil || !ok || holder.ID != "" {
					t.Errorf("Holder: got %+v, %v, %v, want somebody without a name", holder, ok, err)
				}
				time.Sleep(held.Remaining)
				if err := l.Do(t.Context(), key, func(context.Context, *lock.Lease) error { return nil }); err != nil {
					t.Errorf("after that time: %v", err)
				}
			})
		})
	}
}

func TestBadOptions(t *testing.T) {
	for _, opts := range []*lock.Options{
		{TTL: time.Microsecond}, {TTL: -time.Second}, {TTL: 2 * time.Second, Margin: 2 * time.Second}, {Margin: -1}, {Timeout: -1},
	} {
		if _, err := lock.New(nil, opts); err == nil || !strings.HasPrefix(err.Error(), "lock: ") {
			t.Errorf("New(%+v): got %v, want an error", opts, err)
		}
	}
}

// Whatever holders do, and however long they take, two never trust the lease
// at the same time.
func TestOneAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		var trusted, overlaps, turns atomic.Int32
		var wg sync.WaitGroup
		for i := range uint64(8) {
			l := s.locker(&lock.Options{TTL: 2 * time.Second})
			r := rand.New(rand.NewPCG(1, i))
			wg.Go(func() {
				for range 200 {
					_ = l.Do(t.Context(), key, func(ctx context.Context, lease *lock.Lease) error {
						turns.Add(1)
						if trusted.Add(1) > 1 {
							overlaps.Add(1)
						}
						select {
						case <-ctx.Done():
						case <-time.After(time.Duration(r.IntN(3000)) * time.Millisecond):
							if r.IntN(2) == 0 && lease.Extend(ctx) == nil {
								<-ctx.Done()
							}
						}
						trusted.Add(-1)
						if r.IntN(4) == 0 {
							time.Sleep(5 * time.Second) // it hangs, and wakes when others work
						}
						return nil
					})
					time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if overlaps.Load() != 0 || turns.Load() < 50 {
			t.Errorf("got %d overlaps in %d turns, want none in fifty or more", overlaps.Load(), turns.Load())
		}
	})
}
