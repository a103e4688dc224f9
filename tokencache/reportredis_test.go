package tokencache

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
	"github.com/redis/go-redis/v9"
)

// TestReportRedis has what users have reported of Redis, and of what lies before it. The
// names begin with those of the reports.
func TestReportRedis(t *testing.T) {
	ten := &auth0test.Config{TTL: 10 * time.Hour, Latency: 100 * time.Millisecond}
	subscribed := func(t *testing.T, limit time.Duration, tell func(f *fleet, changes func() []string)) {
		t.Parallel()
		var mu sync.Mutex
		var seen []string
		hooks := &Hooks{Redis: func(i RedisInfo) {
			mu.Lock()
			defer mu.Unlock()
			change := "up"
			if i.Err != nil {
				change = "down"
			}
			seen = append(seen, change)
		}}
		story(t, ten, Options{Subscribe: true, Hooks: hooks}, func(f *fleet) {
			r := f.start(1)[0]
			r.net.set(func() { r.net.limit = limit })
			f.token(r)
			time.Sleep(10 * time.Second)
			tell(f, func() []string {
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				return append([]string{}, seen...)
			})
		})
	}
	t.Run("D1 D2 the name of Redis leads to another server", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			first, second := miniredis.NewMiniRedis(), miniredis.NewMiniRedis()
			at := &link{m: first}
			rdb := NewRedisClient(&redis.UniversalOptions{Addrs: []string{"redis.test:6379"}, Dialer: at.dial})
			set := func(value string) {
				if err := rdb.Set(t.Context(), "key", value, 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			set("before")
			at.set(func() { at.m = second })
			set("at once") // over the connection that is there, as its server answers
			time.Sleep(6 * time.Minute)
			set("later")
			for m, want := range map[*miniredis.Miniredis]string{first: "at once", second: "later"} {
				if got, _ := m.Get("key"); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			_ = rdb.Close()
		})
	})
	t.Run("D4 a secret that can be guessed", func(t *testing.T) {
		t.Parallel()
		key := func(b byte) [][]byte { return [][]byte{bytes.Repeat([]byte{b}, 32)} }
		story(t, ten, Options{EncryptionKeys: key(1)}, func(f *fleet) {
			f.tenant.Update(func(c *auth0test.Config) { c.ClientSecret = "another" })
			r := f.start(1)[0]
			if _, err := r.source.Token(f.t.Context()); ClassOf(err) != ClassCredentials {
				f.t.Fatalf("got %v, want that the secret is wrong", err)
			}
			dump := f.m.Dump()
			if !strings.Contains(dump, string(r.source.scopes.Credentials)) {
				f.t.Error("the refusal left no block for the credentials")
			}
			// These are what an attacker without the key can make of the right guess.
			f.opts.EncryptionKeys = key(2)
			guess := f.start(1)[0].source
			if mine := r.source.scopes; mine.Credentials == guess.scopes.Credentials || mine.Request == guess.scopes.Request {
				f.t.Error("the names do not depend on the key")
			}
			secret := guess.cred.ClientSecret
			for _, name := range []quota.Scope{
				guess.scopes.Credentials, guess.scopes.Request, quota.Named("credentials", secret),
				quota.Named("credentials", store.Hash("credentials", secret, guess.cred.Encoding.String())),
				quota.Named("request", store.Hash(guess.token.ID, secret, guess.cred.Encoding.String())),
			} {
				if strings.Contains(dump, string(name)) {
					f.t.Errorf("%s is in Redis", name)
				}
			}
		})
	})
	for _, limit := range []time.Duration{15 * time.Second, 30 * time.Second, 50 * time.Second, 5 * time.Minute} {
		t.Run("D6 an idle limit of "+limit.String(), func(t *testing.T) {
			subscribed(t, limit, func(f *fleet, changes func() []string) {
				r := f.replicas[0]
				time.Sleep(10 * time.Minute) // to find the limit
				dialled := func() (n int) { r.net.set(func() { n = r.net.dials }); return n }
				each, dials := counted(f.replicas), dialled()
				time.Sleep(time.Hour)
				if n := each(); n > 0 {
					f.t.Errorf("%v commands in an hour, want none", n)
				}
				if n := dialled() - dials; n > 0 {
					f.t.Errorf("%d connections in an hour, want none", n)
				}
				if got := changes(); len(got) > 0 {
					f.t.Errorf("Redis was said to be %v", got)
				}
			})
		})
	}
	t.Run("D7 a subscription that nothing arrives on", func(t *testing.T) {
		subscribed(t, 0, func(f *fleet, _ func() []string) {
			r := f.replicas[0]
			old := f.token(r)
			r.net.halfOpen()
			time.Sleep(2 * time.Minute)
			if err := f.start(1)[0].source.Rotate(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
			time.Sleep(time.Second)
			if f.token(r) == old {
				f.t.Error("a rotation was not heard, two minutes after the connection had become half-open")
			}
		})
	})
	for name, away := range map[string]func(f *fleet) (back func()){
		"D8 the network to Redis breaks": func(f *fleet) func() { f.replicas[0].net.cut(); return f.replicas[0].net.mend },
		"D8 Redis is stopped":            func(f *fleet) func() { return f.replicas[0].net.freeze() },
		"D8 Redis refuses, after a restart": func(f *fleet) func() {
			f.m.SetError("LOADING Redis is loading the dataset in memory")
			f.replicas[0].net.drop()
			return func() { f.m.SetError("") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			subscribed(t, 0, func(f *fleet, changes func() []string) {
				back := away(f)
				time.Sleep(keepAlive + 5*time.Second)
				if got := strings.Join(changes(), " "); got != "down" {
					f.t.Errorf("Redis is away: got %q", got)
				}
				time.Sleep(10 * time.Minute)
				back()
				time.Sleep(time.Minute)
				if got := strings.Join(changes(), " "); got != "down up" {
					f.t.Errorf("Redis is back: got %q", got)
				}
				f.want(1)
			})
		})
	}
}
