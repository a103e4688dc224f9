package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
)

// onEveryRedis runs a test on miniredis, a redis-server and a Cluster.
func onEveryRedis(t *testing.T, test func(t *testing.T, rdb redis.UniversalClient)) {
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		m.ClockTTL(true)
		rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{m.Addr()}})
		defer rdb.Close()
		test(t, rdb)
	})
	t.Run("redis-server", func(t *testing.T) {
		rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{redistest.Start(t).Addr}})
		defer rdb.Close()
		test(t, rdb)
	})
	t.Run("Cluster", func(t *testing.T) {
		rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: redistest.StartCluster(t, 3).Addrs()})
		defer rdb.Close()
		test(t, rdb)
	})
}

// A testStore is a Store, one token of it, and its scopes.
type testStore struct {
	*Store
	token  *Token
	scopes []quota.Scope
}

// commit seals a record and commits it.
func (s testStore) commit(ctx context.Context, t *Token, r Record, damaged []byte) (Result, error) {
	sealed, err := t.Seal(r)
	if err != nil {
		return "", err
	}
	return s.Commit(ctx, t, r, sealed, damaged)
}

func newTestStore(rdb redis.UniversalClient) testStore {
	names := NamesFor("fleettoken", "https://tenant.test/oauth/token", "id")
	key, _ := DeriveEncryptionKey("secret", "context")
	return testStore{
		New(rdb, names, quota.NewLedger(rdb, names.Quota, nil)), NewToken(names, "t", KeyRing{key}),
		[]quota.Scope{quota.Client, quota.Tenant, quota.Named("audience", "t")},
	}
}

// testRecord returns a record which, if forced, replaces all that was issued before.
func testRecord(issued, expires int64, forced bool) Record {
	return Record{Issued: issued, Expires: expires, AccessToken: fmt.Sprintf("t%d-%d", issued, expires), Type: "Bearer", Lifetime: time.Hour, RequestedBy: "r", Forced: forced}
}

