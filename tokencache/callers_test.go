package tokencache

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/redis/go-redis/v9"
)

// A wait ends with the caller's context, and the request that others wait for
// goes on.
func TestCallersLeave(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: 2 * time.Second}, Options{}, func(f *fleet) {
		replicas := f.start(3)
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := replicas[0].source.Token(ctx)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrNoToken) || took != time.Second {
			f.t.Errorf("got %v after %v, want the deadline after a second", err, took)
		}
		time.Sleep(1500 * time.Millisecond)
		if slowest := f.together(replicas); slowest > 0 {
			f.t.Errorf("the request was abandoned with its caller: waited %v", slowest)
		}
		f.want(1)
	})
}

func TestCancelHasACause(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: 2 * time.Second}, Options{}, func(f *fleet) {
		cause := errors.New("the user has gone home")
		ctx, cancel := context.WithCancelCause(f.t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if _, err := f.start(1)[0].source.Token(ctx); !errors.Is(err, cause) {
			f.t.Errorf("got %v, want the cause", err)
		}
	})
}

// A thousand callers of one process are one flight.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: time.Second}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		var got atomic.Int32
		for range 1000 {
			go func() {
				if _, err := r.source.Token(f.t.Context()); err == nil {
					got.Add(1)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		f.want(1)
		if got.Load() != 1000 {
			f.t.Errorf("%d of 1000 callers got a token", got.Load())
		}
	})
	t.Run("all fail with one failure", func(t *testing.T) {
		story(t, nil, Options{}, func(f *fleet) {
			f.tenant.Inject(-1, auth0test.OAuthError(401, "invalid_client", ""))
			r := f.start(1)[0]
			var failed atomic.Int32
			for range 1000 {
				go func() {
					if _, err := r.source.Token(f.t.Context()); errors.Is(err, ErrNoToken) {
						failed.Add(1)
					}
				}()
			}
			time.Sleep(10 * time.Second)
			f.want(1)
			if failed.Load() != 1000 {
				f.t.Errorf("%d of 1000 callers were told", failed.Load())
			}
		})
	})
}

// Callers whose time is too short for any of them to see the end of it get a token
// all the same: what one has begun is the next one's.
func TestCallersInAHurry(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 50 * time.Millisecond}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		r.net.set(func() { r.net.delay = 20 * time.Millisecond })
		for i := range 5 {
			ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Millisecond)
			_, err := r.source.Token(ctx)
			cancel()
			if err == nil {
				f.want(1)
				return
			}
			f.t.Logf("caller %d: %v", i+1, err)
			time.Sleep(time.Second)
		}
		f.t.Error("none of five callers got a token")
	})
}

// Nobody asks on behalf of those who have left for good.
func TestNobodyWaitsAnyMore(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		r.net.cut()
		ctx, cancel := context.WithTimeout(f.t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := r.source.Token(ctx); err == nil {
			f.t.Fatal("got a token without Redis")
		}
		time.Sleep(time.Minute)
		r.net.mend()
		time.Sleep(time.Hour)
		f.want(0)
	})
}

type closer struct{ closed atomic.Bool }

func (c *closer) Close() error { c.closed.Store(true); return nil }

// What comes in the very moment in which a call gives up is returned, or closed.
func TestCallAtItsTimeout(t *testing.T) {
	long(t)
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	cache, err := New(rdb, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	cache.redisTimeout = 20 * time.Microsecond
	for range 3000 {
		late := &closer{}
		got, err := call(t.Context(), &cache.host, func(ctx context.Context) (*closer, error) {
			<-ctx.Done()
			return late, nil
		})
		if err == nil && got == late {
			continue
		}
		for start := time.Now(); !late.closed.Load(); runtime.Gosched() {
			if time.Since(start) > 10*time.Second {
				t.Fatal("a value was neither returned nor closed")
			}
		}
	}
}
