package e2e

import (
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
	if testing.Short() {
		t.Skip("leases and refusals end by the clock")
	}
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
	if testing.Short() {
		t.Skip("-short leaves out long stories")
	}
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
	if testing.Short() {
		t.Skip("leases and refusals end by the clock")
	}
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
	if testing.Short() {
		t.Skip("-short leaves out long stories")
	}
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
