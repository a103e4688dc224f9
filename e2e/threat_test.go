package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// TestThreat tells what comes of some threats; their numbers are those of
// TestThreat in tokencache. One run is enough for three.
func TestThreat(t *testing.T) {
	t.Run("S10 an account of Redis that may do more than it needs", accountIsLeast)
	t.Run("S03 S04 S29 a secret in what is printed, at rest, or on a command line", secretsStayInside)
}

// Neither the token nor the secret nor the password of Redis is in any output,
// on any command line, in Redis' memory image, or in what passes it.
func secretsStayInside(t *testing.T) {
	secret, password, key := canary.New(), canary.New(), []byte(canary.New())[:32]
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, &auth0test.Config{ClientSecret: secret, TTL: 6 * time.Second, PerHour: 100, PerDay: 100}, "CLIENT_SECRET="+secret, "ENCRYPTION_KEYS_FILE="+keys, "REQUEST_TIMEOUT=500ms", "RENEW_BEFORE=3s")
	monitored := func() []byte { return nil }
	if f.server != nil {
		rdb := f.server.Client()
		if err := rdb.ConfigSet(t.Context(), "requirepass", password).Err(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rdb.ConfigSet(context.Background(), "requirepass", "") })
		f.env = append(f.env, "FLEETTOKEN_REDIS_URL=redis://"+url.UserPassword("", password).String()+"@"+f.addr)
		monitored = monitor(t, f.addr, password)
	}
	replicas := f.start(3)
	var argv bytes.Buffer
	for _, p := range replicas {
		p.await("token", p.send("load", `"rate":20`))
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
		if err == nil {
			argv.Write(line)
		}
	}
	var shown bytes.Buffer
	for range 2 {
		token, errs, err := f.command("token")
		if err != nil || !slices.Contains(f.tenant.Tokens(), strings.TrimSpace(token)) {
			t.Fatalf("token: %v\n%s", err, errs)
		}
		shown.WriteString(errs)
		out, errs, err := f.command("rotate")
		if err != nil {
			t.Fatalf("rotate: %v\n%s", err, errs)
		}
		shown.WriteString(out + errs)
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"version"}, {"rotate"}, {"--help"}, {"token", "--nonsense"}} {
		out, errs, _ := f.command(args...)
		shown.WriteString(out + errs)
	}
	f.tenant.Inject(1, auth0test.Fault{Status: 401, Body: fmt.Sprintf(`{"error":"access_denied","error_description":%q}`, "you sent "+secret)})
	out, errs, _ := f.command("rotate")
	shown.WriteString(out + errs)

	image := []byte{}
	if f.server != nil {
		rdb := f.server.Client()
		if err := rdb.Do(t.Context(), "auth", password).Err(); err != nil {
			t.Fatal(err)
		}
		if err := rdb.Save(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		var err error
		if image, err = os.ReadFile(filepath.Join(f.server.Dir, "dump.rdb")); err != nil || len(image) == 0 {
			t.Fatalf("no image of Redis: %v", err)
		}
	} else {
		t.Log("miniredis has neither MONITOR nor an image: only output was searched")
	}
	for _, p := range replicas {
		p.quit()
		p.mu.Lock()
		shown.WriteString(strings.Join(p.lines, "\n"))
		p.mu.Unlock()
	}
	passed := monitored()
	if f.server != nil && !bytes.Contains(passed, []byte("token:")) {
		t.Fatal("MONITOR has seen nothing, so it proves nothing")
	}
	hidden := []canary.Secret{canary.Of("client secret", secret), canary.Of("encryption key", string(key))}
	for i, token := range f.tenant.Tokens() {
		hidden = append(hidden, canary.Of(fmt.Sprintf("token %d", i+1), token))
	}
	canary.Check(t, "MONITOR", canary.In(passed), hidden...) // where this test sets the password, by a command
	hidden = append(hidden, canary.Of("password of Redis", password))
	canary.Check(t, "what was said", canary.In(shown.Bytes()), hidden...)
	canary.Check(t, "the command lines", canary.In(argv.Bytes()), hidden...)
	canary.Check(t, "the image of Redis", canary.In(image), hidden...)
	if shown.Len() < 5000 || argv.Len() == 0 || len(f.tenant.Tokens()) < 4 {
		t.Errorf("got %d bytes that were said, %d of command lines, %d tokens: too little to prove anything", shown.Len(), argv.Len(), len(f.tenant.Tokens()))
	}
}

