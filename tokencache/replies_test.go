package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/redis/go-redis/v9"
)

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

// From some moment on, each connection gives each reply to the next question, as
// one does that was used by somebody else and not emptied. None is taken for what
// it is not: nobody serves the token of another audience, nor asks without end.
func TestRepliesOfOtherQuestions(t *testing.T) {
	long(t)
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		cred := f.credentials()
		cred.Audience = "another"
		var others []*Source
		for _, r := range f.start(3) {
			other, err := r.cache.Source(cred)
			if err != nil {
				f.t.Fatal(err)
			}
			others = append(others, other)
		}
		f.together(f.replicas)
		mine := f.token(f.replicas[0])
		for _, other := range others {
			if _, err := other.Token(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
		}
		theirs := others[0].held.Load().token.AccessToken
		time.Sleep(time.Minute)
		for _, r := range f.replicas {
			r.net.set(func() { r.net.shift = true })
		}
		for range 50 {
			for i, r := range f.replicas {
				(&testReplica{source: others[i]}).lookNow()
				time.Sleep(100 * time.Millisecond)
				r.lookNow()
				time.Sleep(100 * time.Millisecond)
				if got := f.token(r); got != mine {
					f.t.Fatalf("%s serves another token; that of the other audience: %v", r.name, got == theirs)
				}
				if got := others[i].held.Load().token.AccessToken; got != theirs {
					f.t.Fatalf("%s serves the other audience another token; that of the first: %v", r.name, got == mine)
				}
			}
			time.Sleep(time.Minute)
		}
		f.want(2)
		for _, r := range f.replicas {
			r.net.mend()
		}
		time.Sleep(time.Minute)
		f.together(f.start(3))
		f.want(2)
	})
}

// Redis does what it is told, and nobody hears its reply. There is a token soon
// all the same, for one request, which is counted as one, and the lease is free.
func TestReplyIsLost(t *testing.T) {
	long(t)
	for _, row := range []struct {
		step   string
		script string // a word that is in no other
		within time.Duration
	}{
		{"the lease is taken", "obtain.lua:", 22 * time.Second}, // nobody knows whose it is until it ends,
		{"the request is admitted", "admit:", 5 * time.Second},
		{"the token is stored", "commit:", time.Second},
		{"the answer is noted", "observe:", time.Second},
		{"the lease is given back", "release.lua:", time.Second},
	} {
		t.Run(row.step, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
				var lost atomic.Bool
				r := f.start(1)[0]
				r.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
					err := next(ctx, cmd)
					if err == nil && cmd.Name() == "eval" && slices.Contains(strings.Fields(fmt.Sprint(cmd.Args()[1])), row.script) && !lost.Swap(true) {
						cmd.SetErr(io.EOF)
						return io.EOF
					}
					return err
				}))
				f.insist(r, row.within)
				time.Sleep(time.Minute)
				if !lost.Load() {
					f.t.Fatal("no reply was lost")
				}
				if f.m.Exists(r.source.client.names.Lock) {
					f.t.Error("the lease was not given back")
				}
				f.together(f.start(5))
				f.want(1)
				synctest.Wait()
				status, err := r.source.Status(f.t.Context())
				if err != nil {
					f.t.Fatal(err)
				}
				if w, _ := status.Quota.Find(quota.Client, quota.PerDay); w.Used != 1 {
					f.t.Errorf("the ledger has %d used, want 1", w.Used)
				}
			})
		})
	}
}

// leaseScript returns how many arguments a command gives to a script that is about
// the lease alone, and false if it is none: three to take it, one to give it back.
func (r *testReplica) leaseScript(cmd redis.Cmder) (int, bool) {
	args := cmd.Args()
	if !strings.HasPrefix(cmd.Name(), "eval") || len(args) < 5 || fmt.Sprint(args[2]) != "1" || fmt.Sprint(args[3]) != r.source.client.names.Lock {
		return 0, false
	}
	return len(args) - 4, true
}

