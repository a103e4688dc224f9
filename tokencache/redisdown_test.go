package tokencache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/redis/go-redis/v9"
)

// Redis loses everything. Whoever has a token gives it back; nobody asks for
// another one.
func TestRedisLosesAll(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(10))
		f.serve(8*time.Hour, time.Hour)
		f.m.FlushAll()
		f.serve(90*time.Minute, time.Minute)
		f.want(2) // the renewal that was due

		f.serve(4*time.Hour, time.Hour)
		f.m.FlushAll()
		f.replicas[0].source.fetchNow() // it looks, for whatever reason
		time.Sleep(time.Second)
		f.together(f.start(10)) // cold newcomers find what it gave back
		f.want(2)
	})
}

// Redis can be read and not written, as after a failover that left no primary.
// It stays away for as long as that lasts, and is not asked without a pause.
func TestRedisIsReadOnly(t *testing.T) {
	var changes atomic.Int64
	opts := Options{Hooks: &Hooks{Redis: func(RedisInfo) { changes.Add(1) }}}
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, opts, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		f.serve(9*time.Hour-time.Minute, time.Hour)
		var commands atomic.Int64
		r.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
			commands.Add(1)
			if args := cmd.Args(); strings.HasPrefix(fmt.Sprint(args[0]), "eval") && !strings.HasPrefix(fmt.Sprint(args[1]), "-- read:") {
				cmd.SetErr(errors.New("READONLY You can't write against a read only replica."))
				return cmd.Err()
			}
			return next(ctx, cmd)
		}))
		f.serve(31*time.Minute, time.Second)
		if got := changes.Load(); got > 1 {
			f.t.Errorf("Trace.Redis was told of %d changes, want one", got)
		}
		if got := commands.Load(); got > 1000 {
			f.t.Errorf("got %d commands in half an hour, want them to become rare", got)
		}
	})
}

// Redis takes so long that no token request would fit into a lease. That is
// said, and the endpoint is not asked for what there is no time for.
func TestRedisIsSlowerThanALeaseAllows(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{RequestTimeout: 500 * time.Millisecond}, func(f *fleet) {
		r := f.start(1)[0]
		var commands atomic.Int64
		r.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
			commands.Add(1)
			time.Sleep(280 * time.Millisecond)
			return next(ctx, cmd)
		}))
		start := time.Now()
		for range 5 {
			if _, err := r.source.Token(f.t.Context()); !errors.Is(err, ErrRedis) {
				f.t.Errorf("got %v, want to be told that Redis does not answer", err)
			}
		}
		if took := time.Since(start); took > 5*time.Second || commands.Load() > 50 {
			f.t.Errorf("five callers were told after %v and %d commands", took, commands.Load())
		}
		if got := f.requests(); got > 0 {
			f.t.Errorf("got %d token requests, want none", got)
		}
	})
}

// Redis is away for hours. Whoever has a valid token serves it, and nobody
// waits; when Redis is back, so is everything else.
func TestRedisAwayWithAToken(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(10))
		f.serve(time.Hour, 10*time.Minute)
		for _, r := range f.replicas {
			r.net.cut()
		}
		f.serve(8*time.Hour+50*time.Minute, time.Minute) // far into the renewal window
		f.want(1)
		for _, r := range f.replicas {
			r.net.mend()
		}
		f.serve(time.Minute, time.Second)
		f.want(2)
	})
}

// Redis is back before the token expires. Nobody still waits for its next try
// then: the pauses between them are not longer than what is left.
func TestRedisIsBackBeforeTheEnd(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 40 * time.Second}, Options{RenewBefore: 10 * time.Second, RequestTimeout: time.Second}, func(f *fleet) {
		f.together(f.start(50))
		old := f.token(f.replicas[0])
		f.serve(29*time.Second, time.Second)
		for _, r := range f.replicas {
			r.net.cut()
		}
		f.serve(6*time.Second, 100*time.Millisecond)
		for _, r := range f.replicas {
			r.net.mend()
		}
		f.serve(2900*time.Millisecond, 100*time.Millisecond) // the token has 100 ms left
		for _, r := range f.replicas {
			if f.token(r) == old {
				f.t.Errorf("%s still waits for its next try", r.name)
			}
		}
		f.want(2)
	})
}

// Redis is away, and there is no token: refused, clearly and at once.
func TestRedisAwayWithoutAToken(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		r.net.cut()
		for range 3 {
			start := time.Now()
			_, err := r.source.Token(f.t.Context())
			if took := time.Since(start); took > time.Second {
				f.t.Errorf("took %v, want at most a second", took)
			}
			away, ok := errors.AsType[*RedisError](err)
			if !ok || away.Kind != RedisTransient || !errors.Is(err, ErrRedis) || !errors.Is(err, ErrNoToken) || !errors.Is(err, errUnplugged) {
				f.t.Errorf("got %v, want that Redis is away", err)
			}
		}
		f.want(0)
		r.net.mend()
		time.Sleep(2 * time.Second)
		f.token(r)
		f.want(1)
	})
}

