package tokencache

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/redis/go-redis/v9"
)

func TestColdStart(t *testing.T) {
	for _, n := range []int{1, 2, 50, 200} {
		// At the very same moment, nobody sees that the lease is held before trying.
		t.Run(fmt.Sprint(n), coldStart(n, 0, 7))
		t.Run(fmt.Sprintf("%d, one after the other", n), coldStart(n, 50*time.Millisecond/time.Duration(n), 5))
	}
}

// coldStart starts n replicas, a little apart. Most of them may send Redis so many
// commands.
func coldStart(n int, apart time.Duration, most int64) func(t *testing.T) {
	return func(t *testing.T) {
		story(t, &auth0test.Config{Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
			counters := make([]counter, n)
			for i, r := range f.start(n) {
				r.rdb.AddHook(&counters[i])
			}
			var wg sync.WaitGroup
			start := time.Now()
			for i, r := range f.replicas {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * apart)
					f.token(r)
				})
			}
			wg.Wait()
			if slowest := time.Since(start); slowest != 100*time.Millisecond {
				t.Errorf("the slowest of %d replicas had its token after %v, want 100 ms, the endpoint's own time", n, slowest)
			}
			f.want(1)
			var commands []int64
			for i := range counters {
				commands = append(commands, counters[i].n.Load())
			}
			slices.Sort(commands)
			if others := commands[:n-1]; n > 1 && others[n-2] > 10 || n > 2 && others[n/2] > most {
				f.t.Errorf("got %v commands of each replica, want %d of most of them, and 10 at most but for the renewer", commands, most)
			}
		})
	}
}

// Many callers on each of many replicas are one request all the same.
func TestColdStartWithManyCallers(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
		var everybody []*testReplica
		for _, r := range f.start(50) {
			everybody = append(everybody, slices.Repeat([]*testReplica{r}, 10)...)
		}
		if slowest := f.together(everybody); slowest != 100*time.Millisecond {
			f.t.Errorf("the slowest of %d callers had its token after %v, want 100 ms, the endpoint's own time", len(everybody), slowest)
		}
		f.want(1)
	})
}

// A replica sees neither a token nor a lease. Before it takes the lease, another one has
// had it, and a token. So it fetches again under the lease, when it is cold and when it
// renews.
func TestFetchUnderTheLease(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		replicas := f.start(2)
		first, second := replicas[0], replicas[1]
		second.listensAlready() // so that it gets no notification
		var before atomic.Value // what second sends last before it takes the lease
		var renew func()
		before.Store("exists")
		second.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
			err := next(ctx, cmd)
			if is := fmt.Sprint(cmd.Args()...); strings.Contains(is, before.Load().(string)) {
				before.Store("nothing any more")
				renew()
				for f.m.Exists(first.source.client.names.Lock) {
					time.Sleep(time.Millisecond)
				}
			}
			return err
		}))
		renew = func() { f.token(first) }
		f.token(second)
		synctest.Wait()
		f.want(1)

		for _, r := range replicas {
			f.token(r)
			r.source.putOff(10 * time.Hour)
		}
		time.Sleep(9*time.Hour + 30*time.Minute)
		old := f.token(first)
		before.Store("-- read:")
		renew = func() {
			first.source.putOff(0)
			for f.token(first) == old {
				time.Sleep(time.Millisecond)
			}
		}
		second.source.putOff(0)
		time.Sleep(time.Second)
		if before.Load() != "nothing any more" || f.token(second) == old {
			f.t.Error("the second replica did not renew after the first")
		}
		f.want(2)
	})
}

// Whoever waits for a lease that has less than a millisecond left does not ask
// again and again, all the while: here that would be for ever.
func TestLastMillisecondOfALease(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		lock := r.source.client.names.Lock
		h := r.source.held.Load()
		time.Sleep(time.Until(h.since.Add(h.Look)) - time.Millisecond/4)
		_ = f.m.Set(lock, "somebody's that died")
		f.m.SetTTL(lock, time.Millisecond/2)
		time.Sleep(time.Minute)
		f.want(2)
	})
}

// renews reports whether r holds the lease.
func (r *testReplica) renews() bool {
	value, _ := r.net.m.Get(r.source.client.names.Lock)
	return strings.Contains(value, r.cache.locker.ID())
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

func (f *fleet) client(r *testReplica) *http.Client {
	return &http.Client{Transport: r.source.Transport(f.tenant.Transport())}
}

// read returns the record of s as it lies in Redis.
func (f *fleet) read(s *Source) map[string]string {
	record := map[string]string{}
	for _, field := range []string{"issued", "expires", "sealed"} {
		record[field] = f.m.HGet(s.token.Key(), field)
	}
	return record
}
