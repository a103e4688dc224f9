package main

import (
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// TestReport has what users have reported of commands like this one.
func TestReport(t *testing.T) {
	for _, command := range []string{"token", "status", "rotate"} {
		t.Run("D15 "+command+" while Redis is away for a moment", func(t *testing.T) {
			t.Parallel()
			tenant := auth0test.NewServer(nil)
			defer tenant.Close()
			rdb := miniredis.RunT(t)
			a, stderr := newTestAppAt(t, tenant, "redis://"+rdb.Addr())
			rdb.Close()
			back := make(chan error)
			time.AfterFunc(time.Second, func() { back <- rdb.Restart() })
			var stdout strings.Builder
			code := run(t.Context(), []string{command}, a.env, a.stdin, &stdout, stderr)
			if err := <-back; err != nil {
				t.Skipf("another program has taken the port: %v", err)
			}
			if code != exitOK || stdout.Len() == 0 {
				t.Errorf("got exit code %d, %q and %q, want what it is to print", code, stdout.String(), stderr)
			}
		})
	}
}
