package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/spf13/cobra"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/fromenv"
)

// TestThreat tells what comes of some threats; their numbers are those of
// TestThreat in tokencache.
func TestThreat(t *testing.T) {
	t.Run("S03 a secret in what is printed", everyCommand)
	t.Run("S12 a Redis without TLS on another host", plainRedis)
	t.Run("S29 a secret on a command line or in a file", func(t *testing.T) {
		t.Run("flags", flagsWithoutSecrets)
		t.Run("files", filesForAll)
	})
}

// everyCommand runs each command, and lets each go wrong in the ways that have to
// do with secrets. Only the command token prints one, and only as its result.
func everyCommand(t *testing.T) {
	t.Parallel()
	rdb := miniredis.NewMiniRedis()
	rdb.RequireAuth(redisCanary)
	if err := rdb.Start(); err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	tenant := auth0test.NewServer(&auth0test.Config{ClientSecret: secretCanary, PerHour: 100, PerDay: 1000})
	defer tenant.Close()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unused, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	redisAt := func(password, address string) string { return "redis://:" + inURL(password) + "@" + address }
	world := map[string]string{
		"TOKEN_URL": tenant.TokenURL(), "CLIENT_ID": "test-client", "CLIENT_SECRET": secretCanary, "AUDIENCE": "api",
		"CA_FILE": file("ca.pem", string(tenant.CAPEM())), "REDIS_URL": redisAt(redisCanary, rdb.Addr()), "REPLICA": "tester",
		"ENCRYPTION_KEYS_FILE": file("keys", sealKeyCanary+"\n"),
	}
	echo, _ := json.Marshal(map[string]string{"error": "invalid_request", "error_description": secretCanary})

	type env = map[string]string
	rows := []struct {
		name string // begins with the command
		env  env
		args []string
		code int
		met  auth0test.Fault // that the next token request meets
		stop string          // what it says when it is to be interrupted
	}{
		{name: "token", args: []string{"token"}},
		{name: "token --header", args: []string{"token", "--header"}},
		{name: "status", args: []string{"status"}},
		{name: "status --json", args: []string{"status", "--json"}},
		{name: "rotate", args: []string{"rotate"}},
		{name: "emulate", args: []string{"emulate", "--address", "127.0.0.1:0"}, stop: "serving"},
		{name: "demo", args: []string{"demo", "--plain", "--replicas", "2", "--redis", "env"}, stop: "s  = ", code: exitInterrupted},
		{name: "version", args: []string{"version"}},
		{name: "version --json", args: []string{"version", "--json"}},
		{name: "help", args: []string{"help"}},
		{name: "help token", args: []string{"help", "token"}},
		{name: "completion", args: []string{"completion", "bash"}},

		{name: "token with the wrong secret", args: []string{"token"}, env: env{"CLIENT_SECRET": wrongCanary, "PREFIX": "wrong"}, code: exitFailed},
		{name: "status of the wrong secret", args: []string{"status", "--json"}, env: env{"CLIENT_SECRET": wrongCanary, "PREFIX": "wrong"}},
		{name: "rotate with an endpoint that repeats the secret", args: []string{"rotate"}, met: auth0test.Fault{Status: 400, Body: string(echo)}, env: env{"PREFIX": "echo"}, code: exitFailed},
		{name: "token with an error that is the secret", args: []string{"token"}, met: auth0test.Fault{Status: 401, Body: fmt.Sprintf(`{"error":%q}`, secretCanary)}, env: env{"PREFIX": "code"}, code: exitFailed},
		{name: "status of an error that is the secret", args: []string{"status"}, env: env{"PREFIX": "code"}},
		{name: "token with a record under another key", args: []string{"token"}, env: env{"ENCRYPTION_KEYS_FILE": file("other", otherCanary)}, code: exitFailed},
		{name: "token with keys that are none", args: []string{"token"}, env: env{"ENCRYPTION_KEYS_FILE": file("bad", shortCanary+"\n"+noKey)}, code: exitUsage},
		{name: "token without Redis", args: []string{"token", "--timeout", "500ms"}, env: env{"REDIS_URL": redisAt(redisCanary, unused)}, code: exitFailed},
		{name: "status without Redis", args: []string{"status", "--timeout", "500ms"}, env: env{"REDIS_URL": redisAt(redisCanary, unused)}, code: exitFailed},
		{name: "demo without Redis", args: []string{"demo", "--redis", "env"}, env: env{"REDIS_URL": redisAt(redisCanary, unused)}, code: exitFailed},
		{name: "token with the wrong password of Redis", args: []string{"token"}, env: env{"REDIS_URL": redisAt(wrongCanary, rdb.Addr())}, code: exitFailed},
		{name: "token with a password in a flag", args: []string{"token", "--redis", redisAt(redisCanary, rdb.Addr())}, code: exitUsage},
		{name: "demo with a password in a flag", args: []string{"demo", "--redis", redisAt(redisCanary, rdb.Addr())}, code: exitUsage},
		{name: "token with a password that is not escaped", args: []string{"token"}, env: env{"REDIS_URL": "redis://:" + redisCanary + "@" + rdb.Addr()}, code: exitUsage},
		{name: "token with a password for a port", args: []string{"token"}, env: env{"REDIS_URL": "redis://h:" + url.QueryEscape(redisCanary)}, code: exitUsage},
		{name: "token with a password for a Redis", args: []string{"token"}, env: env{"REDIS_URL": redisCanary}, code: exitUsage},
		{name: "token with a password for a parameter", args: []string{"token"}, env: env{"REDIS_URL": "redis://h?" + url.QueryEscape(redisCanary) + "=1"}, code: exitUsage},
		{name: "token with a secret for a token URL", args: []string{"token"}, env: env{"TOKEN_URL": wrongCanary}, code: exitUsage},
		{name: "token with a secret in a token URL", args: []string{"token"}, env: env{"TOKEN_URL": "https://u:" + url.QueryEscape(wrongCanary) + "@h/"}, code: exitUsage},
		{name: "token with a secret in the query of a plain token URL", args: []string{"token"}, env: env{"TOKEN_URL": "http://h/?x=" + url.QueryEscape(wrongCanary)}, code: exitUsage},
		{name: "token with a secret behind a token URL", args: []string{"token"}, env: env{"TOKEN_URL": "https://h/#" + url.QueryEscape(wrongCanary)}, code: exitUsage},
		{name: "token with a secret for an encoding", args: []string{"token"}, env: env{"ENCODING": wrongCanary}, code: exitUsage},
		{name: "token with a secret for a duration", args: []string{"token"}, env: env{"RENEW_BEFORE": wrongCanary}, code: exitUsage},
		{name: "token with a secret for a bool", args: []string{"token"}, env: env{"ENFORCED_QUOTA": wrongCanary}, code: exitUsage},
		{name: "token with a secret in the parameters", args: []string{"token"}, env: env{"PARAMS": "client_secret=" + url.QueryEscape(wrongCanary)}, code: exitUsage},
		{name: "token with parameters that are none", args: []string{"token"}, env: env{"PARAMS": "%zz" + wrongCanary}, code: exitUsage},
		{name: "token with a newline behind the secret", args: []string{"token"}, env: env{"CLIENT_SECRET": secretCanary + "\n"}, code: exitUsage},
		{name: "token with a newline in the file", args: []string{"token"}, env: env{"CLIENT_SECRET": "", "CLIENT_SECRET_FILE": file("newline", secretCanary+"\n\n")}, code: exitUsage},
		{name: "token with a secret for a certificate", args: []string{"token"}, env: env{"CA_FILE": file("no.pem", wrongCanary)}, code: exitUsage},
		{name: "emulate without an address", args: []string{"emulate", "--address", "8443"}, code: exitUsage},
		{name: "rotate of a mistyped setting", args: []string{"rotate", "--nonsense"}, env: env{"CLIENT_SECRT": wrongCanary}, code: exitUsage},
		{name: "token of a mistyped setting", args: []string{"token"}, env: env{"CLIENT_SECRT": wrongCanary}},
	}
	for _, command := range newRootCommand(&app{}).Commands() {
		known := false
		for _, row := range rows {
			known = known || row.args[0] == command.Name() && row.code == exitOK
		}
		if !known && command.Name() != "demo" { // which is interrupted
			t.Errorf("%s is not among the commands of this test", command.Name())
		}
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if row.name == "demo" && testing.Short() {
				t.Skip("a demo takes seconds")
			}
			a, _ := newTestApp(nil)
			for _, settings := range []env{world, row.env} {
				for name, value := range settings {
					a.env[fromenv.Prefix+name] = value
				}
			}
			if row.met.Status != 0 {
				tenant.Inject(1, row.met)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			hear := func(text string) {
				if row.stop != "" && strings.Contains(text, row.stop) {
					cancel()
				}
			}
			stdout, stderr := &listener{heard: hear}, &listener{heard: hear}
			if code := run(ctx, row.args, a.env, a.stdin, stdout, stderr); code != row.code {
				t.Errorf("got exit code %d, want %d: %s", code, row.code, stderr.text.String())
			}
			hidden := secrets(tenant)
			result := hidden
			if strings.HasPrefix(row.name, "token") {
				if row.code == exitOK && !strings.Contains(stdout.text.String(), tenant.Tokens()[0]) && !strings.Contains(stdout.text.String(), tenant.Tokens()[1]) {
					t.Errorf("got no token: %q", stdout.text.String())
				}
				result = hidden[:len(hidden)-tenant.Issued()]
			} else if strings.Contains(stdout.text.String(), "eyJhbGciOi") { // as every token begins, also those of other servers
				t.Error("a token is in the standard output")
			}
			canary.Check(t, "the standard output", canary.In(stdout.text.String()), result...)
			canary.Check(t, "the standard error", canary.In(stderr.text.String()), hidden...)
		})
	}
}