// TestStore is the conformance table of read.lua and commit.lua.
func TestStore(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		s := newTestStore(rdb)
		ctx := t.Context()
		type view struct {
			Snapshot
			TokenSnapshot
		}
		fetch := func() view {
			t.Helper()
			got, err := s.Fetch(ctx, []*Token{s.token}, s.scopes)
			if err != nil {
				t.Fatal(err)
			}
			return view{got, got.Tokens[0]}
		}
		v := fetch()
		if v.Record != nil || v.Problem != nil || v.Lease != 0 || len(v.Quota.Blocked) != 0 || v.MinIssued != 0 {
			t.Errorf("of nothing: got %+v", v)
		}
		if off := time.Since(time.UnixMilli(v.Now)); off.Abs() > time.Minute {
			t.Errorf("the clock of Redis is off by %v", off)
		}

		now := v.Now
		for i, step := range []struct {
			issued, expires int64
			forced          bool
			want            Result
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
			got, err := s.commit(ctx, s.token, testRecord(step.issued, step.expires, step.forced), nil)
			if err != nil || got != step.want {
				t.Errorf("step %d: commit: got %q, %v, want %q", i, got, err, step.want)
			}
			v := fetch()
			if v.Record == nil || v.Record.Issued != step.stored[0] || v.Record.Expires != step.stored[1] {
				t.Fatalf("step %d: the fleet has %+v, %v, want %v", i, v.Record, v.Problem, step.stored)
			}
			if want := testRecord(step.stored[0], step.stored[1], false).AccessToken; v.Record.AccessToken != want {
				t.Errorf("step %d: token %q, want %q", i, v.Record.AccessToken, want)
			}
		}
		if v := fetch(); v.MinIssued != 8 {
			t.Errorf("the floor is %d, want 8", v.MinIssued)
		}
		if ttl := rdb.PTTL(ctx, s.token.Key()).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("the record lives for %v, want as long as its token", ttl)
		}
		if ttl := rdb.PTTL(ctx, s.token.MinIssuedKey()).Val(); ttl < bearer.MaxLifetime {
			t.Errorf("the floor lives for %v, want longer than any token", ttl)
		}

		// The record is lost, and one from before the rotation comes back.
		rdb.Del(ctx, s.token.Key())
		if got, err := s.commit(ctx, s.token, testRecord(7, now+70000, false), nil); err != nil || got != "outdated" {
			t.Errorf("commit from before the rotation after a loss: got %q, %v", got, err)
		}

		// Damage is told, and replaced only by those who have seen it.
		for name, damage := range map[string]func(){
			"garbage":    func() { rdb.HSet(ctx, s.token.Key(), "issued", "9", "expires", now+99999, "sealed", "garbage") },
			"wrong type": func() { rdb.Del(ctx, s.token.Key()); rdb.LPush(ctx, s.token.Key(), "x") },
			"too large": func() {
				rdb.HSet(ctx, s.token.Key(), "issued", "9", "expires", now+99999, "sealed", bytes.Repeat([]byte("x"), MaxRecordSize+1))
			},
		} {
			damage()
			v := fetch()
			if !errors.Is(v.Problem, ErrDamaged) || v.Record != nil {
				t.Errorf("%s: got %v, %v, want damage", name, v.Record, v.Problem)
			}
			if got, err := s.commit(ctx, s.token, testRecord(9, now+60000, false), v.Damaged); err != nil || got != "stored" {
				t.Errorf("%s: commit: got %q, %v", name, got, err)
			}
			rdb.Del(ctx, s.token.Key())
		}
		rdb.HSet(ctx, s.token.Key(), "issued", "9", "expires", now+99999, "sealed", "garbage")
		if got, err := s.commit(ctx, s.token, testRecord(9, now+60000, false), []byte("other garbage")); err != nil || got != "older" {
			t.Errorf("commit over a record that was not known to be damaged: got %q, %v", got, err)
		}

		// The lease, the blocks and what was denied come with the same look.
		rdb.Set(ctx, s.names.Lock, "x", time.Minute)
		fields := s.ledger.SnapshotFields(quota.Client, s.scopes[2], quota.Tenant) // and of Need, Expiring, Early, Forced
		rdb.HSet(ctx, s.names.Quota, fields[0], strconv.FormatInt(now+50000, 10)+" 1 2 rate",
			fields[1], "nonsense", fields[2], strconv.FormatInt(now-1, 10)+" 1 2 rate",
			fields[5], "client reserve per_hour 42 34 "+strconv.FormatInt(now+50000, 10)+" 0", fields[3], "nonsense")
		v = fetch()
		if len(v.Quota.Denied) != 1 || v.Quota.Denied[0].Priority != quota.Early || v.Quota.Denied[0].Reason != quota.Reserve || v.Quota.Denied[0].Used != 34 {
			t.Errorf("got denied %+v, want an early renewal", v.Quota.Denied)
		}
		if v.Lease <= 0 || v.Lease > time.Minute || len(v.Quota.Blocked) != 1 || v.Quota.Blocked[0].Scope != quota.Client || v.Quota.Blocked[0].Count != 2 {
			t.Errorf("got lease %v, blocks %+v, want a minute and one block", v.Lease, v.Quota.Blocked)
		}
		rdb.Persist(ctx, s.names.Lock)
		rdb.Del(ctx, s.names.Quota)
		rdb.Set(ctx, s.names.Quota, "wrong type", 0)
		if v := fetch(); v.Lease != -1*time.Millisecond || len(v.Quota.Blocked) != 0 {
			t.Errorf("got lease %v, blocks %+v, want a lease without an end and no block", v.Lease, v.Quota.Blocked)
		}
	})
}

