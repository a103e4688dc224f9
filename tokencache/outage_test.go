package tokencache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

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

// A subscription that breaks is over at once, and not when its client has made
// another connection in its place, which nobody would read.
func TestBrokenSubscription(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		ear, err := r.source.client.subscribe(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		f.m.Publish(r.source.client.names.Channel, "a word")
		if got := string(<-ear.messages); got != "a word" {
			f.t.Errorf("heard %q", got)
		}
		r.net.mu.Lock()
		r.net.slow = time.Second
		dials := r.net.dials
		r.net.mu.Unlock()
		start := time.Now()
		r.net.drop()
		if message, ok := <-ear.messages; ok {
			f.t.Errorf("heard %q", message)
		}
		if took := time.Since(start); took > 0 {
			f.t.Fatalf("the end of the subscription was noticed after %v", took)
		}
		ear.close()
		if r.net.dials != dials {
			f.t.Errorf("got %d dials for a subscription that is over, want none", r.net.dials-dials)
		}
	})
}

// The errors that Redis gives are told apart, and none of them looks like a held
// lease, or like a fleet without a token.
func TestRedisErrors(t *testing.T) {
	for _, row := range []struct {
		message string
		kind    RedisKind
	}{
		{"LOADING Redis is loading the dataset in memory", RedisTransient},
		{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", RedisTransient},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", RedisTransient},
		{"READONLY You can't write against a read only replica.", RedisTransient},
		{"NOREPLICAS Not enough good replicas to write.", RedisTransient},
		{"CLUSTERDOWN The cluster is down", RedisTransient},
		{"OOM command not allowed when used memory > 'maxmemory'.", RedisTransient},
		{"MISCONF Redis is configured to save RDB snapshots", RedisTransient},
		{"ERR max number of clients reached", RedisTransient},
		{"TRYAGAIN Multiple keys request during rehashing of slot", RedisTransient},
		{"NOSCRIPT No matching script. Please use EVAL.", RedisTransient},
		{"WRONGTYPE Operation against a key holding the wrong kind of value", RedisTransient},
		{"NOAUTH Authentication required.", RedisConfiguration},
		{"WRONGPASS invalid username-password pair or user is disabled.", RedisConfiguration},
		{"NOPERM this user has no permissions to run the 'eval' command", RedisConfiguration},
		{"ERR unknown command 'EVAL'", RedisConfiguration},
		{"MOVED 3999 127.0.0.1:6381", RedisConfiguration},
		{"DENIED Redis is running in protected mode", RedisConfiguration},
	} {
		t.Run(row.message, func(t *testing.T) {
			story(t, nil, Options{}, func(f *fleet) {
				f.m.SetError(row.message)
				_, err := f.start(1)[0].source.Token(f.t.Context())
				away, ok := errors.AsType[*RedisError](err)
				if !ok || away.Kind != row.kind || errors.Is(err, quota.ErrDenied) {
					f.t.Errorf("got %v, want it to be of kind %s", err, row.kind)
				}
				if row.kind == RedisConfiguration && (away.Advice() == "" || !strings.Contains(err.Error(), away.Advice())) {
					f.t.Errorf("the error does not say what to do: %v", err)
				}
				if !strings.Contains(err.Error(), "Redis refused: "+row.message) {
					f.t.Errorf("got %v, want that Redis refused", err)
				}
				f.want(0)
				f.m.SetError("")
				time.Sleep(time.Minute)
				f.token(f.replicas[0])
			})
		})
	}
}

