package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// The scripts run the service as a process, with the environment that it has in
// docker-compose.yml.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"example-service": main})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"get": getCommand,
			"issued": func(ts *testscript.TestScript, _ bool, args []string) {
				got := ts.Value("tenant").(*auth0test.Server).Issued()
				if strconv.Itoa(got) != args[0] {
					ts.Fatalf("got %d tokens issued, want %s", got, args[0])
				}
			},
		},
	})
}

// setup starts a Redis and a token endpoint, and says where they are.
func setup(env *testscript.Env) error {
	rdb := miniredis.NewMiniRedis()
	if err := rdb.Start(); err != nil {
		return err
	}
	env.Defer(rdb.Close)
	tenant := auth0test.NewServer(nil)
	env.Defer(tenant.Close)
	env.Values["tenant"] = tenant
	trusted := filepath.Join(env.WorkDir, "ca")
	if err := os.Mkdir(trusted, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(trusted, "ca.pem"), tenant.CAPEM(), 0o600); err != nil {
		return err
	}
	for _, name := range []string{"A", "B"} {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		env.Setenv(name, address)
	}
	env.Setenv("GORACE", "atexit_sleep_ms=0") // or the race detector sleeps a second at the end of each process
	env.Setenv("SSL_CERT_DIR", trusted)
	env.Setenv("FLEETTOKEN_TOKEN_URL", tenant.TokenURL())
	env.Setenv("FLEETTOKEN_CLIENT_ID", "test-client")
	env.Setenv("FLEETTOKEN_CLIENT_SECRET", "test-secret")
	env.Setenv("FLEETTOKEN_AUDIENCE", "https://api.example")
	env.Setenv("FLEETTOKEN_REDIS_URL", "redis://"+rdb.Addr())
	env.Setenv("PARTNER_API_URL", tenant.APIURL()+"cards")
	return nil
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// getCommand asks for a URL until a service answers, and wants the body to be
// what the script says.
func getCommand(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		resp, err := get(ctx, http.DefaultClient, args[0])
		if err != nil {
			if ctx.Err() != nil {
				ts.Fatalf("get %s: %v", args[0], err)
			}
			continue // it has not started yet
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		ts.Check(err)
		if got := resp.Status + " " + strings.TrimSpace(string(body)); got != args[1] {
			ts.Fatalf("get %s: got %q, want %q", args[0], got, args[1])
		}
		return
	}
}
