package tokencache

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// Somebody writes into the key of the floor.
func TestGarbageFloor(t *testing.T) {
	for _, garbage := range []string{"1e30", "0x7fffffff", "99999999999999999999", "9223372036854775807"} {
		t.Run(garbage, func(t *testing.T) {
			story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
				f.start(20)
				_ = f.m.Set(f.replicas[0].source.token.MinIssuedKey(), garbage)
				f.together(f.replicas)
				f.want(1)
			})
		})
	}
}

// Somebody writes into our keys, and the type is wrong. That is as good as
// nothing there.
func TestKeysOfAnotherType(t *testing.T) {
	for name, spoil := range map[string]func(f *fleet){
		"quota": func(f *fleet) {
			f.m.Del(f.replicas[0].source.client.names.Quota)
			_ = f.m.Set(f.replicas[0].source.client.names.Quota, "x")
		},
		"journal": func(f *fleet) {
			f.m.Del(f.replicas[0].source.client.names.Journal)
			_ = f.m.Set(f.replicas[0].source.client.names.Journal, "x")
		},
		"lock": func(f *fleet) { f.m.HSet(f.replicas[0].source.client.names.Lock, "x", "y") },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
				r := f.start(1)[0]
				// The quota is known already.
				f.token(r)
				synctest.Wait()
				f.m.Del(r.source.token.Key())
				r.close()
				*r = *f.boot("again")
				spoil(f)
				var err error
				for range 120 {
					if _, err = r.source.Token(f.t.Context()); err == nil {
						break
					}
					time.Sleep(30 * time.Second)
				}
				if err != nil {
					f.t.Errorf("an hour later: %v", err)
				}
				synctest.Wait() // until the ledger is told
				status, err := r.source.Status(f.t.Context())
				if err != nil {
					f.t.Fatal(err)
				}
				if w, _ := status.Quota.Find(quota.Client, quota.PerDay); int(w.Used) != f.requests() {
					f.t.Errorf("the ledger has %d used, and %d requests were sent", w.Used, f.requests())
				}
			})
		})
	}
}

// Somebody publishes again what was published once, and says that it is earlier
// than it is. A replica that has had the token does not fall for it; one that is
// new believes it for no longer than a token lives, until the API refuses it.
func TestNewsIsRepeated(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		h := r.source.held.Load()
		sealed, err := r.source.token.Seal(storeRecord(h.Record))
		if err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(11 * time.Hour) // it is over
		past := time.Now().Add(-20 * 24 * time.Hour).UnixMilli()
		message := fmt.Appendf(nil, "token %s %d %d %d %s", r.source.token.ID, h.Record.Issued, h.Record.Expires, past, sealed)
		r.source.client.handle(message, r.cache.now())
		if h.same(r.source.valid()) {
			f.t.Error("a replica went back to a token that it had, and that is over")
		}
		cold := f.start(1)[0]
		cold.source.client.handle(message, cold.cache.now())
		if h := cold.source.valid(); h != nil && h.Remaining > 10*time.Hour {
			f.t.Errorf("a token of 10 h is believed to have %v left", h.Remaining)
		}
	})
}

// What is too large for a replica to have written does not reach others, and is
// replaced.
func TestLookTransfersLittle(t *testing.T) {
	for _, row := range []struct {
		name string
		put  func(f *fleet, s *Source, big string)
	}{
		{"sealed", func(f *fleet, s *Source, big string) { f.m.HSet(s.token.Key(), "sealed", big) }},
		{"issued", func(f *fleet, s *Source, big string) { f.m.HSet(s.token.Key(), "issued", big) }},
		{"expires", func(f *fleet, s *Source, big string) { f.m.HSet(s.token.Key(), "expires", big) }},
		{"floor", func(f *fleet, s *Source, big string) { _ = f.m.Set(s.token.MinIssuedKey(), big) }},
		{"block", func(f *fleet, s *Source, big string) { f.m.HSet(s.client.names.Quota, "b:client", big) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
				holder := f.start(1)[0]
				f.token(holder)
				synctest.Wait()
				row.put(f, holder.source, strings.Repeat("1", 1<<20))
				newcomer := f.start(1)[0]
				var received atomic.Int64
				newcomer.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
					err := next(ctx, cmd)
					if c, ok := cmd.(*redis.Cmd); ok {
						received.Add(int64(len(fmt.Sprint(c.Val()))))
					}
					return err
				}))
				token := f.token(newcomer)
				if n := received.Load(); n == 0 || n > 2*store.MaxRecordSize {
					f.t.Errorf("%d bytes came from Redis, want some, and %d at most", n, 2*store.MaxRecordSize)
				}
				if f.token(f.start(1)[0]) != token {
					f.t.Error("the record was not replaced")
				}
				if n := f.requests(); n > 2 {
					f.t.Errorf("got %d token requests, want one, and one for the damage", n)
				}
			})
		})
	}
}