// Who talks to one node of a Cluster as if it were alone is told MOVED, and has to
// change the configuration. A client that knows the way is told so, and too often,
// while a slot is moved.
func TestMovedSlot(t *testing.T) {
	one := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	defer one.Close()
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:6379"}})
	defer cluster.Close()
	moved := fmt.Errorf("lock: acquire: %w", errors.New("MOVED 3999 127.0.0.1:6381"))
	for _, row := range []struct {
		rdb  redis.UniversalClient
		err  error
		want RedisKind
	}{
		{one, moved, RedisConfiguration},
		{cluster, moved, RedisTransient},
		{cluster, errors.New("NOPERM this user has no permissions to run the 'eval' command"), RedisConfiguration},
	} {
		if got := (&Cache{rdb: row.rdb}).redisError(row.err); got.Kind != row.want || !errors.Is(got, row.err) {
			t.Errorf("%T told %q: got %q of kind %s, want %s", row.rdb, row.err, got, got.Kind, row.want)
		}
	}
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

// A replica with the wrong key says so loudly, and makes no token request.
func TestWrongSealKey(t *testing.T) {
	keyOf := func(b byte) []byte { return []byte(strings.Repeat(string(b), 32)) }
	story(t, nil, Options{EncryptionKeys: [][]byte{keyOf('a')}}, func(f *fleet) {
		f.together(f.start(2))
		synctest.Wait()
		f.opts.EncryptionKeys = [][]byte{keyOf('b')}
		odd := f.start(1)[0]
		for range 5 {
			_, err := odd.source.Token(f.t.Context())
			if !errors.Is(err, ErrEncryptionKey) || !errors.Is(err, ErrNoToken) {
				f.t.Errorf("got %v, want ErrSealKey", err)
			}
			time.Sleep(10 * time.Minute)
		}
		f.want(1)

		// Rotating keys: the new one second, then first, then alone.
		f.opts.EncryptionKeys = [][]byte{keyOf('a'), keyOf('b')}
		f.token(f.start(1)[0])
		f.opts.EncryptionKeys = [][]byte{keyOf('b'), keyOf('a')}
		both := f.start(1)[0]
		f.token(both)
		f.want(1)
		if err := both.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(time.Minute)
		f.token(odd)
		f.want(2)
	})
}

// While a new client secret rolls out there are two records, and nobody fights.
func TestSecretRollsOut(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, ClientSecret: "test-secret"}, Options{}, func(f *fleet) {
		f.together(f.start(4))
		cred := f.credentials()
		cred.ClientSecret = "new-secret"
		sources := make([]*Source, 4)
		for i, r := range f.start(4) {
			var err error
			if sources[i], err = r.cache.Source(cred); err != nil {
				f.t.Fatal(err)
			}
			// The new secret does not work yet.
			ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second) // not until it is tried again
			_, err = sources[i].Token(ctx)
			cancel()
			if !errors.Is(err, ErrNoToken) {
				f.t.Errorf("with a secret that is not valid yet: got %v", err)
			}
		}
		refused := f.tenant.Requests().Answered(401)
		if refused != 1 {
			f.t.Errorf("got %d refusals of the wrong secret, want 1 for the whole fleet", refused)
		}
		time.Sleep(time.Second)           // the lease is kept for a while after a refusal
		f.serve(time.Minute, time.Second) // the others do not notice
		f.tenant.Update(func(c *auth0test.Config) { c.ClientSecret = "new-secret" })
		time.Sleep(5 * time.Minute)
		for _, s := range sources {
			if _, err := s.Token(f.t.Context()); err != nil {
				f.t.Error(err)
			}
		}
		if got := f.tenant.Issued(); got != 2 {
			f.t.Errorf("got %d tokens, want 2: one for each secret", got)
		}
	})
}

// With keys to seal by, a token does not depend on the secret by which it was
// asked for: a new secret gets the fleet's token, and asks for none.
func TestNewSecretUnderTheSameSealKey(t *testing.T) {
	opts := Options{EncryptionKeys: [][]byte{[]byte(strings.Repeat("k", 32))}}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, ClientSecret: "test-secret"}, opts, func(f *fleet) {
		f.together(f.start(3))
		token := f.token(f.replicas[0])
		synctest.Wait()
		f.secret = "new-secret"
		for _, r := range f.start(3) {
			if f.token(r) != token {
				f.t.Errorf("%s has another token", r.name)
			}
		}
		f.want(1)
		f.tenant.Update(func(c *auth0test.Config) { c.ClientSecret = "new-secret" })
		f.serve(8*time.Hour, time.Hour)
		f.want(1)
	})
}

