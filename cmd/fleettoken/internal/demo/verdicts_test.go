package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// TestVerdicts checks what breaks the promises that hold at all times.
func TestVerdicts(t *testing.T) {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	// Tokens live for ten seconds, so each is due after five.
	row := func(after time.Duration, change ...func(*auth0test.Request)) auth0test.Request {
		r := auth0test.Request{UserAgent: "r01", Arrived: noon.Add(after), Status: 200, Issued: true, Expires: noon.Add(after + 10*time.Second), Concurrent: 1}
		for _, f := range change {
			f(&r)
		}
		return r
	}
	refused := func(r *auth0test.Request) { r.Status, r.Issued, r.Expires = 429, false, time.Time{} }
	lost := func(r *auth0test.Request) { r.Status = 0 }
	for _, c := range []struct {
		name    string
		ledger  auth0test.Ledger
		rotated time.Duration
		calls   map[auth0test.TokenState]int
		sums    totals
		want    string // empty: no promise is broken
	}{
		{name: "as promised", ledger: auth0test.Ledger{row(0), row(5 * time.Second), row(10 * time.Second)}, calls: map[auth0test.TokenState]int{auth0test.TokenValid: 9}},
		{name: "early by less than a handshake", ledger: auth0test.Ledger{row(0), row(5*time.Second - tolerance)}},
		{name: "early", ledger: auth0test.Ledger{row(0), row(4 * time.Second)}, want: promiseQuota},
		{name: "early, after a rotation", ledger: auth0test.Ledger{row(0), row(4 * time.Second)}, rotated: 3 * time.Second},
		{name: "early, after a rotation of another token", ledger: auth0test.Ledger{row(0), row(4 * time.Second), row(6 * time.Second)}, rotated: 3 * time.Second, want: promiseQuota},
		{name: "again after a refusal", ledger: auth0test.Ledger{row(0), row(5*time.Second, refused), row(6 * time.Second)}},
		{name: "again after a lost answer", ledger: auth0test.Ledger{row(0), row(5*time.Second, lost), row(6 * time.Second)}},
		{name: "two at once", ledger: auth0test.Ledger{row(0), row(5*time.Second, func(r *auth0test.Request) { r.Concurrent = 2 })}, want: promiseAtOnce},
		{name: "a failed call", sums: totals{failed: 1, failure: "no token"}, want: promiseCalls},
		{name: "an expired token", calls: map[auth0test.TokenState]int{auth0test.TokenExpired: 1}, want: promiseExpired},
		{name: "an unknown token", calls: map[auth0test.TokenState]int{auth0test.TokenUnknown: 1}, want: promiseCalls},
	} {
		var rotated []time.Time
		if c.rotated > 0 {
			rotated = append(rotated, noon.Add(c.rotated))
		}
		got := verdicts(c.ledger, rotated, c.calls, c.sums)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want+": ")) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestQuotaOf(t *testing.T) {
	got := quotaOf(auth0test.Ledger{
		{Status: 200, Issued: true, ClientQuota: "b=per_hour;q=42;r=41;t=100,b=per_day;q=100;r=99;t=7000"},
		{Status: 429, ClientQuota: "b=per_hour;q=42;r=0;t=100"}, // of a fault
		{Status: 200, Issued: true, ClientQuota: "b=per_hour;q=42;r=40;t=90,b=per_day;q=100;r=98;t=6990"},
	})
	if got["per_hour"] != (Bucket{42, 2, 40}) || got["per_day"] != (Bucket{100, 2, 98}) || len(got) != 2 {
		t.Errorf("got %+v", got)
	}
}

// TestDueAt checks the library's rule: RenewBefore, but at most half the life.
func TestDueAt(t *testing.T) {
	at := time.Now()
	for life, want := range map[time.Duration]time.Duration{4 * time.Second: 2 * time.Second, longLife: longLife - renewBefore} {
		if got := dueAt(auth0test.Request{Arrived: at, Expires: at.Add(life)}).Sub(at); got != want {
			t.Errorf("a life of %v: got due after %v, want %v", life, got, want)
		}
	}
}

