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
	// Only such commands run, as cron starts them, and no service.
	t.Run("E3", func(t *testing.T) {
		t.Parallel()
		const lifetime = 10 * time.Second
		tenant := auth0test.NewServer(&auth0test.Config{TTL: lifetime})
		defer tenant.Close()
		a, stderr := newTestAppAt(t, tenant, "redis://"+miniredis.RunT(t).Addr())
		a.env["FLEETTOKEN_RENEW_BEFORE"] = (lifetime / 2).String()
		printed := func() string {
			var stdout strings.Builder
			if code := run(t.Context(), []string{"token"}, a.env, a.stdin, &stdout, stderr); code != exitOK {
				t.Fatalf("got exit code %d, %q", code, stderr)
			}
			return stdout.String()
		}
		first := printed()
		issued := time.Now()
		if again := printed(); again != first {
			t.Error("a token that is not in its renewal window was replaced")
		}
		time.Sleep(time.Until(issued.Add(lifetime * 6 / 10))) // in the window, after the part in which replicas begin at random
		if printed() == first {
			t.Error("a token in its renewal window was not replaced")
		}
		if n := len(tenant.Requests()); n != 2 {
			t.Errorf("got %d token requests, want 2", n)
		}
	})
	// A server that sends no quota header, and an operator who insists.
	t.Run("E5", func(t *testing.T) {
		t.Parallel()
		tenant := auth0test.NewServer(nil)
		defer tenant.Close()
		a, stderr := newTestAppAt(t, tenant, "redis://"+miniredis.RunT(t).Addr())
		for _, step := range []struct {
			args string
			code int
			says string
		}{
			{"token", exitOK, ""}, {"rotate", exitOK, ""}, {"rotate", exitFailed, "--force"}, {"rotate --force", exitOK, ""}, {"rotate --force", exitOK, ""},
		} {
			var stdout strings.Builder
			if code := run(t.Context(), strings.Fields(step.args), a.env, a.stdin, &stdout, stderr); code != step.code || !strings.Contains(stderr.String(), step.says) {
				t.Errorf("%s: got exit code %d, %q and %q", step.args, code, stdout.String(), stderr)
			}
		}
		if n := len(tenant.Requests()); n != 4 {
			t.Errorf("got %d token requests, want 4", n)
		}
	})
}