// A password that passes the network in clear is told of. There are networks
// where that cannot be helped, so it is done all the same.
func plainRedis(t *testing.T) {
	for address, warned := range map[string]bool{
		"redis://:p4ssword@redis.example":                     true,
		"redis://:p4ssword@10.0.0.1":                          true,
		"redis://:p4ssword@127.0.0.1.nip.io":                  true,
		"redis://:p4ssword@0.0.0.0":                           true,
		"redis+cluster://:p4ssword@127.0.0.1,10.0.0.1":        true,
		"redis+sentinel://h/m?sentinel_password=p4ssword":     true,
		"redis://redis.example":                               false, // nothing that passes is a secret
		"redis://user@redis.example":                          false,
		"rediss://:p4ssword@redis.example":                    false,
		"rediss+cluster://:p4ssword@a,b":                      false,
		"redis://:p4ssword@127.0.0.1":                         false,
		"redis://:p4ssword@[::1]:1":                           false,
		"redis://:p4ssword@localhost":                         false,
		"redis+cluster://:p4ssword@127.0.0.1:1,127.0.0.1:2":   false,
		"unix://:p4ssword@/run/redis.sock":                    false,
		"rediss+sentinel://:p4ssword@a/m?sentinel_password=x": false,
	} {
		a, stderr := newTestApp(map[string]string{"FLEETTOKEN_REDIS_URL": address})
		if _, err := a.config(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if got := strings.Contains(stderr.String(), "FLEETTOKEN_REDIS_URL has a password that travels over the network unencrypted"); got != warned || strings.Contains(stderr.String(), "p4ssword") {
			t.Errorf("%s: got %q, want a warning: %v", address, stderr, warned)
		}
	}
}

// No flag takes a secret: other users see command lines.
func flagsWithoutSecrets(t *testing.T) {
	flags := regexp.MustCompile(`--(\S+)`)
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Flags().FlagUsages()) {
			for _, word := range []string{"secret", "password", "key", "credential"} {
				if flag := flags.FindStringSubmatch(line); flag != nil && strings.Contains(flag[1], word) {
					t.Errorf("%s has the flag --%s", cmd.CommandPath(), flag[1])
				}
			}
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(newRootCommand(&app{}))
}

// A file that everybody can read is told of, and read all the same: Kubernetes
// mounts secrets so.
func filesForAll(t *testing.T) {
	for _, setting := range []string{"CLIENT_SECRET_FILE", "ENCRYPTION_KEYS_FILE"} {
		for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: false, 0o644: true, 0o604: true, 0o444: true, 0o666: true} {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte(sealKeyCanary), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			set := map[string]string{fromenv.Prefix + setting: path, "FLEETTOKEN_CLIENT_SECRET": secretCanary}
			if setting == "CLIENT_SECRET_FILE" {
				set["FLEETTOKEN_CLIENT_SECRET"] = ""
			}
			a, stderr := newTestApp(set)
			if _, err := a.config(); err != nil {
				t.Errorf("%s of mode %v: %v", setting, mode, err)
			}
			want := ""
			if warned {
				want = fmt.Sprintf("fleettoken: FLEETTOKEN_%s names %s, which every user of this machine can read\nhint: chmod o-r %s, or mount it with mode 0440\n", setting, path, path)
			}
			if stderr.String() != want {
				t.Errorf("%s of mode %v: got %q, want %q", setting, mode, stderr, want)
			}
		}
	}
}
