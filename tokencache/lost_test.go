package tokencache

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// Redis does what it is told, and nobody hears its reply. There is a token soon
// all the same, for one request, which is counted as one, and the lease is free.
func TestReplyIsLost(t *testing.T) {
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
