package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// Fifty replicas start at once, then are replaced one after another: one token
// request.
func TestColdStartAndRollingRestart(t *testing.T) {
	f := newFleet(t, &auth0test.Config{PerHour: 42, PerDay: 100, Latency: 100 * time.Millisecond})
	replicas := f.start(50)
	events := together(replicas)
	for i, e := range events {
		if e.Token != events[0].Token {
			t.Errorf("%s has another token than %s", replicas[i].name, replicas[0].name)
		}
	}
	f.requests(1)
	for _, p := range replicas {
		p.quit()
		if e := f.start(1)[0].token(); e.Token != events[0].Token {
			t.Errorf("the successor of %s has another token", p.name)
		}
	}
	f.requests(1)
}

// The renewing process is killed in the middle of its request. Another one takes
// over when the lease ends, and nobody gets nothing.
func TestRenewerIsKilled(t *testing.T) {
	f := newFleet(t, &auth0test.Config{}, "REQUEST_TIMEOUT=1s")
	f.tenant.Inject(1, auth0test.Hang())
	replicas := f.start(5)
	first := replicas[0]
	first.send("token")
	first.await("asking", 0)
	first.kill()
	killed := time.Now()
	events := together(replicas[1:])
	if took := time.Since(killed); took > 10*time.Second {
		t.Errorf("the others had a token %v after the renewer was killed; its lease is two seconds", took)
	}
	for _, e := range events {
		if e.Token != events[0].Token {
			t.Error("the others have different tokens")
		}
	}
	f.requests(2)
}

// Calls go on while tokens are renewed beneath them, the endpoint refuses, and
// Redis is restarted. None of them fails, and no expired token is used.
func TestCallsGoOn(t *testing.T) {
	f := newFleet(t, &auth0test.Config{TTL: 10 * time.Second, Latency: 50 * time.Millisecond}, "RENEW_BEFORE=6s", "REQUEST_TIMEOUT=500ms")
	replicas := f.start(10)
	for _, p := range replicas {
		p.await("token", p.send("load", `"rate":50`))
	}
	lives := func(n int) { // waits until n more tokens were issued
		t.Helper()
		want := f.tenant.Issued() + n
		for deadline := time.Now().Add(patience); f.tenant.Issued() < want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no renewal within %v", patience)
			}
		}
	}
	lives(2)
	f.requests(3)

	refusal := auth0test.QuotaExceeded(time.Second)
	refusal.SkipQuotaHeader = true
	f.tenant.Inject(1, refusal)
	lives(1)
	f.requests(5) // one refused, and one renewal
	if n := f.tenant.Requests().Answered(429); n != 1 {
		t.Errorf("got %d refusals, want one for the whole fleet", n)
	}

	if f.server != nil {
		f.server.Restart() // empty: the fleet gives it back what it has, or renews
		lives(1)
	} else {
		t.Log("Redis was not restarted: miniredis lives in this process")
	}

	calls := 0
	for _, p := range replicas {
		e := p.counters("stop")
		calls += e.Counters.Calls
		if e.Counters.Failed != 0 {
			t.Errorf("%s: %d of %d calls failed: %s", p.name, e.Counters.Failed, e.Counters.Calls, e.Counters.Last)
		}
	}
	api := f.tenant.APICalls()
	if calls < 1000 || api[auth0test.TokenExpired] != 0 || api[auth0test.TokenUnknown] != 0 {
		t.Errorf("got %d calls; the API saw %v; want a thousand or more, all with a valid token", calls, api)
	}
}

// The endpoint refuses at a cold start: one request, every process is told when
// to come back, and then one asks.
func TestQuotaExceededStopsEveryProcess(t *testing.T) {
	f := newFleet(t, &auth0test.Config{})
	refusal := auth0test.QuotaExceeded(3 * time.Second)
	refusal.SkipQuotaHeader = true
	f.tenant.Inject(1, refusal)
	replicas := f.start(10)
	ids := make([]int, len(replicas))
	for i, p := range replicas {
		ids[i] = p.send("token", `"within_ms":1000`)
	}
	for i, p := range replicas {
		e := p.await("token", ids[i])
		if !strings.Contains(e.Error, "quota") {
			t.Errorf("%s: got %q, want to be told of the quota", p.name, e.Error)
		}
	}
	f.requests(1)
	together(replicas) // those who have time wait
	f.requests(2)
	ledger := f.tenant.Requests()
	if pause := ledger[1].Arrived.Sub(ledger[0].Arrived); pause < 3*time.Second {
		t.Errorf("asked again after %v, want three seconds or more", pause)
	}
}

