package tokencache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/redis/go-redis/v9"
)

// afterAnswer lets something happen when r has got an answer from the token
// endpoint, before anybody knows of it.
func (f *fleet) afterAnswer(r *testReplica, happens func()) {
	base := f.tenant.Transport()
	r.cache.rt = tripper(func(req *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(req)
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(bytes.NewReader(body))
		}
		happens()
		return resp, err
	})
}

// Redis goes away between the request of a Rotate and its commit, and callers
// are about.
func TestRotateWhenRedisGoesAway(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		var commands atomic.Int64
		r.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
			if commands.Add(1)%500 == 0 { // so that an endless loop ends
				time.Sleep(time.Second)
			}
			return next(ctx, cmd)
		}))
		f.afterAnswer(r, r.net.cut)
		ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				_, _ = r.source.Token(ctx)
				time.Sleep(100 * time.Millisecond)
			}
		}()
		if err := r.source.Rotate(ctx); err == nil {
			f.t.Error("Rotate says that the fleet has the new token, and Redis is away")
		}
		if n := commands.Load(); n > 200 {
			f.t.Errorf("%d commands were tried within 10 s, while Redis is away", n)
		}
		r.net.mend()
	})
}

// The same, and Redis is back in a moment. The fleet gets what it has paid for,
// and who rotates is told.
func TestRotateWhenRedisBlinks(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		f.afterAnswer(r, func() {
			r.net.cut()
			time.AfterFunc(500*time.Millisecond, r.net.mend)
		})
		ctx, cancel := context.WithTimeout(f.t.Context(), 4*time.Hour)
		defer cancel()
		start := time.Now()
		err := r.source.Rotate(ctx)
		if took := time.Since(start); err != nil || took > time.Minute {
			f.t.Errorf("Redis was away for half a second; Rotate took %v: %v", took, err)
		}
		if got := f.token(f.start(1)[0]); got != f.token(r) {
			f.t.Error("a newcomer has another token than the one that was paid for")
		}
		f.want(2)
	})
}

func TestRotate(t *testing.T) {
	for _, listen := range []bool{false, true} {
		story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 100 * time.Millisecond}, Options{Subscribe: listen}, func(f *fleet) {
			f.together(f.start(20))
			old := f.token(f.replicas[0])
			time.Sleep(time.Hour)
			operator := f.start(1)[0] // who has not even looked yet
			if err := operator.source.Rotate(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
			f.want(2)
			if status, err := f.replicas[0].source.Status(f.t.Context()); err != nil || status.Fleet == nil || status.Fleet.Age >= time.Minute {
				f.t.Errorf("when Rotate returns, the fleet has %+v, %v, want a new token", status.Fleet, err)
			}
			time.Sleep(time.Second)
			if newcomer := f.start(1)[0]; f.token(newcomer) == old {
				f.t.Error("a newcomer adopted the token that was rotated away")
			}
			holding := 0
			for _, r := range f.replicas {
				if f.token(r) == old {
					holding++
				}
			}
			if listen && holding != 0 {
				f.t.Errorf("%d replicas that listen hold the old token a second later", holding)
			}
			f.serve(9*time.Hour, 10*time.Minute) // the window of the new one has begun an hour ago
			for _, r := range f.replicas {
				if f.token(r) == old {
					f.t.Errorf("%s holds the token that was rotated away hours ago", r.name)
				}
			}
		})
	}
}

// A token from before a rotation does not come back, by no way; nor does one that
// the API has refused.
func TestRotatedTokenDoesNotComeBack(t *testing.T) {
	t.Run("rotate", func(t *testing.T) {
		doesNotComeBack(t, func(ctx context.Context, s *Source) error { return s.Rotate(ctx) })
	})
	t.Run("reject", func(t *testing.T) {
		doesNotComeBack(t, func(ctx context.Context, s *Source) error {
			tok, err := s.Token(ctx)
			if err != nil {
				return err
			}
			return s.Invalidate(ctx, tok)
		})
	})
}

func doesNotComeBack(t *testing.T, replace func(ctx context.Context, s *Source) error) {
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(3))
		synctest.Wait()
		old := f.token(f.replicas[0])
		key := f.replicas[0].source.token.Key()
		issued, expires, sealed := f.m.HGet(key, "issued"), f.m.HGet(key, "expires"), f.m.HGet(key, "sealed")
		time.Sleep(time.Minute)
		if err := replace(f.t.Context(), f.replicas[1].source); err != nil {
			f.t.Fatal(err)
		}
		synctest.Wait()

		// Redis loses the record, and a replica that has not heard of the
		// rotation would give back what it has.
		f.m.Del(key)
		s := f.replicas[0].source
		s.fetchNow()
		synctest.Wait()
		if f.m.Exists(key) {
			f.t.Error("a token from before the rotation was given back to the fleet")
		}
		// Somebody puts it back by hand.
		f.m.HSet(key, "issued", issued, "expires", expires, "sealed", sealed)
		if status, err := f.replicas[1].source.Status(f.t.Context()); err != nil || status.Fleet != nil {
			f.t.Errorf("got %+v, %v, want that the fleet has no token", status.Fleet, err)
		}
		if newcomer := f.start(1)[0]; f.token(newcomer) == old {
			f.t.Error("a newcomer adopted a token from before the rotation")
		}
	})
}

