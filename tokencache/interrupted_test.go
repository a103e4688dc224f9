package tokencache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// This file is about what breaks off in the middle, where the next step must
// neither come at once, again and again, nor never.

// A tripper is a transport made of a function.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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

// A commandHook stands before each command of a Redis client.
type commandHook func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error

func (h commandHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h commandHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return h(ctx, cmd, next) }
}

// ProcessPipelineHook stands before each command of a pipeline. Those that it lets pass
// are sent together.
func (h commandHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return h.pipeline(ctx, cmds, nil, next)
	}
}

func (h commandHook) pipeline(ctx context.Context, cmds, passed []redis.Cmder, next redis.ProcessPipelineHook) error {
	if len(cmds) == 0 {
		if len(passed) == 0 {
			return nil
		}
		return next(ctx, passed)
	}
	let := false
	err := h(ctx, cmds[0], func(ctx context.Context, cmd redis.Cmder) error {
		let = true
		if err := h.pipeline(ctx, cmds[1:], append(passed, cmd), next); err != nil && cmd.Err() == nil {
			return err
		}
		return cmd.Err()
	})
	if !let {
		_ = h.pipeline(ctx, cmds[1:], passed, next)
	}
	return err
}

// A dialHook stands before each connection.
type dialHook func()

func (d dialHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d()
		return next(ctx, network, addr)
	}
}

func (d dialHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (d dialHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Redis goes away between a renewal and its commit, and nobody asks this replica any
// more. What it has paid for is the fleet's all the same.
func TestTokenThatTheFleetDoesNotHave(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.serve(8*time.Hour, time.Hour)
		r.web.set(func() { r.web.answered = r.net.cut })
		time.Sleep(2 * time.Hour)
		f.want(2)
		r.net.mend()
		time.Sleep(time.Minute)
		r.close()
		f.token(f.start(1)[0])
		f.want(2)
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

// The reply of an admission is lost, again and again. Nothing is sent then, so
// nothing is spent.
func TestReplyOfAdmitIsLost(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		synctest.Wait()
		f.m.Del(r.source.token.Key())
		r.close()
		*r = *f.boot("again")
		lost := 0
		r.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
			err := next(ctx, cmd)
			if s, ok := cmd.(*redis.Cmd); ok && err == nil && lost < 5 {
				if v, _ := s.StringSlice(); len(v) == 3 && v[0] == "admitted" {
					lost++
					cmd.SetErr(io.EOF)
					return io.EOF
				}
			}
			return err
		}))
		for range 60 {
			if _, err := r.source.Token(f.t.Context()); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		status, err := r.source.Status(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		w, _ := status.Quota.Find(quota.Client, quota.PerDay)
		if lost != 5 || int(w.Used) != f.requests() {
			f.t.Errorf("%d replies were lost; the ledger has %d used, and %d requests were sent", lost, w.Used, f.requests())
		}
	})
}

// A subscription breaks as soon as it stands.
func TestSubscriptionsBreakAtOnce(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{Subscribe: true}, func(f *fleet) {
		r := f.start(1)[0]
		var dials atomic.Int64
		r.rdb.AddHook(dialHook(func() {
			dials.Add(1)
			time.AfterFunc(20*time.Millisecond, r.net.drop)
		}))
		_, _ = r.source.Token(f.t.Context())
		time.Sleep(time.Minute)
		r.net.cut()
		if n := dials.Load(); n > 130 {
			f.t.Errorf("got %d connections in a minute", n)
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