// monitor records what passes Redis until the function that it returns is
// called, which returns it.
func monitor(t *testing.T, addr, password string) func() []byte {
	t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	watch := exec.Command("redis-cli", "-h", host, "-p", port, "monitor")
	watch.Env = append(os.Environ(), "REDISCLI_AUTH="+password)
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Process.Kill() })
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "OK\n" {
		t.Fatalf("MONITOR: got %q, %v", line, err)
	}
	var seen bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = seen.ReadFrom(lines) // ends when it is killed
	}()
	return func() []byte {
		_ = watch.Process.Kill()
		<-done
		_ = watch.Wait()
		return seen.Bytes()
	}
}

// The account that ships with the library may do nothing to what is not the
// fleet's, nor look at it, also by way of a script, and nothing to the server.
// That it may do what a fleet needs is shown where fleets run under it, see
// TestFault/40.
func accountIsLeast(t *testing.T) {
	server := redistest.StartWith(t, admin, "--aclfile", users(t, shipped(t), ""))
	if err := server.Client().Set(t.Context(), "other", "theirs", 0).Err(); err != nil {
		t.Fatal(err)
	}
	opts := *server.Client().Options()
	opts.Username, opts.Password, opts.MaxRetries = "fleettoken", password, -1
	rdb := redis.NewClient(&opts)
	defer rdb.Close()
	run := func(command string) error {
		args := make([]any, 0, 8)
		for word := range strings.FieldsSeq(command) {
			args = append(args, strings.ReplaceAll(word, "_", " "))
		}
		return rdb.Do(t.Context(), args...).Err()
	}
	for _, command := range []string{
		"set fleettoken:x 1", "get fleettoken:x", "publish fleettoken:x 1", "eval return_redis.call('GET',KEYS[1]) 1 fleettoken:x",
	} {
		if err := run(command); err != nil {
			t.Errorf("%s: got %v, want it to be allowed", command, err)
		}
	}
	for _, command := range []string{
		// What others have.
		"get other", "set other 1", "del other", "exists other", "pttl other", "hgetall other", "hset other a b", "xrevrange other + -",
		"mget fleettoken:x other", "mset fleettoken:x 1 other 2", "publish other 1", "subscribe other", "psubscribe *", "psubscribe fleettoken:*",
		"eval return_redis.call('GET',KEYS[1]) 1 other", "eval return_redis.call('GET','other') 0", "eval return_redis.call('PUBLISH','other','1') 0",
		"copy fleettoken:x other", "rename fleettoken:x other",
		// What there is.
		"keys *", "keys fleettoken:*", "scan 0", "randomkey", "dbsize", "dump fleettoken:x", "monitor", "info", "command list",
		"client list", "slowlog get", "latency latest", "memory stats", "object encoding fleettoken:x", "pubsub channels", "acl list", "acl whoami",
		// The server.
		"flushall", "flushdb", "config get *", "config set maxmemory 1", "config rewrite", "script flush", "script kill", "script load return_1",
		"function list", "function flush", "eval return_redis.call('FLUSHALL') 0", "eval return_redis.call('DBSIZE') 0",
		"acl setuser fleettoken +@all", "client kill type normal", "module list", "replicaof 127.0.0.1 1", "cluster info",
		"failover", "save", "bgsave", "shutdown nosave", "select 1", "swapdb 0 1", "migrate 127.0.0.1 1 fleettoken:x 0 100", "restore fleettoken:y 0 x",
	} {
		err := run(command)
		refused := func(sign string) bool { return err != nil && strings.Contains(err.Error(), sign) }
		// A script is told in the words of its version.
		if !refused("NOPERM ") && !refused("The user executing the script can't ") && !refused("ACL failure in script") {
			t.Errorf("%s: got %v, want it to be no right of this account", command, err)
		}
	}
	if theirs, err := server.Client().Get(t.Context(), "other").Result(); err != nil || theirs != "theirs" {
		t.Errorf("what others have is %q, %v, want it as it was", theirs, err)
	}
}
