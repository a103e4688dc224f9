package quota_test

import (
	"context"
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/quota"
)

// An admission in a pipeline is granted if its conditions are met, and counts nothing if
// one is not.
func TestQueueAdmit(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		defer rdb.Close()
		queueAdmit(t, rdb)
	})
	t.Run("redis-server", func(t *testing.T) { queueAdmit(t, redistest.Start(t).Client()) })
	t.Run("Cluster", func(t *testing.T) {
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.StartCluster(t, 3).Addrs()})
		defer rdb.Close()
		queueAdmit(t, rdb)
	})
}

func queueAdmit(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	const lock, record = "{q}:lock", "{q}:record"
	l := quota.NewLedger(rdb, "{q}:ledger", &quota.Options{Journal: "{q}:journal"})
	rdb.Set(ctx, lock, "mine", 0)
	rdb.HSet(ctx, "{q}:other", "a", "b")
	for _, row := range []struct {
		name       string
		conditions []quota.Condition
		want       error
	}{
		{"none", nil, nil},
		{"met", []quota.Condition{{Key: lock, Value: "mine"}, {Key: record}}, nil},
		{"another value", []quota.Condition{{Key: lock, Value: "theirs"}, {Key: record}}, quota.ErrUnmet},
		{"a part of the value", []quota.Condition{{Key: lock, Value: "min"}}, quota.ErrUnmet},
		{"no such key", []quota.Condition{{Key: record, Value: "mine"}}, quota.ErrUnmet},
		{"a key that is not a string", []quota.Condition{{Key: "{q}:other", Value: "b"}}, quota.ErrUnmet},
		{"a key that exists", []quota.Condition{{Key: lock, Value: "mine"}, {Key: "{q}:other"}}, quota.ErrUnmet},
	} {
		before, _ := l.Journal(ctx, 100)
		pipe := rdb.Pipeline()
		pending := l.QueueAdmit(ctx, pipe, &quota.Attempt{ID: row.name[:1] + t.Name()[:1] + string(rune('a'+len(row.name))), By: "me"}, row.conditions...)
		_, _ = pipe.Exec(ctx)
		got, err := pending.Result()
		if !errors.Is(err, row.want) || err == nil && got.Now == 0 {
			t.Errorf("%s: got %+v, %v, want %v", row.name, got, err, row.want)
		}
		after, _ := l.Journal(ctx, 100)
		if counted := len(after) > len(before); counted != (row.want == nil) {
			t.Errorf("%s: counted %v", row.name, counted)
		}
	}
	if _, err := l.QueueAdmit(ctx, rdb.Pipeline(), &quota.Attempt{}).Result(); err == nil {
		t.Error("an attempt without an ID was queued")
	}
}
