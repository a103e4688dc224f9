package tokencache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/seal"
)

// onEveryRedis runs a test on miniredis, a redis-server and a Cluster.
func onEveryRedis(t *testing.T, test func(t *testing.T, rdb redis.UniversalClient)) {
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		m.ClockTTL(true)
		rdb := NewRedisClient(&redis.UniversalOptions{Addrs: []string{m.Addr()}})
		defer rdb.Close()
		test(t, rdb)
	})
	t.Run("redis-server", func(t *testing.T) {
		rdb := NewRedisClient(&redis.UniversalOptions{Addrs: []string{redistest.Start(t).Addr}})
		defer rdb.Close()
		test(t, rdb)
	})
	t.Run("Cluster", func(t *testing.T) {
		rdb := NewRedisClient(&redis.UniversalOptions{Addrs: redistest.StartCluster(t, 3).Addrs()})
		defer rdb.Close()
		test(t, rdb)
	})
}

// newTestSource returns a Source on rdb that nobody uses.
func newTestSource(t testing.TB, rdb redis.UniversalClient) *Source {
	t.Helper()
	cache, err := New(rdb, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cache.Close() })
	s, err := cache.Source(Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testRecord returns a record which, if forced, replaces all that was issued before.
func testRecord(issued, expires int64, forced bool) record {
	return record{issued: issued, expires: expires, body: body{Token: fmt.Sprintf("t%d-%d", issued, expires), Type: "Bearer", TTL: 3600000, By: "r", Forced: forced}}
}

// TestStore is the conformance table of read.lua and commit.lua.
func TestStore(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		s := newTestSource(t, rdb)
		ctx := t.Context()
		look := func() view {
			t.Helper()
			views, err := s.client.look(ctx, s)
			if err != nil {
				t.Fatal(err)
			}
			return views[0]
		}
		v := look()
		if v.record != nil || v.problem != nil || v.lease != 0 || len(v.blocked) != 0 || v.floor != 0 {
			t.Errorf("of nothing: got %+v", v)
		}
		if off := time.Since(time.UnixMilli(v.now)); off.Abs() > time.Minute {
			t.Errorf("the clock of Redis is off by %v", off)
		}

		now := v.now
		for i, step := range []struct {
			issued, expires int64
			forced          bool
			want            string
			stored          [2]int64 // what the fleet has then
		}{
			{5, now + 100000, false, "stored", [2]int64{5, now + 100000}},
			{5, now + 100000, false, "same", [2]int64{5, now + 100000}},
			{5, now + 90000, false, "older", [2]int64{5, now + 100000}},
			{5, now + 110000, false, "stored", [2]int64{5, now + 110000}},
			{6, now + 50000, false, "stored", [2]int64{6, now + 50000}}, // tokens live shorter than they did
			{5, now + 200000, false, "older", [2]int64{6, now + 50000}},
			{7, now + 50000, true, "stored", [2]int64{7, now + 50000}},
			{6, now + 200000, false, "outdated", [2]int64{7, now + 50000}},
			{7, now + 40000, true, "older", [2]int64{7, now + 50000}},
			{9, now + 60000, false, "stored", [2]int64{9, now + 60000}},
			{8, now + 70000, true, "older", [2]int64{9, now + 60000}}, // and is a floor all the same
			{7, now + 70000, false, "outdated", [2]int64{9, now + 60000}},
		} {
			got, err := s.commit(ctx, testRecord(step.issued, step.expires, step.forced), nil)
			if err != nil || got != step.want {
				t.Errorf("step %d: commit: got %q, %v, want %q", i, got, err, step.want)
			}
			v := look()
			if v.record == nil || v.record.issued != step.stored[0] || v.record.expires != step.stored[1] {
				t.Fatalf("step %d: the fleet has %+v, %v, want %v", i, v.record, v.problem, step.stored)
			}
			if want := testRecord(step.stored[0], step.stored[1], false).body.Token; v.record.body.Token != want {
				t.Errorf("step %d: token %q, want %q", i, v.record.body.Token, want)
			}
		}
		if v := look(); v.floor != 8 {
			t.Errorf("the floor is %d, want 8", v.floor)
		}
		if ttl := rdb.PTTL(ctx, s.key).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("the record lives for %v, want as long as its token", ttl)
		}
		if ttl := rdb.PTTL(ctx, s.floorKey).Val(); ttl < maxLife {
			t.Errorf("the floor lives for %v, want longer than any token", ttl)
		}

		// The record is lost, and one from before the rotation comes back.
		rdb.Del(ctx, s.key)
		if got, err := s.commit(ctx, testRecord(7, now+70000, false), nil); err != nil || got != "outdated" {
			t.Errorf("commit from before the rotation after a loss: got %q, %v", got, err)
		}

		// Damage is told, and replaced only by those who have seen it.
		for name, damage := range map[string]func(){
			"garbage":    func() { rdb.HSet(ctx, s.key, "issued", "9", "expires", now+99999, "sealed", "garbage") },
			"wrong type": func() { rdb.Del(ctx, s.key); rdb.LPush(ctx, s.key, "x") },
			"too large": func() {
				rdb.HSet(ctx, s.key, "issued", "9", "expires", now+99999, "sealed", bytes.Repeat([]byte("x"), maxSealed+1))
			},
		} {
			damage()
			v := look()
			if !errors.Is(v.problem, seal.ErrDamaged) || v.record != nil {
				t.Errorf("%s: got %v, %v, want damage", name, v.record, v.problem)
			}
			if got, err := s.commit(ctx, testRecord(9, now+60000, false), v.spoilt); err != nil || got != "stored" {
				t.Errorf("%s: commit: got %q, %v", name, got, err)
			}
			rdb.Del(ctx, s.key)
		}
		rdb.HSet(ctx, s.key, "issued", "9", "expires", now+99999, "sealed", "garbage")
		if got, err := s.commit(ctx, testRecord(9, now+60000, false), []byte("other garbage")); err != nil || got != "older" {
			t.Errorf("commit over a record that was not known to be damaged: got %q, %v", got, err)
		}

		// The lease, the blocks and what was denied come with the same look.
		rdb.Set(ctx, s.client.names.Lock, "x", time.Minute)
		rdb.HSet(ctx, s.client.names.Quota, quota.BlockField(quota.Client), strconv.FormatInt(now+50000, 10)+" 1 2 rate",
			quota.BlockField(s.scopes.audience), "nonsense", quota.BlockField(quota.Tenant), strconv.FormatInt(now-1, 10)+" 1 2 rate",
			s.client.ledger.DeniedField(quota.Early), "client reserve per_hour 42 34 "+strconv.FormatInt(now+50000, 10)+" 0", s.client.ledger.DeniedField(quota.Need), "nonsense")
		v = look()
		if len(v.denied) != 1 || v.denied[0].Priority != quota.Early || v.denied[0].Reason != quota.Reserve || v.denied[0].Used != 34 {
			t.Errorf("got denied %+v, want an early renewal", v.denied)
		}
		if v.lease <= 0 || v.lease > time.Minute || len(v.blocked) != 1 || v.blocked[0].Scope != quota.Client || v.blocked[0].Count != 2 {
			t.Errorf("got lease %v, blocks %+v, want a minute and one block", v.lease, v.blocked)
		}
		rdb.Persist(ctx, s.client.names.Lock)
		rdb.Del(ctx, s.client.names.Quota)
		rdb.Set(ctx, s.client.names.Quota, "wrong type", 0)
		if v := look(); v.lease != -1*time.Millisecond || len(v.blocked) != 0 {
			t.Errorf("got lease %v, blocks %+v, want a lease without an end and no block", v.lease, v.blocked)
		}
	})
}

