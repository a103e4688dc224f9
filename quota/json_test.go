package quota_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/redis/go-redis/v9"
)

// Durations are seconds in JSON, the fields have the names that status documents, and
// what is written can be read.
func TestJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	state := quota.State{
		Windows: []quota.Window{{Scope: quota.Client, Bucket: "per_hour", Quota: 42, Server: 3, Own: 2, Used: 3, Forced: 1, Resets: at, Remaining: 90 * time.Second, Confirmed: true}},
		Blocks:  []quota.Blocked{{Scope: quota.Tenant, Reason: "unavailable", Remaining: 1500 * time.Millisecond, Count: 2}},
		Modes:   map[quota.Scope]string{quota.Client: "enforced"},
	}
	entry := quota.Entry{ID: "1", At: at, By: "r", Reason: "cold", For: "t", Priority: "need", Outcome: "issued", Status: "200", Header: "h", Took: 250 * time.Millisecond}
	for _, row := range []struct {
		value, read any
		want        []string
	}{
		{&state, new(quota.State), []string{`"windows":[{`, `"scope":"client"`, `"bucket":"per_hour"`, `"quota":42`, `"server":3`, `"own":2`, `"used":3`, `"forced":1`,
			`"resets":"2026-01-02T03:04:05Z"`, `"confirmed":true`, `"left":90}`, `"blocks":[{`, `"reason":"unavailable"`, `"count":2`, `"left":1.5}`, `"modes":{"client":"enforced"}`}},
		{&entry, new(quota.Entry), []string{`"id":"1"`, `"at":"2026-01-02T03:04:05Z"`, `"by":"r"`, `"why":"cold"`, `"for":"t"`, `"priority":"need"`, `"outcome":"issued"`, `"status":"200"`, `"header":"h"`, `"took":0.25`}},
	} {
		text, err := json.Marshal(row.value)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range row.want {
			if !strings.Contains(string(text), want) {
				t.Errorf("got %s, want %s in it", text, want)
			}
		}
		if err := json.Unmarshal(text, row.read); err != nil || !reflect.DeepEqual(row.read, row.value) {
			t.Errorf("got %+v, %v, want %+v", row.read, err, row.value)
		}
	}
}

// Snapshots are read from as many values as there are.
func TestParseSnapshot(t *testing.T) {
	now := time.Now()
	scopes := []quota.Scope{quota.Client, quota.Tenant}
	l := quota.NewLedger(nil, "{k}", nil)
	fields := l.SnapshotFields(scopes...)
	if len(fields) != 6 || fields[0] != "b:client" || fields[2] != "d:need" {
		t.Fatalf("got fields %q", fields)
	}
	until := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).UnixMilli(), 10) }
	values := []string{until(time.Minute) + " 1 2 rate", "nonsense", "client spent per_hour 42 42 " + until(time.Minute) + " 0"}
	for n := range len(values) + 1 {
		s := quota.ParseSnapshot(scopes, values[:n], now.UnixMilli(), now)
		if len(s.Blocked) != min(n, 1) || len(s.Denied) != max(0, n-2) {
			t.Errorf("of %d values: got %+v", n, s)
		}
	}
	if s := quota.ParseSnapshot(nil, nil, 0, now); s.Blocked != nil || s.Denied != nil {
		t.Errorf("of nothing: got %+v", s)
	}
}

// Values out of range make no exported function panic.
func TestOutOfRange(t *testing.T) {
	far, never := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
	for _, n := range []int{math.MinInt, -1, 0, 1, math.MaxInt} {
		_ = quota.Priority(n).String()
		_ = quota.Outcome(n).String()
		for _, d := range []time.Duration{never, -1, 0, 1, far} {
			b := quota.Block{Scope: "", Reason: "", Wait: d, Base: d, Cap: d}
			if got := b.Backoff(n); got < 0 {
				t.Errorf("%+v: the %d. wait is %v", b, n, got)
			}
			_ = (&quota.DeniedError{Priority: quota.Priority(n), RetryIn: d}).Error()
		}
	}
	_ = quota.Scope("").Kind()
	_ = quota.Named("", "").Kind()
	_ = quota.Length("")
	_ = quota.Limits(nil).String()
	_ = quota.Limit{Quota: math.MinInt64, Remaining: math.MaxInt64}.String()
	_, _ = quota.Limit{Quota: math.MinInt64, Remaining: math.MaxInt64, HasRemaining: true}.Used()
	_ = quota.Window{Quota: math.MinInt64, Used: math.MaxInt64}.Free()

	rdb := redis.NewClient(&redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }, MaxRetries: -1})
	defer rdb.Close()
	l := quota.NewLedger(rdb, "", nil)
	for _, a := range []*quota.Attempt{{}, {ID: "x", Priority: math.MaxInt}, {ID: "x", Priority: -1}} {
		if _, err := l.Admit(t.Context(), a); err == nil {
			t.Errorf("%+v is admitted without Redis", a)
		}
		if _, err := l.Observe(t.Context(), a, &quota.Answer{Outcome: math.MaxInt, Took: far, Blocks: []quota.Block{{Wait: never}}}); err == nil {
			t.Errorf("%+v is reported without Redis", a)
		}
	}
	for _, n := range []int{math.MinInt, -1, 0, 1, math.MaxInt} {
		_, _ = quota.NewLedger(rdb, "", &quota.Options{Journal: "j"}).Journal(t.Context(), n)
	}
}

// The clock of Redis goes back after a block was set, as by a failover to a host that is
// behind: the block does not last longer than the server asked for.
func TestReport(t *testing.T) {
	t.Run("D13 a block from the future", func(t *testing.T) {
		m := miniredis.RunT(t)
		now := time.Now()
		m.SetTime(now)
		rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
		defer rdb.Close()
		l := quota.NewLedger(rdb, "{k}", nil)
		attempt := func(id string) *quota.Attempt { return &quota.Attempt{ID: id} }
		if _, err := l.Admit(t.Context(), attempt("1")); err != nil {
			t.Fatal(err)
		}
		block := quota.Block{Scope: quota.Client, Reason: "limit", Wait: 20 * time.Second}
		if _, err := l.Observe(t.Context(), attempt("1"), &quota.Answer{Outcome: quota.Refused, Blocks: []quota.Block{block}}); err != nil {
			t.Fatal(err)
		}
		blocked := func() bool {
			values, err := rdb.HMGet(t.Context(), "{k}", l.SnapshotFields(quota.Client)[0]).Result()
			if err != nil {
				t.Fatal(err)
			}
			return len(quota.ParseSnapshot([]quota.Scope{quota.Client}, []string{values[0].(string)}, now.UnixMilli(), now).Blocked) > 0
		}
		if _, err := l.Admit(t.Context(), attempt("2")); !errors.Is(err, quota.ErrDenied) || !blocked() {
			t.Fatalf("got %v, want that the client is blocked", err)
		}
		for _, back := range []time.Duration{time.Second, time.Hour} {
			now = now.Add(-back)
			m.SetTime(now)
			_, err := l.Admit(t.Context(), attempt("after"+back.String()))
			if want := back == time.Second; errors.Is(err, quota.ErrDenied) != want || blocked() != want {
				t.Errorf("%v back: got %v, blocked %v, want it to be blocked: %v", back, err, blocked(), want)
			}
		}
	})
}
