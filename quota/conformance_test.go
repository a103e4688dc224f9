package quota_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/quota"
)

// TestConformance runs one table on every kind of Redis: what miniredis lets
// pass, a real one may not, and a Cluster even less.
func TestConformance(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
		defer rdb.Close()
		conformance(t, rdb)
	})
	t.Run("redis-server", func(t *testing.T) {
		conformance(t, redistest.Start(t).Client())
	})
	t.Run("Cluster", func(t *testing.T) {
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.StartCluster(t, 3).Addrs()})
		defer rdb.Close()
		conformance(t, rdb)
	})
}

func conformance(t *testing.T, rdb redis.UniversalClient) {
	ctx := t.Context()
	l := quota.NewLedger(rdb, "{c}:quota", &quota.Options{Journal: "{c}:journal", Enforced: true})
	limits := func(hour, day string) http.Header {
		return http.Header{quota.ClientHeader: {fmt.Sprintf("b=per_hour;%s;t=1800,b=per_day;%s;t=40000", hour, day)}}
	}
	block := quota.Block{Scope: "audience:x", Reason: "audience", Base: 30 * time.Second, Cap: time.Hour}

	type step struct {
		id       string
		priority quota.Priority
		answer   *quota.Answer // nil: none yet
		denied   quota.Reason  // empty: admitted
		hour     [3]int64      // server, own and used of the hour, after it
	}
	for i, s := range []step{
		{"a1", quota.Need, &quota.Answer{Outcome: quota.Issued, Header: limits("q=10;r=9", "q=20;r=19")}, "", [3]int64{1, 1, 1}},
		{"a1", quota.Need, &quota.Answer{Outcome: quota.Issued, Header: limits("q=10;r=2", "q=20;r=2")}, "", [3]int64{1, 1, 1}}, // a replay
		{"a2", quota.Need, nil, "", [3]int64{1, 2, 2}},
		{"a2", quota.Need, &quota.Answer{Outcome: quota.Unsent}, "", [3]int64{1, 1, 1}},
		{"a3", quota.Early, &quota.Answer{Outcome: quota.Unknown}, "", [3]int64{1, 2, 2}},
		{"a4", quota.Need, &quota.Answer{Outcome: quota.Issued, Header: limits("q=10;r=3", "q=20;r=13")}, "", [3]int64{7, 3, 7}},
		{"a5", quota.Forced, &quota.Answer{Outcome: quota.Refused}, "", [3]int64{7, 3, 7}}, // costs nothing
		{"a6", quota.Forced, &quota.Answer{Outcome: quota.Unknown}, "", [3]int64{7, 4, 8}},
		{"a7", quota.Need, &quota.Answer{Outcome: quota.Refused, Blocks: []quota.Block{block}, Took: time.Second, Status: "403 access_denied"}, "", [3]int64{7, 4, 8}},
		{"a8", quota.Need, nil, "audience", [3]int64{7, 4, 8}},
		{"a9", quota.Forced, nil, quota.ForcedSpent, [3]int64{7, 4, 8}}, // which lasts longer
	} {
		a := &quota.Attempt{ID: s.id, Priority: s.priority, By: "r/1", Reason: "test", For: "t", Scopes: []quota.Scope{"audience:x"}}
		if i == 3 || i == 6 { // scripts get lost in a failover
			if err := rdb.ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
		_, err := l.Admit(ctx, a)
		denied, _ := errors.AsType[*quota.DeniedError](err)
		switch {
		case err != nil && denied == nil:
			t.Fatalf("step %d: Admit: %v", i, err)
		case denied == nil && s.denied != "" || denied != nil && denied.Reason != s.denied:
			t.Errorf("step %d: Admit: got %v, want reason %q", i, err, s.denied)
		}
		// What the ledger itself denies, it tells others, too.
		told := rdb.HGet(ctx, "{c}:quota", l.DeniedField(s.priority)).Val()
		received := time.Now()
		again, ok := quota.ParseDenied(s.priority, told, received.UnixMilli(), received)
		if ledgers := denied != nil && denied.Bucket != ""; ok != ledgers {
			t.Errorf("step %d: others are told %q after %v", i, told, err)
		} else if ok {
			if again.RetryIn <= 0 || (again.RetryIn-denied.RetryIn).Abs() > 5*time.Second {
				t.Errorf("step %d: others are told to wait %v, want %v", i, again.RetryIn, denied.RetryIn)
			}
			again.RetryIn, again.RetryAt = denied.RetryIn, denied.RetryAt
			if *again != *denied {
				t.Errorf("step %d: others are told %+v, want %+v", i, again, denied)
			}
		}
		if s.answer != nil {
			if _, err := l.Observe(ctx, a, s.answer); err != nil {
				t.Fatalf("step %d: Observe: %v", i, err)
			}
		}
		state, err := l.Peek(ctx)
		if err != nil {
			t.Fatalf("step %d: Peek: %v", i, err)
		}
		w, _ := state.Find(quota.Client, quota.PerHour)
		if got := [3]int64{w.Server, w.Own, w.Used}; got != s.hour {
			t.Errorf("step %d: the hour has server, own, used %v, want %v", i, got, s.hour)
		}
		if w.Remaining < 29*time.Minute || w.Remaining > 30*time.Minute {
			t.Errorf("step %d: the hour has %v left, want half an hour", i, w.Remaining)
		}
	}

	// Until somebody is answered: then it may be granted.
	answered := &quota.Attempt{ID: "a7", Priority: quota.Need, By: "r/1", Reason: "test", For: "t"}
	for i, id := range []string{"a7", "a10"} { // the first is a replay
		answered.ID = id
		if _, err := l.Observe(ctx, answered, &quota.Answer{Outcome: quota.Unsent}); err != nil {
			t.Fatal(err)
		}
		if told := rdb.HGet(ctx, "{c}:quota", l.DeniedField(quota.Forced)).Val(); (told == "") != (i == 1) {
			t.Errorf("after %s: others are told %q", id, told)
		}
	}

	state, err := l.Peek(ctx)
	if err != nil || len(state.Windows) != 2 || len(state.Blocks) != 1 || state.Blocks[0].Reason != "audience" || state.Blocks[0].Count != 1 {
		t.Errorf("Peek: got %+v, %v, want two windows and a block", state, err)
	}
	entries, err := l.Journal(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []string
	for _, e := range entries {
		outcomes = append(outcomes, e.ID+" "+e.Outcome)
	}
	if want := []string{"a7 refused", "a6 unknown", "a5 refused", "a4 issued", "a3 unknown", "a2 unsent", "a1 issued"}; !reflect.DeepEqual(outcomes, want) {
		t.Errorf("Journal: got %q, want %q", outcomes, want)
	}
	for _, key := range []string{"{c}:quota", "{c}:journal"} {
		if ttl, err := rdb.PTTL(ctx, key).Result(); err != nil || ttl <= 0 {
			t.Errorf("%s lives for %v, %v, want an end", key, ttl, err)
		}
	}

	// Somebody puts something else into the keys. It is as good as nothing there.
	for _, key := range []string{"{c}:quota", "{c}:journal"} {
		if err := rdb.Set(ctx, key, "something else", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if state, err := l.Peek(ctx); err != nil || len(state.Windows) != 0 {
		t.Errorf("Peek at something else: got %+v, %v, want an empty state", state, err)
	}
	if entries, err := l.Journal(ctx, 10); err != nil || len(entries) != 0 {
		t.Errorf("Journal of something else: got %v, %v, want no entries", entries, err)
	}
	a := &quota.Attempt{ID: "later", Priority: quota.Need, By: "r/1", Reason: "test", For: "t"}
	if _, err := l.Admit(ctx, a); err != nil {
		t.Errorf("Admit: %v", err)
	}
	if _, err := l.Observe(ctx, a, &quota.Answer{Outcome: quota.Issued, Header: limits("q=10;r=9", "q=20;r=19")}); err != nil {
		t.Errorf("Observe: %v", err)
	}
	if state, err := l.Peek(ctx); err != nil || len(state.Windows) != 2 {
		t.Errorf("Peek: got %+v, %v, want the two windows of the answer", state, err)
	}
	if entries, err := l.Journal(ctx, 10); err != nil || len(entries) != 1 || entries[0].Outcome != "issued" {
		t.Errorf("Journal: got %+v, %v, want the one attempt", entries, err)
	}
}