// Somebody writes into our keys. Nothing of it is served, and the quota is not
// theirs to spend.
func TestDamagedRecord(t *testing.T) {
	for name, damage := range map[string]func(f *fleet, key string){
		"garbage":        func(f *fleet, key string) { f.m.HSet(key, "sealed", "garbage") },
		"cut":            func(f *fleet, key string) { f.m.HSet(key, "sealed", f.m.HGet(key, "sealed")[:20]) },
		"wrong type":     func(f *fleet, key string) { f.m.Del(key); _ = f.m.Set(key, "x") },
		"too large":      func(f *fleet, key string) { f.m.HSet(key, "sealed", strings.Repeat("x", store.MaxRecordSize+1)) },
		"another moment": func(f *fleet, key string) { f.m.HSet(key, "issued", "9") },
		"a later expiry": func(f *fleet, key string) { f.m.HSet(key, "expires", "99999999999999") },
		"no numbers":     func(f *fleet, key string) { f.m.HSet(key, "issued", "x", "expires", "y") },
		"half of it":     func(f *fleet, key string) { f.m.HDel(key, "expires") },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
				r := f.start(1)[0]
				token := f.token(r)
				synctest.Wait()
				key := r.source.token.Key()
				damage(f, key)

				// Newcomers replace it, but only so often.
				for range 30 {
					newcomer := f.boot("newcomer")
					_, err := newcomer.source.Token(f.t.Context())
					if err != nil && !errors.Is(err, quota.ErrDenied) {
						f.t.Errorf("got %v, want a token or a denial", err)
					}
					newcomer.close()
					damage(f, key)
					time.Sleep(time.Minute)
				}
				if got := f.requests(); got > 6 {
					f.t.Errorf("half an hour of damage cost %d token requests, want a tenth of 42", got)
				}
				if f.token(r) != token {
					f.t.Error("who had a valid token has lost it")
				}
				// Who has a valid token mends it, at no cost.
				before := f.requests()
				r.source.fetchNow()
				synctest.Wait()
				newcomer := f.start(1)[0]
				f.token(newcomer)
				if got := f.requests() - before; got != 0 {
					f.t.Errorf("mending cost %d token requests", got)
				}
			})
		})
	}
}

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

// Everybody backs off together, and then one asks.
func TestQuotaExceeded(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		f.together(f.start(20))
		f.serve(9*time.Hour-time.Minute, time.Hour)
		exceeded := auth0test.QuotaExceeded(20 * time.Minute)
		exceeded.SkipQuotaHeader = true // which would say that the day is spent, too
		f.tenant.Inject(-1, exceeded)
		f.serve(20*time.Minute, time.Minute)
		f.want(2) // one refused
		f.tenant.ClearFaults()
		f.serve(30*time.Minute, time.Minute)
		f.want(3)
	})
	t.Run("cold", func(t *testing.T) {
		story(t, &auth0test.Config{PerHour: 42}, Options{}, func(f *fleet) {
			f.tenant.Inject(1, auth0test.QuotaExceeded(10*time.Minute))
			replicas := f.start(20)
			for _, r := range replicas {
				start := time.Now()
				_, err := r.source.Token(f.t.Context())
				at, ok := retryAt(err)
				if !ok || time.Until(at) < 9*time.Minute || time.Since(start) > time.Millisecond {
					f.t.Errorf("%s: got %v after %v, want to be told at once when to come back", r.name, err, time.Since(start))
				}
			}
			f.want(1)
			for _, r := range replicas { // those with time wait
				go func() {
					ctx, cancel := context.WithTimeout(f.t.Context(), time.Hour)
					defer cancel()
					if _, err := r.source.Token(ctx); err != nil {
						f.t.Error(err)
					}
				}()
			}
			time.Sleep(12 * time.Minute)
			f.want(2)
			requests := f.tenant.Requests()
			if waited := requests[1].Arrived.Sub(requests[0].Arrived); waited < 10*time.Minute {
				f.t.Errorf("a refusal for ten minutes was repeated after %v", waited)
			}
		})
	})
}

// Close finishes what the fleet has paid for, and leaves nothing behind.
func TestClose(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: 3 * time.Second}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		errs := make(chan error, 1)
		go func() { _, err := r.source.Token(f.t.Context()); errs <- err }()
		time.Sleep(time.Second)
		start := time.Now()
		if err := r.cache.Close(); err != nil {
			f.t.Error(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			f.t.Errorf("Close took %v, want the two seconds until the answer", took)
		}
		if err := <-errs; err != nil && !errors.Is(err, ErrClosed) {
			f.t.Errorf("the caller got %v", err)
		}
		if f.m.Exists(r.source.client.names.Lock) {
			f.t.Error("the lease was not given back")
		}
		f.token(f.start(1)[0])
		f.want(1)
		if err := r.cache.Close(); err != nil {
			f.t.Errorf("Close again: %v", err)
		}
		if _, err := r.cache.Source(f.credentials()); !errors.Is(err, ErrClosed) {
			f.t.Errorf("Source after Close: got %v", err)
		}
		f.token(r) // it has one, and serves it
		cold := f.boot("cold")
		cold.cache.Close()
		if _, err := cold.source.Token(f.t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNoToken) {
			f.t.Errorf("Token after Close: got %v", err)
		}
		cold.close()
	})
}