// The merge is commutative, associative and idempotent: whatever the order of
// commits, and however often each comes, the fleet ends with the same record.
func TestCommitMerges(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		s := newTestSource(t, rdb)
		ctx := t.Context()
		now := time.Now().UnixMilli()
		for range 50 {
			var records []record
			for range 6 {
				records = append(records, testRecord(rand.Int64N(5), now+600000+rand.Int64N(5)*1000, rand.IntN(4) == 0))
			}
			want := slices.MaxFunc(records, record.order)
			for range 3 {
				rdb.Del(ctx, s.key, s.floorKey)
				order := append(slices.Clone(records), records[rand.IntN(6)], records[rand.IntN(6)])
				rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				for _, r := range order {
					if _, err := s.commit(ctx, r, nil); err != nil {
						t.Fatal(err)
					}
				}
				views, err := s.client.look(ctx, s)
				if err != nil || views[0].record == nil || views[0].record.order(want) != 0 {
					t.Fatalf("after %v: the fleet has %+v, %v, want %+v", order, views[0].record, err, want)
				}
			}
		}
	})
}

// Several tokens are looked at in one command.
func TestLookAtMany(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		first := newTestSource(t, rdb)
		batch := []*Source{first}
		for i := range 70 {
			cred := first.cred
			cred.Audience = strconv.Itoa(i)
			s, err := first.client.cache.Source(cred)
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, s)
		}
		expires := time.Now().Add(time.Hour).UnixMilli()
		for i, s := range batch {
			if i%2 == 0 {
				if _, err := s.commit(t.Context(), testRecord(int64(i), expires, false), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		views, err := first.client.look(t.Context(), batch...)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range views {
			if (v.record != nil) != (i%2 == 0) || v.record != nil && v.record.issued != int64(i) || v.problem != nil {
				t.Errorf("token %d: got %+v, %v", i, v.record, v.problem)
			}
		}
	})
}