func TestSlotState(t *testing.T) {
	now := time.Now()
	fresh := auth0test.Request{Number: 7, Arrived: now, Expires: now.Add(8 * time.Second)}
	due := auth0test.Request{Number: 7, Arrived: now.Add(-5 * time.Second), Expires: now.Add(3 * time.Second)}
	runs := new(replica)
	for _, row := range []struct {
		name   string
		slot   slot
		newest auth0test.Request
		want   view.State
	}{
		{"not running", slot{token: 7}, fresh, view.Dead},
		{"without a token", slot{replica: runs}, fresh, view.Starting},
		{"asking for the first", slot{replica: runs, asking: true}, fresh, view.Asking},
		{"fresh", slot{replica: runs, token: 7}, fresh, view.Serving},
		{"with an older token", slot{replica: runs, token: 6}, fresh, view.Due},
		{"due", slot{replica: runs, token: 7}, due, view.Due},
		{"due and denied", slot{replica: runs, token: 7, blocked: now.Add(1)}, due, view.Waiting},
		{"due, and denied before", slot{replica: runs, token: 7, blocked: now.Add(-1)}, due, view.Due},
	} {
		if got := row.slot.state(now, row.newest); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

// TestPlan checks that the library can keep its promises within every plan.
func TestPlan(t *testing.T) {
	for _, replicas := range []int{1, 20, 100, 500} {
		for d := MinDuration; d <= 5*time.Minute; d += 700 * time.Millisecond {
			p := planFor(d, replicas, 0)
			check := func(ok bool, what string) {
				if !ok {
					t.Fatalf("%v, %d replicas: want %s: %+v", d, replicas, what, p)
				}
			}
			served := func(life time.Duration) time.Duration { return life/2 - life/20 } // after the token is due
			check(p.timeout >= 500*time.Millisecond && p.lease == 2*p.timeout, "a timeout that the library takes")
			check(p.latency < p.timeout/4, "requests that end in time on a slow machine")
			check(served(p.crash) > p.lease+p.timeout, "time for another replica to take over")
			check(served(p.refusal) > p.retry*11/10+p.timeout, "time for a request after Retry-After")
			check(served(p.redisDown) > p.outage+p.timeout, "time for a request after the outage")
			check(p.renewal/2 > p.beat*2+4*margin, "time for calls from memory")
			for _, life := range []time.Duration{p.renewal, p.crash, p.refusal, p.redisDown, p.retry} {
				check(life >= time.Second && life%time.Second == 0, "whole seconds")
			}
			whole := p.renewal/2 + p.crash/2 + p.lease + p.refusal/2 + p.retry + p.redisDown/2 + p.outage + 5*p.beat
			check(whole <= max(d, time.Duration(replicas)*60*time.Millisecond)*5/4, "a demo of about its duration")
		}
	}
}

// TestConnCutter checks that no connection survives a cut, and none is made
// before the mend.
func TestConnCutter(t *testing.T) {
	var c connCutter
	var far []net.Conn
	pipe := func(context.Context, string, string) (net.Conn, error) {
		near, end := net.Pipe()
		far = append(far, end)
		return near, nil
	}
	dial := c.through(pipe)
	conn, err := dial(t.Context(), "tcp", "anywhere")
	if err != nil {
		t.Fatal(err)
	}
	c.cut()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("reading from a connection that was cut: got %v", err)
	}
	if _, err := dial(t.Context(), "tcp", "anywhere"); !errors.Is(err, errCut) {
		t.Errorf("dialling while cut: got %v", err)
	}
	for i, end := range far {
		if _, err := end.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("far end %d: got %v, want EOF", i, err)
		}
	}
	c.mend()
	if _, err := dial(t.Context(), "tcp", "anywhere"); err != nil {
		t.Errorf("dialling after the mend: got %v", err)
	}
}