// Hooks and loggers are not ours, and may be broken. Each of them is called, more
// than once, and nothing comes of it.
func TestHooksMayPanic(t *testing.T) {
	var requested, adopted, denied, away, logged atomic.Int32
	boom := func(n *atomic.Int32) { n.Add(1); panic("hook") }
	opts := Options{
		Hooks: &Hooks{
			Requested: func(RequestedInfo) { boom(&requested) }, Adopted: func(AdoptedInfo) { boom(&adopted) },
			Denied: func(DeniedInfo) { boom(&denied) }, Redis: func(RedisInfo) { boom(&away) },
		},
		Logger: slog.New(handler(func(r slog.Record) {
			if !strings.Contains(r.Message, "panicked") {
				boom(&logged)
			}
		})),
	}
	story(t, &auth0test.Config{TTL: time.Hour, PerHour: 42, PerDay: 100}, opts, func(f *fleet) {
		f.together(f.start(2))
		f.replicas[0].net.cut()
		f.serve(50*time.Minute, time.Minute)
		f.replicas[0].net.mend()
		f.serve(2*time.Hour, time.Minute)
		refusal := auth0test.QuotaExceeded(5 * time.Minute)
		refusal.SkipQuotaHeader = true
		for range 3 {
			f.tenant.Inject(1, refusal)
			f.serve(time.Hour, time.Minute)
			f.replicas[0].net.cut()
			f.serve(5*time.Minute, time.Minute)
			f.replicas[0].net.mend()
			f.serve(time.Minute, time.Minute)
		}
		f.together(f.start(2))
		if got := f.requests(); got < 9 || got > 13 {
			f.t.Errorf("got %d token requests in six hours, want one for each three quarters of an hour, and three that were refused", got)
		}
	})
	for name, n := range map[string]*atomic.Int32{"Requested": &requested, "Adopted": &adopted, "Denied": &denied, "Redis": &away, "the logger": &logged} {
		if n.Load() < 2 {
			t.Errorf("%s was called %d times, want more often than its first panic", name, n.Load())
		}
	}
}

// A handler is a function that takes in what is logged.
type handler func(slog.Record)

func (h handler) Enabled(context.Context, slog.Level) bool      { return true }
func (h handler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handler) WithGroup(string) slog.Handler                 { return h }

// Redis evicts everything while the quota is spent: the fleet's block is gone,
// and each replica's own copy of it holds.
func TestBlockIsKeptByEachReplica(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		refusal := auth0test.QuotaExceeded(10 * time.Minute)
		refusal.SkipQuotaHeader = true
		f.tenant.Inject(1, refusal)
		for _, r := range f.start(10) {
			if _, err := r.source.Token(f.t.Context()); !errors.Is(err, quota.ErrDenied) && !errors.Is(err, ErrNoToken) {
				f.t.Errorf("got %v, want a denial", err)
			}
		}
		for range 9 {
			f.m.FlushAll()
			for _, r := range f.replicas {
				if _, err := r.source.Token(f.t.Context()); err == nil {
					f.t.Error("got a token while the quota is spent")
				}
			}
			f.want(1)
			time.Sleep(time.Minute)
		}
		time.Sleep(3 * time.Minute)
		f.together(f.replicas)
		f.want(2)
	})
}

// The limit of the tenant, for a second, comes with the header of a quota that
// is spent, and only watched. It must not be taken for the quota's. (Five minutes
// are the pause between two requests that find out whether it is enforced.)
func TestTenantLimitWithAQuotaThatIsOnlyWatched(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 5, PerDay: 9, Monitor: true}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.tenant.Consume(10)
		f.token(r) // a token in spite of r=0
		synctest.Wait()
		f.m.Del(r.source.token.Key())
		r.close()
		*r = *f.boot("again")
		fault := auth0test.TenantLimit(time.Second)
		write := fault.Handler
		fault.Handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(quota.ClientHeader, "b=per_hour;q=5;r=0;t=3500,b=per_day;q=9;r=0;t=86300")
			write(w, r)
		}
		f.tenant.Inject(1, fault)
		start := time.Now()
		var last error
		for time.Since(start) < 24*time.Hour {
			if _, last = r.source.Token(f.t.Context()); last == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > 6*time.Minute {
			f.t.Errorf("a limit of one second: no token for %v: %v", took, last)
		}
	})
}

// A block of seconds must not cost the budget of an hour.
func TestBlockCostsNoBudget(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{RedisDownBudget: &RedisDownBudget{Spread: time.Millisecond}}, func(f *fleet) {
		r := f.start(1)[0]
		r.source.client.learn([]quota.Blocked{{Scope: quota.Tenant, Reason: "tenant-limit", Remaining: 5 * time.Second, Count: 1}})
		r.net.cut()
		start := time.Now()
		for time.Since(start) < 2*time.Hour {
			if _, err := r.source.Token(f.t.Context()); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > time.Minute {
			f.t.Errorf("a block of 5 s: the first token past Redis came after %v", took)
		}
		r.net.mend()
	})
}

