package main

import (
	"strings"
	"testing"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/demo"
)

func demoReport(change func(*demo.Report)) *demo.Report {
	r := &demo.Report{
		Replicas: 20, Redis: "an embedded Redis", Seconds: 15.62,
		Deploys: demo.Deploys{Starts: 3,
			Unshared: demo.DeployFigures{TokenRequests: 188, Tokens: 42, LockedOut: 18, FailedCalls: 130, RetryAfterSeconds: 2940},
			Shared:   demo.DeployFigures{TokenRequests: 1, Tokens: 1}},
		TokenRequests: 8, TokensIssued: 6, Faults: 2, UnsharedTokenRequests: 160, AtOnce: 1,
		APICalls: 7983, FirstTokenMS: 113.8, RotationMS: 2.04, RedisCommands: 367, RedisCommandsPerCall: 0.046,
		Quota:    map[string]demo.Bucket{"per_hour": {Quota: 42, Used: 6, Remaining: 36}, "per_day": {Quota: 100, Used: 6, Remaining: 94}},
		Outcomes: []demo.Outcome{{Title: "Renewal in the background", Result: "r07 renewed it", Kept: true}, {Title: "Redis fails"}},
		Broken:   []string{},
	}
	change(r)
	return r
}

const demoFigures = `
20 replicas, 15.6 s

  start and 2 deploys  own tokens  fleettoken
  token requests       188         1
  tokens issued        42          1
  replicas locked out  18          0
  failed calls         130         0

  with fleettoken
  token requests   8       6 tokens, 2 faults
  without sharing  160     at least
  API calls        7,983   0 failed, 0 expired
  first token      114 ms  the slowest replica's
  rotation         2.0 ms  until all replicas had it
  at once          1       token requests at most
  Redis commands   0.046   a call
  quota left       36      of 42 this hour, 94 today

`

func TestWriteDemoReport(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*demo.Report)
		want   string
	}{
		{"kept", func(*demo.Report) {}, demoFigures + "every promise was kept\n"},
		{"broken", func(r *demo.Report) { r.Broken = []string{"no call fails: 3 did", "another"} },
			demoFigures + "broken promise: no call fails: 3 did\nbroken promise: another\n"},
		{"interrupted", func(r *demo.Report) { r.Interrupted = true }, demoFigures + "interrupted; until then, every promise was kept\n"},
		{"slow", func(r *demo.Report) { r.TokenRequests, r.Notes = 10, []string{"a note"} },
			strings.Replace(strings.Replace(demoFigures, " 8  ", " 10 ", 1), "2 faults", "2 faults, 2 too slow", 1) + "every promise was kept\nnote: a note\n"},
		{"nothing happened", func(r *demo.Report) { *r = demo.Report{Replicas: 1, Interrupted: true} },
			"\n1 replica, 0.0 s\n\n\ninterrupted; until then, every promise was kept\n"},
	} {
		var out strings.Builder
		if err := writeDemoReport(&out, demoReport(row.change)); err != nil || out.String() != row.want {
			t.Errorf("%s: got %v\n%s\nwant\n%s", row.name, err, out.String(), row.want)
		}
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "broken") && len([]rune(line)) > 60 {
				t.Errorf("%s: a line of %d characters: %s", row.name, len([]rune(line)), line)
			}
		}
	}
}

func TestWriteDemoScenarios(t *testing.T) {
	var out strings.Builder
	r := demoReport(func(r *demo.Report) { r.Outcomes[0].Result += strings.Repeat(" and served on", 6) })
	want := `✓ Renewal in the background
  r07 renewed it and served on and served on and served on
  and served on and served on and served on
✗ Redis fails
`
	if err := writeDemoScenarios(&out, r, 60); err != nil || out.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, out.String(), want)
	}
	r.Interrupted = true
	out.Reset()
	if err := writeDemoScenarios(&out, r, 60); err != nil || !strings.HasSuffix(out.String(), "· Redis fails\n  interrupted\n") {
		t.Errorf("interrupted: got %v\n%s", err, out.String())
	}
}

// TestDemoExitCodes checks what a report means for the exit code.
func TestDemoExitCodes(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*demo.Report)
		want   int
	}{
		{"kept", func(*demo.Report) {}, exitOK},
		{"broken", func(r *demo.Report) { r.Broken = []string{"no call fails: 3 did"} }, exitFailed},
		{"interrupted", func(r *demo.Report) { r.Interrupted = true }, exitInterrupted},
		{"broken and interrupted", func(r *demo.Report) { r.Broken, r.Interrupted = []string{"no call fails: 3 did"}, true }, exitFailed},
	} {
		for _, asJSON := range []bool{false, true} {
			a, stderr := newTestApp(nil)
			var out strings.Builder
			a.stdout, a.started = &out, true
			code := a.report(nil, a.conclude(demoReport(row.change), asJSON))
			if code != row.want || (row.want == exitFailed) != strings.Contains(stderr.String(), "fleettoken: broken promise: no call fails: 3 did") {
				t.Errorf("%s: got exit code %d and %q, want %d", row.name, code, stderr, row.want)
			}
			if asJSON != strings.HasPrefix(out.String(), "{") || strings.Contains(out.String(), "\x1b") {
				t.Errorf("%s: got %q", row.name, out.String())
			}
		}
	}
}
