package main

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// What a rotation has changed is told when it is in Redis, however long it takes
// to get there.
func TestRotateOnSlowRedis(t *testing.T) {
	t.Parallel()
	tenant := auth0test.NewServer(nil)
	defer tenant.Close()
	rdb := miniredis.RunT(t)
	var slow atomic.Int64 // for how many tokens it was slow
	rdb.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
		if issued := int64(tenant.Issued()); strings.HasPrefix(cmd, "EVAL") && slow.CompareAndSwap(issued-1, issued) {
			time.Sleep(300 * time.Millisecond) // what comes first after a token is what stores it
		}
		return false
	})
	a, stderr := newTestAppAt(t, tenant, "redis://"+rdb.Addr())
	for _, want := range []string{"the fleet had no token and has one now, valid for ", "the token was replaced, 23h59m before its end"} {
		var stdout strings.Builder
		if code := run(t.Context(), []string{"rotate"}, a.env, a.stdin, &stdout, stderr); code != exitOK || !strings.HasPrefix(stdout.String(), want) {
			t.Errorf("got exit code %d, %q and %q, want %d and %q", code, stdout.String(), stderr, exitOK, want)
		}
	}
}