// A process is stopped past the end of its token, as a debugger or a hypervisor
// does. The first call after it wakes gets a valid one.
func TestStoppedProcess(t *testing.T) {
	f := newFleet(t, &auth0test.Config{TTL: 4 * time.Second}, "REQUEST_TIMEOUT=500ms")
	p := f.start(1)[0]
	first := p.token()
	for range 3 {
		p.signal(syscall.SIGSTOP)
		issued := f.tenant.Requests()[f.tenant.Issued()-1]
		time.Sleep(time.Until(issued.Expires) + 300*time.Millisecond) // the token's life is what is waited for
		id := p.send("load", `"rate":1000`)
		p.signal(syscall.SIGCONT)
		if next := p.await("token", id); next.Token == first.Token || next.Error != "" {
			t.Errorf("after it was stopped: got the token of before, %v, or %q", next.Token == first.Token, next.Error)
		} else {
			first = next
		}
		p.serves()
		p.counters("stop")
	}
	if api := f.tenant.APICalls(); api[auth0test.TokenExpired] != 0 || api[auth0test.TokenValid] == 0 {
		t.Errorf("the API saw %v, want no expired token", api)
	}
}

// An operator rotates the token. Every process has the new one at once.
func TestRotate(t *testing.T) {
	f := newFleet(t, &auth0test.Config{PerHour: 42, PerDay: 100})
	replicas := f.start(10)
	old := together(replicas)[0].Token
	if out, errs, err := f.command("rotate"); err != nil {
		t.Fatalf("rotate: %v\n%s%s", err, out, errs)
	}
	f.requests(2)
	for _, p := range replicas {
		deadline := time.Now().Add(patience)
		for p.token().Token == old {
			if time.Now().After(deadline) {
				t.Fatalf("%s holds the old token %v after the rotation", p.name, patience)
			}
			time.Sleep(10 * time.Millisecond) // the news is on its way
		}
	}
	f.requests(2)
}

// The commands of an operator, against a fleet that lives.
func TestOperator(t *testing.T) {
	f := newFleet(t, &auth0test.Config{PerHour: 42, PerDay: 100})
	together(f.start(3))
	token, _, err := f.command("token")
	if err != nil || f.tenant.Check(strings.TrimSpace(token)) != auth0test.TokenValid {
		t.Errorf("token: got one that is %v, %v", f.tenant.Check(strings.TrimSpace(token)), err)
	}
	header, _, err := f.command("token", "--header")
	if err != nil || strings.TrimSpace(header) != "Authorization: Bearer "+strings.TrimSpace(token) {
		t.Errorf("token --header: %v", err)
	}
	status, _, err := f.command("status")
	if err != nil || !strings.Contains(status, "per_hour") || !strings.Contains(status, "cold") || strings.Contains(status, strings.TrimSpace(token)) {
		t.Errorf("status: %v\n%s", err, status)
	}
	f.requests(1)
}

// Neither the token nor the secret nor the password of Redis is in any output,
// on any command line, in Redis' memory image, or in what passes it.
func TestSecretsStayInside(t *testing.T) {
	const secret, password = "canary-client-secret-51c9", "canary-redis-password-8e02"
	f := newFleet(t, &auth0test.Config{ClientSecret: secret, TTL: 6 * time.Second, PerHour: 100, PerDay: 100}, "CLIENT_SECRET="+secret, "REQUEST_TIMEOUT=500ms", "RENEW_BEFORE=3s")
	monitored := func() []byte { return nil }
	if f.server != nil {
		rdb := f.server.Client()
		if err := rdb.ConfigSet(t.Context(), "requirepass", password).Err(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rdb.ConfigSet(context.Background(), "requirepass", "") })
		f.env = append(f.env, "FLEETTOKEN_REDIS_URL=redis://:"+password+"@"+f.addr)
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
	var tokens []string
	for range 2 {
		token, errs, err := f.command("token")
		if err != nil {
			t.Fatalf("token: %v\n%s", err, errs)
		}
		tokens = append(tokens, strings.TrimSpace(token))
		if _, errs, err := f.command("rotate"); err != nil {
			t.Fatalf("rotate: %v\n%s", err, errs)
		}
	}
	var shown bytes.Buffer
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"version"}, {"rotate"}, {"--help"}, {"token", "--nonsense"}} {
		out, errs, _ := f.command(args...)
		shown.WriteString(out + errs)
	}
	f.tenant.Inject(1, auth0test.Fault{Status: 401, Body: `{"error":"access_denied","error_description":"you sent ` + secret + `"}`})
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
	for name, canary := range map[string]string{"client secret": secret, "Redis password": password, "first token": tokens[0], "second token": tokens[1]} {
		for form, text := range map[string]string{
			"raw": canary, "hex": hex.EncodeToString([]byte(canary)), "base64": base64.StdEncoding.EncodeToString([]byte(canary)), "escaped": url.QueryEscape(canary),
		} {
			for where, data := range map[string][]byte{"output": shown.Bytes(), "command lines": argv.Bytes(), "MONITOR": passed, "the image of Redis": image} {
				if where == "MONITOR" && name == "Redis password" {
					continue // this test sets it by a command
				}
				if bytes.Contains(data, []byte(text)) {
					t.Errorf("%s: the %s (%s) is there", where, name, form)
				}
			}
		}
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