// What is sealed is there again when it is opened.
func TestRecords(t *testing.T) {
	key, _ := seal.Derive("secret", "context")
	ring := seal.Ring{key}
	r := testRecord(2, 1700000000000, false)
	r.body.Extra = map[string]any{"scope": "read"}
	sealed, err := sealRecord(ring, "key", r)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(r.body.Token)) {
		t.Error("the token is in clear in its record")
	}
	got, err := openRecord(ring, "key", 2, 1700000000000, sealed)
	if err != nil || got.body.Token != r.body.Token || got.body.Extra["scope"] != "read" || got.order(r) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	r.body.Token = string(bytes.Repeat([]byte("x"), maxSealed))
	if _, err := sealRecord(ring, "key", r); err == nil {
		t.Error("a record larger than any is read was sealed")
	}
}

// No token lives for more than thirty days, whoever has sealed it.
func TestRecordFromTheFarFuture(t *testing.T) {
	cache, err := New(redis.NewClient(&redis.Options{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	s, err := cache.Source(Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "c", ClientSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for days, good := range map[int]bool{29: true, 31: false} {
		r := record{expires: now.AddDate(0, 0, days).UnixMilli(), body: body{Token: "abc", Type: "Bearer", TTL: (24 * time.Hour).Milliseconds(), By: "r"}}
		sealed, err := sealRecord(s.ring, s.key, r)
		if err != nil {
			t.Fatal(err)
		}
		v := view{glance: glance{now: now.UnixMilli()}}
		v.decodeRecord(s, "0", strconv.FormatInt(r.expires, 10), sealed)
		if (v.record != nil) != good || (v.problem == nil) != good {
			t.Errorf("a record that ends in %d days: got %v, problem %v", days, v.record != nil, v.problem)
		}
	}
}

func FuzzOpenRecord(f *testing.F) {
	key, _ := seal.Derive("secret", "context")
	ring := seal.Ring{key}
	sealed, _ := sealRecord(ring, "key", testRecord(1, 2, false))
	f.Add(int64(1), int64(2), sealed)
	f.Add(int64(0), int64(0), []byte{})
	f.Fuzz(func(t *testing.T, issued, expires int64, sealed []byte) {
		// As if it were sealed here: what is inside is not believed either.
		r, err := openRecord(ring, "key", issued, expires, ring.Seal(sealed, "key", strconv.FormatInt(issued, 10), strconv.FormatInt(expires, 10)))
		if err == nil && (!bearerCharset(r.body.Token) || r.ttl() <= 0 || r.ttl() > maxLife || r.issued < 0 || r.expires <= 0) {
			t.Errorf("got an impossible record: %+v", r)
		}
		if _, err := openRecord(ring, "elsewhere", issued, expires, sealed); err == nil {
			t.Errorf("opened somewhere else")
		}
	})
}

func FuzzDecodeView(f *testing.F) {
	rdb := redis.NewClient(&redis.Options{})
	f.Cleanup(func() { _ = rdb.Close() })
	s := newTestSource(f, rdb)
	f.Add("1700000000000", "0", "1700000000001 1 1 x", "1", "1700000005000", "x", "1")
	f.Add("1700000000000", "0", "client spent per_hour 42 42 1700000000001 0", "1", "1700000005000", "x", "1")
	f.Add("x", "-1", "", "damaged", "", "", "")
	f.Fuzz(func(t *testing.T, now, lease, field, issued, expires, sealed, floor string) {
		reply := append([]string{now, lease}, slices.Repeat([]string{field}, len(s.scopeList)+len(priorities))...)
		reply = append(reply, issued, expires, sealed, floor)
		views, err := glance{}.decode(reply, s.scopeList, []*Source{s})
		if err != nil {
			return
		}
		v := views[0]
		if v.record != nil || v.now <= 0 || v.lease < -time.Millisecond {
			t.Errorf("of %q: got %+v", reply, v)
		}
		for _, b := range v.blocked {
			if b.Remaining <= 0 || b.Remaining > quota.MaxWait+time.Minute {
				t.Errorf("of %q: block %+v", reply, b)
			}
		}
		for _, denied := range v.denied {
			if denied.RetryIn <= 0 || denied.RetryIn > quota.MaxWait+time.Minute {
				t.Errorf("of %q: denied %+v", reply, denied)
			}
		}
		s.client.mu.Lock()
		s.merge(v)
		s.client.mu.Unlock()
	})
}

func FuzzParseNews(f *testing.F) {
	rdb := redis.NewClient(&redis.Options{})
	f.Cleanup(func() { _ = rdb.Close() })
	s := newTestSource(f, rdb)
	f.Add([]byte("look"))
	f.Add([]byte("token " + s.id + " 1 2 1700000000000 sealed"))
	f.Add([]byte("token  1 2 3 "))
	f.Fuzz(func(t *testing.T, message []byte) {
		n, ok := parseNews(message)
		if ok && n.id != "" && len(n.sealed) > 2*maxSealed {
			t.Errorf("of %d bytes: got %d sealed", len(message), len(n.sealed))
		}
		if ok && n.id != "" && (!bytes.HasPrefix(message, fmt.Appendf(nil, "token %s %s %s ", n.id, n.issued, n.expires)) || !bytes.HasSuffix(message, n.sealed) || n.now <= 0) {
			t.Errorf("of %q: got %+v", message, n)
		}
		s.client.hear(message, s.client.cache.moment())
		if s.held.Load() != nil {
			t.Errorf("adopted something from %q", message)
		}
	})
}

func TestNews(t *testing.T) {
	sealed := []byte("sealed with blanks \x00 and\nall")
	n, ok := parseNews(append([]byte("token id 3 1700000000000 1690000000000 "), sealed...))
	if !ok || n.id != "id" || n.issued != "3" || n.expires != "1700000000000" || n.now != 1690000000000 || !bytes.Equal(n.sealed, sealed) {
		t.Errorf("got %+v, %v", n, ok)
	}
	if n, ok := parseNews([]byte(lookNews)); !ok || n.id != "" {
		t.Errorf("look: got %+v, %v", n, ok)
	}
	for _, bad := range []string{"", "token", "token id 1 2", "token id 1 2 3", "Look", "tok id 1 2 3 x", "token  1 2 3 x", "token id 1 2 x x", "token id 1 2 0 x"} {
		if n, ok := parseNews([]byte(bad)); ok {
			t.Errorf("%q: got %+v", bad, n)
		}
	}
}

// A context that is over is an outage to nobody but its owner.
func TestLookHeedsContext(t *testing.T) {
	m := miniredis.RunT(t)
	rdb := NewRedisClient(&redis.UniversalOptions{Addrs: []string{m.Addr()}})
	defer rdb.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newTestSource(t, rdb).client.look(ctx); !errors.Is(err, ErrRedis) {
		t.Errorf("got %v", err)
	}
}