// What is logged at three in the morning says what happened, to whom, until when
// nobody notices, and what happens next.
func TestLogTellsWhatHappensNext(t *testing.T) {
	var lines strings.Builder
	opts := Options{Logger: slog.New(slog.NewTextHandler(&lines, nil))}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, opts, func(f *fleet) {
		f.together(f.start(3))
		f.tenant.Consume(99)
		f.serve(9*time.Hour+50*time.Minute, time.Minute)
	})
	for _, want := range []string{
		`msg="a token request failed" client=…ient reason=early error="the token request failed: `,
		`(status 429 too_many_requests); next attempt at 00:00:`,
		`msg="no token request for now" client=…ient priority=expiring error="quota: the server refused the client: quota exceeded; ask again at 00:00:`,
		`token_valid_until=2000-01-01T10:00:00.000Z`,
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, lines.String())
		}
	}
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

// Close ends a subscription also when so many calls to Redis are left behind that
// there are to be no more.
func TestCloseWhileCallsAreStuck(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{Subscribe: true}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		time.Sleep(time.Second)
		r.cache.stuck.Store(maxStuck)
		closed := make(chan error, 1)
		go func() { closed <- r.cache.Close() }()
		select {
		case err := <-closed:
			if err != nil {
				f.t.Error(err)
			}
		case <-time.After(time.Hour):
			f.t.Error("Close has not returned in an hour")
			r.net.drop()
			<-closed
		}
	})
}

type closer struct{ closed atomic.Bool }

func (c *closer) Close() error { c.closed.Store(true); return nil }

// What comes in the very moment in which a call gives up is returned, or closed.
func TestCallAtItsTimeout(t *testing.T) {
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
		got, err := call(t.Context(), cache, func(ctx context.Context) (*closer, error) {
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

// Refusals are kept apart like all other requests, if many have waited.
func TestRefusalsArePaced(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Audiences: []string{"none of these"}, Latency: 10 * time.Millisecond}, Options{}, func(f *fleet) {
		f.m.SetError("LOADING Redis is loading the dataset in memory")
		var wg sync.WaitGroup
		for i, r := range f.start(8) {
			cred := f.credentials()
			cred.Audience = fmt.Sprint("api-", i)
			s, err := r.cache.Source(cred)
			if err != nil {
				f.t.Fatal(err)
			}
			wg.Go(func() {
				for range 20 {
					if _, err := s.Token(f.t.Context()); !errors.Is(err, ErrRedis) {
						return
					}
					time.Sleep(time.Second)
				}
			})
		}
		time.Sleep(5 * time.Second)
		f.m.SetError("")
		wg.Wait()
		requests := f.tenant.Requests()
		if len(requests) < 8 {
			f.t.Errorf("got %d token requests, want one for each audience", len(requests))
		}
		for i := 2; i < len(requests); i++ {
			if took := requests[i].Arrived.Sub(requests[i-2].Arrived); took < time.Second {
				f.t.Errorf("requests %d to %d came within %v", i-1, i+1, took)
			}
		}
	})
}

// Sealing keys are replaced as Options.EncryptionKeys says, and nobody is without a token.
func TestSealKeysAreRotated(t *testing.T) {
	older, newer := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		for _, keys := range [][][]byte{{older}, {older, newer}, {newer, older}, {newer}} {
			for _, r := range f.replicas {
				r.close()
			}
			f.replicas, f.opts.EncryptionKeys = nil, keys
			f.start(2)
			f.serve(10*time.Hour, time.Hour/4) // so long that what an old key has sealed is over
		}
		f.want(5) // one each nine hours
	})
}

// A replica that cannot reach the token endpoint may be the only one. It blocks
// nobody else, and itself for longer and longer, up to half a minute.
func TestUnreachableForOne(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		attempts := 0
		rt := endpoint.NewTransport(nil)
		rt.Proxy = func(*http.Request) (*url.URL, error) { attempts++; return nil, errors.New("no such proxy") }
		r.cache.rt = rt
		for range 3600 {
			if _, err := r.source.Token(f.t.Context()); err == nil {
				f.t.Fatal("got a token")
			}
			time.Sleep(time.Second)
		}
		if attempts < 60 || attempts > 240 {
			f.t.Errorf("it tried %d times in an hour, want one in half a minute", attempts)
		}
		start := time.Now()
		f.token(f.start(1)[0])
		if took := time.Since(start); took > 0 {
			f.t.Errorf("another one was held up for %v", took)
		}
	})
}