// The merge is commutative, associative and idempotent: whatever the order of
// commits, and however often each comes, the fleet ends with the same record.
func TestCommitMerges(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		s := newTestStore(rdb)
		ctx := t.Context()
		now := time.Now().UnixMilli()
		for range 50 {
			var records []Record
			for range 6 {
				records = append(records, testRecord(rand.Int64N(5), now+600000+rand.Int64N(5)*1000, rand.IntN(4) == 0))
			}
			want := slices.MaxFunc(records, Record.Compare)
			for range 3 {
				rdb.Del(ctx, s.token.Key(), s.token.MinIssuedKey())
				order := append(slices.Clone(records), records[rand.IntN(6)], records[rand.IntN(6)])
				rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				for _, r := range order {
					if _, err := s.commit(ctx, s.token, r, nil); err != nil {
						t.Fatal(err)
					}
				}
				got, err := s.Fetch(ctx, []*Token{s.token}, s.scopes)
				if err != nil || got.Tokens[0].Record == nil || got.Tokens[0].Record.Compare(want) != 0 {
					t.Fatalf("after %v: the fleet has %+v, %v, want %+v", order, got.Tokens, err, want)
				}
			}
		}
	})
}

// Several tokens are fetched in one command.
func TestFetchMany(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		s := newTestStore(rdb)
		tokens := []*Token{s.token}
		for i := range 70 {
			tokens = append(tokens, NewToken(s.names, strconv.Itoa(i), s.token.ring))
		}
		expires := time.Now().Add(time.Hour).UnixMilli()
		for i, token := range tokens {
			if i%2 == 0 {
				if _, err := s.commit(t.Context(), token, testRecord(int64(i), expires, false), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := s.Fetch(t.Context(), tokens, s.scopes)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got.Tokens {
			if (v.Record != nil) != (i%2 == 0) || v.Record != nil && v.Record.Issued != int64(i) || v.Problem != nil {
				t.Errorf("token %d: got %+v, %v", i, v.Record, v.Problem)
			}
		}
	})
}

// A record that is sealed and opened is the same record.
func TestRecords(t *testing.T) {
	key, _ := DeriveEncryptionKey("secret", "context")
	ring := KeyRing{key}
	r := testRecord(2, 1700000000000, false)
	r.Extra = map[string]any{"scope": "read"}
	sealed, err := seal(ring, "key", r)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(r.AccessToken)) {
		t.Error("the token is in clear in its record")
	}
	got, err := open(ring, "key", 2, 1700000000000, sealed)
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, %v", got, err)
	}
	r.AccessToken = string(bytes.Repeat([]byte("x"), MaxRecordSize))
	if _, err := seal(ring, "key", r); err == nil {
		t.Error("a record larger than any is read was sealed")
	}
}