func TestRotateWhileDenied(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		f.tenant.Inject(-1, auth0test.Status(503))
		start := time.Now()
		err := r.source.Rotate(f.t.Context())
		failed, ok := errors.AsType[*RequestError](err)
		if !ok || failed.Class != ClassUnavailable || failed.RetryAt.IsZero() {
			f.t.Errorf("got %v, want the failed request and when the next one is", err)
		}
		if took := time.Since(start); took > DefaultMaxWait {
			f.t.Errorf("took %v, want to give up within %v", took, DefaultMaxWait)
		}
		f.token(r) // the old one goes on
		f.tenant.ClearFaults()
		time.Sleep(time.Minute)
		if err := r.source.Rotate(f.t.Context()); err != nil {
			f.t.Error(err)
		}
	})
}

// A token that was asked for past Redis before a rotation must not come back,
// whether lives have become shorter or the record is gone.
func TestTokenFromPastRedisDoesNotOutliveARotation(t *testing.T) {
	for _, row := range []struct {
		name    string
		shorter bool
	}{{"lives become shorter", true}, {"Redis evicts the record", false}} {
		t.Run(row.name, func(t *testing.T) {
			opts := Options{RedisDownBudget: &RedisDownBudget{Requests: 1, Spread: time.Second}}
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, opts, func(f *fleet) {
				replicas := f.start(2)
				operator, lone := replicas[0], replicas[1]
				f.token(operator)
				lone.net.cut()
				_, _ = lone.source.Token(f.t.Context())
				time.Sleep(10 * time.Second)
				before := f.token(lone)
				time.Sleep(time.Minute)
				if row.shorter {
					f.tenant.Update(func(c *auth0test.Config) { c.TTL = 5 * time.Hour })
				}
				if err := operator.source.Rotate(f.t.Context()); err != nil {
					f.t.Fatal(err)
				}
				if !row.shorter {
					f.m.Del(operator.source.token.Key())
				}
				lone.net.mend()
				time.Sleep(time.Minute)
				if f.token(f.start(1)[0]) == before {
					f.t.Error("a newcomer has a token from before the rotation")
				}
			})
		})
	}
}

// Redis has lost the record, and a replica gives it back while somebody rotates.
func TestRotateIsNotOverWithTheOldToken(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
		replicas := f.start(2)
		holder, operator := replicas[0], replicas[1]
		old := f.token(holder)
		synctest.Wait()
		f.m.FlushAll()
		f.tenant.Inject(1, auth0test.Status(503)) // the operator has to wait a second
		done := make(chan error)
		go func() { done <- operator.source.Rotate(f.t.Context()) }()
		time.Sleep(150 * time.Millisecond)
		holder.lookNow()
		if err := <-done; err == nil && f.token(operator) == old {
			f.t.Error("Rotate returned nil, and the fleet's token is the old one")
		}
	})
}

// A rotation that finds somebody's ordinary renewal must last as long as any.
func TestRotationByARenewalLasts(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 2 * time.Second}, Options{}, func(f *fleet) {
		began := time.Now()
		renewer := f.start(1)[0]
		old := f.token(renewer)
		synctest.Wait()
		operator, lone := f.start(1)[0], f.start(1)[0]
		f.together(f.replicas)
		f.serve(8*time.Hour, 10*time.Minute)
		lone.net.cut()

		// The operator looks just before the renewer has the lease, and hears of it
		// just after that.
		time.Sleep(time.Until(began.Add(9*time.Hour - 50*time.Millisecond)))
		operator.net.set(func() { operator.net.delay = 200 * time.Millisecond })
		if err := operator.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.want(2)
		f.m.Del(operator.source.token.Key())
		operator.net.cut()
		renewer.net.cut()
		lone.net.mend()
		lone.lookNow()
		time.Sleep(time.Second)
		if f.token(f.start(1)[0]) == old {
			f.t.Error("a newcomer has the token that was rotated away")
		}
	})
}

// The lease is lost, and the answer of the one who had it comes after a rotation.
func TestLateAnswerDoesNotOutrankARotation(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 10 * time.Millisecond}, Options{Subscribe: true}, func(f *fleet) {
		replicas := f.start(2)
		slow, operator := replicas[0], replicas[1]
		f.tenant.Inject(1, auth0test.Slow(6*time.Second))
		go func() { _, _ = slow.source.Token(f.t.Context()) }()
		time.Sleep(time.Second)
		f.m.Del(slow.source.client.names.Lock)
		f.token(operator)
		if err := operator.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		want := f.token(operator)
		time.Sleep(10 * time.Second)
		if f.token(f.start(1)[0]) != want {
			f.t.Error("a newcomer has a token that was asked for before the rotation")
		}
	})
}

// A replica that looks, and sees that its token was rotated away, replaces it, also
// if what it was replaced by is lost.
func TestLookShowsARotation(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		replicas := f.start(2)
		operator, other := replicas[0], replicas[1]
		f.token(operator)
		old := f.token(other)
		time.Sleep(time.Minute)
		if err := operator.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.m.Del(operator.source.token.Key())
		other.lookNow()
		time.Sleep(time.Minute)
		if f.token(other) == old {
			f.t.Error("it still serves the token that was rotated away")
		}
		f.want(3)
	})
}

// A floor that a replica has seen is one, though Redis has lost it.
func TestFloorOutlivesRedis(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		replicas := f.start(3)
		operator, other, lone := replicas[0], replicas[1], replicas[2]
		f.token(operator)
		old := f.token(lone)
		lone.net.cut()
		time.Sleep(time.Minute)
		f.tenant.Update(func(c *auth0test.Config) { c.TTL = time.Hour })
		if err := operator.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.token(other)
		operator.close()
		time.Sleep(2 * time.Hour) // nobody uses the others', and it expires
		f.m.FlushAll()
		lone.net.mend()
		lone.lookNow()
		time.Sleep(time.Second) // so that it gives its own back
		if f.token(other) == old {
			f.t.Error("it has adopted a token from before the rotation")
		}
	})
}