// The reply to giving the lease back is lost. The client asks again, and is told
// that the lease is not its own. It is given back, and that is all: nobody has to
// hear of it.
func TestReplyOfReleaseIsLost(t *testing.T) {
	var lines strings.Builder
	opts := Options{Logger: slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 150 * time.Millisecond}, opts, func(f *fleet) {
		var lost atomic.Int32
		for _, r := range f.start(3) {
			r.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
				n, ok := r.leaseScript(cmd)
				value, _ := f.m.Get(r.source.client.names.Lock)
				if !ok || n != 1 || !strings.Contains(value, r.cache.locker.ID()) {
					return next(ctx, cmd)
				}
				r.net.set(func() { r.net.lose = 1 })
				err := next(ctx, cmd)
				if errors.Is(err, redis.Nil) { // the second try found no lease
					lost.Add(1)
				}
				if f.m.Exists(r.source.client.names.Lock) && err == nil {
					f.t.Error("the lease was not given back")
				}
				return err
			}))
		}
		f.together(f.replicas)
		f.serve(9*time.Hour+30*time.Minute, time.Minute)
		f.want(2)
		if got := lost.Load(); got < 2 {
			f.t.Errorf("the reply was lost %d times, want at a cold start and at a renewal", got)
		}
		if f.m.Exists(f.replicas[0].source.client.names.Lock) {
			f.t.Error("the lease is held in the end")
		}
	})
	for _, level := range []string{"level=WARN", "level=ERROR"} {
		if strings.Contains(lines.String(), level) {
			t.Errorf("somebody had to hear of it:\n%s", lines.String())
		}
	}
}

// The reply to taking the lease is lost. Asked again, Redis gives it to the same
// one: nobody waits, and nobody else asks. If that reply is lost as well, nobody
// knows who has the lease, and all wait for its end: that costs time, and no token
// request.
func TestReplyOfObtainIsLost(t *testing.T) {
	for lose, within := range map[int]time.Duration{1: time.Second, 2: dead} {
		t.Run(fmt.Sprint(lose), func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
				var once, told atomic.Bool
				for _, r := range f.start(3) {
					r.listensAlready() // so that no reply to a subscription is lost instead
					r.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
						if n, ok := r.leaseScript(cmd); ok && n == 3 && cmd.Name() == "eval" && !once.Swap(true) {
							r.net.set(func() { r.net.lose = lose })
							err := next(ctx, cmd)
							if !f.m.Exists(r.source.client.names.Lock) || (err == nil) != (lose == 1) {
								f.t.Errorf("%d replies were lost, and the lease was not taken, or %v", lose, err)
							}
							return err
						}
						return next(ctx, cmd)
					}))
				}
				start := time.Now()
				first := f.replicas[:1] // so that it is the one to take the lease
				for ask := first; len(f.tenant.Requests()) == 0 && time.Since(start) < time.Minute; ask = f.replicas {
					for _, r := range ask {
						go func() {
							if _, err := r.source.Token(f.t.Context()); errors.Is(err, ErrRedis) {
								told.Store(true)
							}
						}()
					}
					time.Sleep(100 * time.Millisecond)
				}
				f.together(f.replicas)
				if took := time.Since(start); took > within || !once.Load() {
					f.t.Errorf("%d replies were lost: all had a token after %v, want within %v", lose, took, within)
				}
				if told.Load() != (lose == 2) {
					f.t.Errorf("%d replies were lost: it is %v that somebody was told that Redis did not say", lose, told.Load())
				}
				f.want(1)
			})
		})
	}
}

// insist asks a replica every second until it has a token, and returns when that
// is.
func (f *fleet) insist(r *testReplica, within time.Duration) (took time.Duration) {
	f.t.Helper()
	for start := time.Now(); time.Since(start) < within; time.Sleep(time.Second) {
		if _, err := r.source.Token(f.t.Context()); err == nil {
			return time.Since(start)
		}
	}
	f.t.Errorf("got no token within %v", within)
	return within
}