// A client whose options let it dial for minutes holds up nobody.
func TestStuckRedisClient(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		synctest.Wait()
		r.net.set(func() { r.net.slow = 5 * time.Minute })
		r.net.drop()
		f.serve(9*time.Hour+30*time.Minute, time.Minute)

		cold := f.boot("cold")
		defer cold.close()
		cold.net.set(func() { cold.net.slow = 5 * time.Minute })
		for range 30 {
			start := time.Now()
			ctx, cancel := context.WithTimeout(f.t.Context(), 700*time.Millisecond)
			_, err := cold.source.Token(ctx)
			cancel()
			if took := time.Since(start); err == nil || took > 700*time.Millisecond {
				f.t.Errorf("got %v after %v, want an error within the caller's 700 ms", err, took)
			}
			time.Sleep(2 * time.Second)
		}
		if n := cold.cache.stuck.Load(); n > maxStuck {
			f.t.Errorf("%d calls are left behind, want %d at most", n, maxStuck)
		}
		cold.net.mend()
		r.net.mend()
		time.Sleep(6 * time.Minute)
		if n := cold.cache.stuck.Load(); n != 0 {
			f.t.Errorf("%d calls are still left behind after they have returned", n)
		}
		f.token(cold)
	})
}

// By explicit option, a replica asks past Redis, within its budget. What it
// learns goes to Redis when it is back.
func TestDirect(t *testing.T) {
	opts := Options{RedisDownBudget: &RedisDownBudget{Requests: 1, Spread: 10 * time.Second}}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, opts, func(f *fleet) {
		replicas := f.start(10)
		for _, r := range replicas {
			r.net.cut()
		}
		if slowest := f.together(replicas); slowest > 16*time.Second {
			f.t.Errorf("the slowest had a token after %v, want it within the spread of ten seconds and a try", slowest)
		}
		requests := f.tenant.Requests()
		if len(requests) != 10 {
			f.t.Errorf("got %d token requests, want 10: the budget of each", len(requests))
		}
		if spread := requests[len(requests)-1].Arrived.Sub(requests[0].Arrived); spread < time.Second {
			f.t.Errorf("all asked within %v, want them to spread", spread)
		}
		f.serve(time.Hour, time.Minute)
		for _, r := range replicas {
			r.net.mend()
		}
		f.serve(time.Minute, time.Second)
		f.want(10)
		status, err := f.start(1)[0].source.Status(f.t.Context())
		if err != nil || status.Fleet == nil {
			f.t.Fatalf("when Redis is back: got %+v, %v, want the fleet to have a token", status, err)
		}
		if status.Fleet.Remaining < 8*time.Hour || status.Fleet.Remaining > 9*time.Hour {
			f.t.Errorf("the fleet's token has %v left, want a little less than nine hours", status.Fleet.Remaining)
		}
		if w, _ := status.Quota.Find(quota.Client, quota.PerDay); w.Used < 10 {
			f.t.Errorf("the ledger has %d used, want the ten that were asked for meanwhile", w.Used)
		}
		if n := len(status.Journal); n < 10 {
			f.t.Errorf("the journal has %d entries, want the ten", n)
		}
		f.together(f.replicas)
		f.want(10)
	})
}

func TestDirectBudget(t *testing.T) {
	opts := Options{RedisDownBudget: &RedisDownBudget{Requests: 2, Spread: time.Second}}
	story(t, nil, opts, func(f *fleet) {
		r := f.start(1)[0]
		r.net.cut()
		f.tenant.Inject(-1, auth0test.Status(500))
		var failures []string
		for range 20 {
			ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Minute)
			_, err := r.source.Token(ctx)
			cancel()
			if err == nil {
				f.t.Fatal("got a token")
			}
			failures = append(failures, err.Error())
			time.Sleep(time.Minute)
		}
		if got := f.requests(); got != 2 {
			f.t.Errorf("got %d token requests past Redis in twenty minutes, want 2: the hour's budget", got)
		}
		if last := failures[len(failures)-1]; !strings.Contains(last, "budget of 2") {
			f.t.Errorf("the last failure does not tell of the budget: %s", last)
		}
		time.Sleep(time.Hour)
		_, _ = r.source.Token(f.t.Context())
		if got := f.requests(); got <= 2 || got > 4 {
			f.t.Errorf("got %d token requests, want two more at most in the next hour", got)
		}
	})
}

// Redis is away for hours, and the tokens live for ten minutes. The endpoint is
// asked as often as was agreed to; by default, that is never.
func TestLongOutageCostsWhatWasAgreedTo(t *testing.T) {
	long(t)
	for budget, want := range map[int]int{0: 0, 2: 4 * 6 * 2} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			opts := Options{}
			if budget > 0 {
				opts.RedisDownBudget = &RedisDownBudget{Requests: budget, Spread: 10 * time.Second}
			}
			story(t, &auth0test.Config{TTL: 10 * time.Minute}, opts, func(f *fleet) {
				for _, r := range f.start(4) {
					r.net.cut()
				}
				for range 6 * 60 {
					for _, r := range f.replicas {
						ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
						_, _ = r.source.Token(ctx)
						cancel()
					}
					time.Sleep(time.Minute)
				}
				if got := f.requests(); got > want || got < want*9/10 {
					f.t.Errorf("got %d token requests of four replicas in six hours, want %d at most, and not much less", got, want)
				}
			})
		})
	}
}

// write puts a record where that of s belongs.
func (f *fleet) write(s *Source, record map[string]string) {
	for field, value := range record {
		f.m.HSet(s.token.Key(), field, value)
	}
}