// No token lives for more than thirty days, whoever has encrypted it.
func TestRecordFromTheFarFuture(t *testing.T) {
	s := newTestStore(redis.NewClient(&redis.Options{}))
	now := time.Now()
	for days, good := range map[int]bool{29: true, 31: false} {
		r := Record{Expires: now.AddDate(0, 0, days).UnixMilli(), AccessToken: "abc", Type: "Bearer", Lifetime: 24 * time.Hour, RequestedBy: "r"}
		sealed, err := seal(s.token.ring, s.token.key, r)
		if err != nil {
			t.Fatal(err)
		}
		v := decodeToken(s.token, []string{"0", strconv.FormatInt(r.Expires, 10), string(sealed), ""}, now.UnixMilli())
		if (v.Record != nil) != good || (v.Problem == nil) != good {
			t.Errorf("a record that ends in %d days: got %v, problem %v", days, v.Record != nil, v.Problem)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key, _ := DeriveEncryptionKey("secret", "context")
	ring := KeyRing{key}
	sealed, _ := seal(ring, "key", testRecord(1, 2, false))
	f.Add(int64(1), int64(2), sealed)
	f.Add(int64(0), int64(0), []byte{})
	f.Fuzz(func(t *testing.T, issued, expires int64, sealed []byte) {
		// As if it were encrypted here: what is inside is not believed either.
		r, err := open(ring, "key", issued, expires, ring.encrypt(sealed, "key", strconv.FormatInt(issued, 10), strconv.FormatInt(expires, 10)))
		if err == nil && (!bearer.Valid(r.AccessToken) || r.Lifetime <= 0 || r.Lifetime > bearer.MaxLifetime || r.Issued < 0 || r.Expires <= 0) {
			t.Errorf("got an impossible record: %+v", r)
		}
		if _, err := open(ring, "elsewhere", issued, expires, sealed); err == nil {
			t.Errorf("opened somewhere else")
		}
	})
}

func FuzzDecode(f *testing.F) {
	s := newTestStore(redis.NewClient(&redis.Options{}))
	f.Add("1700000000000", "0", "1700000000001 1 1 x", "1", "1700000005000", "x", "1")
	f.Add("1700000000000", "0", "client spent per_hour 42 42 1700000000001 0", "1", "1700000005000", "x", "1")
	f.Add("x", "-1", "", "damaged", "", "", "")
	f.Fuzz(func(t *testing.T, now, lease, field, issued, expires, sealed, floor string) {
		fields := len(s.ledger.SnapshotFields(s.scopes...))
		reply := append([]string{now, lease}, slices.Repeat([]string{field}, fields)...)
		reply = append(reply, issued, expires, sealed, floor)
		v, err := decode(reply, fields, time.Now(), s.scopes, []*Token{s.token})
		if err != nil {
			return
		}
		if v.Tokens[0].Record != nil || v.Now <= 0 || v.Lease < -time.Millisecond {
			t.Errorf("of %q: got %+v", reply, v)
		}
		for _, b := range v.Quota.Blocked {
			if b.Remaining <= 0 || b.Remaining > quota.MaxWait+time.Minute {
				t.Errorf("of %q: block %+v", reply, b)
			}
		}
		for _, denied := range v.Quota.Denied {
			if denied.RetryIn <= 0 || denied.RetryIn > quota.MaxWait+time.Minute {
				t.Errorf("of %q: denied %+v", reply, denied)
			}
		}
	})
}

func FuzzParseNotification(f *testing.F) {
	s := newTestStore(redis.NewClient(&redis.Options{}))
	f.Add([]byte("look"))
	f.Add([]byte("token t 1 2 1700000000000 sealed"))
	f.Add([]byte("token  1 2 3 "))
	f.Fuzz(func(t *testing.T, message []byte) {
		n, ok := ParseNotification(message)
		if ok && len(n.sealed) > 2*MaxRecordSize {
			t.Errorf("of %d bytes: got %d sealed", len(message), len(n.sealed))
		}
		if ok && !n.Released() && (!bytes.HasPrefix(message, fmt.Appendf(nil, "token %s %s %s ", n.TokenID, n.issued, n.expires)) || !bytes.HasSuffix(message, n.sealed) || n.Now <= 0) {
			t.Errorf("of %q: got %+v", message, n)
		}
		if r, ok := n.Record(s.token); ok {
			t.Errorf("read %v from %q", r, message)
		}
	})
}

func TestNotifications(t *testing.T) {
	sealed := []byte("sealed with blanks \x00 and\nall")
	n, ok := ParseNotification(append([]byte("token id 3 1700000000000 1690000000000 "), sealed...))
	if !ok || n.TokenID != "id" || n.issued != "3" || n.expires != "1700000000000" || n.Now != 1690000000000 || !bytes.Equal(n.sealed, sealed) {
		t.Errorf("got %+v, %v", n, ok)
	}
	if n, ok := ParseNotification([]byte(released)); !ok || !n.Released() {
		t.Errorf("released: got %+v, %v", n, ok)
	}
	for _, bad := range []string{"", "token", "token id 1 2", "token id 1 2 3", "Look", "tok id 1 2 3 x", "token  1 2 3 x", "token id 1 2 x x", "token id 1 2 0 x"} {
		if n, ok := ParseNotification([]byte(bad)); ok {
			t.Errorf("%q: got %+v", bad, n)
		}
	}
}
