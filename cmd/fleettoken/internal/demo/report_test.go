package demo

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

func sampleReport() *Report {
	return &Report{
		Replicas: 20, Redis: "an embedded Redis", Seconds: 15.62,
		TokenRequests: 8, TokensIssued: 6, Faults: 2, UnsharedTokenRequests: 120, AtOnce: 1,
		APICalls: 7983, FirstTokenMS: 113.8, RotationMS: 2.04, RedisCommands: 367, RedisCommandsPerCall: 0.046,
		Quota:    map[string]Bucket{"per_hour": {42, 6, 36}, "per_day": {100, 6, 94}},
		Chapters: []Chapter{{Title: "The token is renewed", Result: "r07 renewed it", Kept: true}, {Title: "Redis dies"}},
		Broken:   []string{},
	}
}

func TestWriteText(t *testing.T) {
	broken, interrupted, slow, none := sampleReport(), sampleReport(), sampleReport(), sampleReport()
	broken.Broken = []string{"no call fails: 3 did"}
	broken.FailedCalls = 3
	interrupted.Interrupted, interrupted.RotationMS = true, 0
	slow.TokenRequests = 10
	*none = Report{Replicas: 1}
	for _, row := range []struct {
		name   string
		report *Report
		want   string
	}{
		{"kept", sampleReport(), `
20 replicas shared one token for 15.6 s

  token requests     8        6 tokens, 2 that the demo made fail
  without sharing    120      each replica for itself; 42 an hour are allowed
  API calls served   7,983    0 failed, 0 with an expired token
  first token        114 ms   the slowest replica's, after its start
  rotation           2.0 ms   until the last replica had the new token
  requests at once   1        at most
  Redis commands     0.046    a call; none while the token is fresh
  quota left         36       of 42 this hour; 94 of 100 today

every promise was kept
`},
		{"broken", broken, `
20 replicas shared one token for 15.6 s

  token requests     8        6 tokens, 2 that the demo made fail
  without sharing    120      each replica for itself; 42 an hour are allowed
  API calls served   7,983    3 failed, 0 with an expired token
  first token        114 ms   the slowest replica's, after its start
  rotation           2.0 ms   until the last replica had the new token
  requests at once   1        at most
  Redis commands     0.046    a call; none while the token is fresh
  quota left         36       of 42 this hour; 94 of 100 today

broken promise: no call fails: 3 did
`},
		{"interrupted", interrupted, `
20 replicas shared one token for 15.6 s

  token requests     8        6 tokens, 2 that the demo made fail
  without sharing    120      each replica for itself; 42 an hour are allowed
  API calls served   7,983    0 failed, 0 with an expired token
  first token        114 ms   the slowest replica's, after its start
  requests at once   1        at most
  Redis commands     0.046    a call; none while the token is fresh
  quota left         36       of 42 this hour; 94 of 100 today

interrupted; until then, every promise was kept
`},
		{"slow", slow, `
20 replicas shared one token for 15.6 s

  token requests     10       6 tokens, 2 that the demo made fail, 2 too slow for this machine
  without sharing    120      each replica for itself; 42 an hour are allowed
  API calls served   7,983    0 failed, 0 with an expired token
  first token        114 ms   the slowest replica's, after its start
  rotation           2.0 ms   until the last replica had the new token
  requests at once   1        at most
  Redis commands     0.046    a call; none while the token is fresh
  quota left         36       of 42 this hour; 94 of 100 today

every promise was kept
`},
		{"nothing happened", none, `
1 replica shared one token for 0.0 s

  token requests     0        0 tokens
  without sharing    0        each replica for itself; the endpoint names no quota
  API calls served   0        0 failed, 0 with an expired token
  first token        0.0 ms   the slowest replica's, after its start
  requests at once   0        at most
  Redis commands     0.000    a call; none while the token is fresh

every promise was kept
`},
	} {
		var out strings.Builder
		if err := row.report.WriteText(&out); err != nil || out.String() != row.want {
			t.Errorf("%s: got %v\n%s\nwant\n%s", row.name, err, out.String(), row.want)
		}
	}
}

func TestWriteStory(t *testing.T) {
	var out strings.Builder
	r := sampleReport()
	r.Chapters[0].Result += strings.Repeat(" and served on", 6)
	want := `✓ The token is renewed
  r07 renewed it and served on and served on and served on and served on and
  served on and served on
✗ Redis dies
`
	if err := r.WriteStory(&out); err != nil || out.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, out.String(), want)
	}

	// A chapter that was interrupted has broken no promise.
	r.Interrupted = true
	r.Chapters = []Chapter{{Title: "The token is renewed", Result: "r07 did, late"}, {Title: "Redis dies"}}
	want = "✗ The token is renewed\n  r07 did, late\n· Redis dies\n  interrupted\n"
	out.Reset()
	if err := r.WriteStory(&out); err != nil || out.String() != want {
		t.Errorf("interrupted: got %v\n%s\nwant\n%s", err, out.String(), want)
	}
}

func TestWriteEvidence(t *testing.T) {
	r := sampleReport()
	r.Ledger = "the ledger\n"
	r.Journal = []quota.Entry{
		{At: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), By: "r07/1b4e28ba", Reason: "cold", Outcome: "issued", Status: "200", Took: 61234 * time.Microsecond},
		{At: time.Date(2026, 1, 2, 3, 4, 8, 0, time.UTC), By: "r07/1b4e28ba", Reason: "early"},
	}
	var out strings.Builder
	want := `the endpoint's ledger:
the ledger

the fleet's journal:
asked         by   why    outcome       status  took
03:04:05.006  r07  cold   issued        200     61ms
03:04:08.000  r07  early  nobody knows          0s
`
	if err := r.WriteEvidence(&out); err != nil || out.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, out.String(), want)
	}
}

// What others read is a contract.
func TestReportJSON(t *testing.T) {
	r := sampleReport()
	r.Ledger = "only for people"
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"replicas":20,"processes":false,"redis":"an embedded Redis","seconds":15.62,"interrupted":false,` +
		`"token_requests":8,"tokens_issued":6,"unshared_token_requests":120,"faults":2,"max_concurrent_requests":1,` +
		`"api_calls":7983,"failed_calls":0,"expired_served":0,"first_token_ms":113.8,"rotation_ms":2.04,` +
		`"redis_commands":367,"redis_commands_per_call":0.046,` +
		`"quota":{"per_day":{"quota":100,"used":6,"remaining":94},"per_hour":{"quota":42,"used":6,"remaining":36}},` +
		`"chapters":[{"title":"The token is renewed","result":"r07 renewed it","kept":true},{"title":"Redis dies","result":"","kept":false}],` +
		`"broken_promises":[]}`
	if string(data) != want {
		t.Errorf("got\n%s\nwant\n%s", data, want)
	}
}

func TestVerdicts(t *testing.T) {
	row := func(status int, fault string, concurrent int) auth0test.Request {
		return auth0test.Request{Status: status, Issued: status == 200, Fault: fault, Concurrent: concurrent}
	}
	good := auth0test.Ledger{
		row(200, "", 1), row(200, "", 1), row(0, "hang", 1), row(200, "", 1), row(429, "application limit", 1), row(200, "", 1), row(200, "", 1), row(200, "", 1),
	}
	lost := row(0, "", 1)
	lost.Issued = true // the answer came too late
	for _, c := range []struct {
		name   string
		ledger auth0test.Ledger
		calls  map[auth0test.TokenState]int
		totals Counters
		want   string // empty: nothing is broken
	}{
		{"as it should be", good, map[auth0test.TokenState]int{auth0test.TokenValid: 100}, Counters{Calls: 100}, ""},
		{"a request was too slow for the machine", append(good[:8:8], lost), nil, Counters{}, ""},
		{"one token too many", append(good[:8:8], row(200, "", 1)), nil, Counters{}, promiseQuota},
		{"one too few", good[:7], nil, Counters{}, promiseQuota},
		{"two at once", append(good[:7:7], row(200, "", 2)), nil, Counters{}, promiseAtOnce},
		{"a failed call", good, nil, Counters{Failed: 1, LastFail: "no token"}, promiseCalls},
		{"an expired token", good, map[auth0test.TokenState]int{auth0test.TokenExpired: 1}, Counters{}, promiseExpired},
		{"an unknown token", good, map[auth0test.TokenState]int{auth0test.TokenUnknown: 1}, Counters{}, promiseCalls},
	} {
		got := append(verdicts(c.ledger, c.calls, c.totals), waste(c.ledger, [2]time.Time{})...)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want+": ")) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// One token may be lost that was asked for when Redis went away, and no more.
func TestWasteWhileRedisIsAway(t *testing.T) {
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	var ledger auth0test.Ledger
	for i := range 9 {
		at := noon.Add(time.Duration(i) * time.Second)
		ledger = append(ledger, auth0test.Request{Status: 200, Issued: true, Arrived: at, Ended: at.Add(60 * time.Millisecond)})
	}
	away := [2]time.Time{noon.Add(5*time.Second + 30*time.Millisecond), noon.Add(5*time.Second + 900*time.Millisecond)}
	for n, want := range map[int]bool{5: true, 6: false, 7: false, 8: true} {
		if got := waste(ledger[:n], away); (len(got) > 0) != want {
			t.Errorf("%d tokens: got %q, want a broken promise: %v", n, got, want)
		}
	}
	if got := waste(ledger[:7], [2]time.Time{}); len(got) != 1 {
		t.Errorf("7 tokens, none of them lost: got %q, want a broken promise", got)
	}
}

func TestQuotaOf(t *testing.T) {
	ledger := auth0test.Ledger{
		{Status: 200, Issued: true, ClientQuota: "b=per_hour;q=42;r=41;t=100,b=per_day;q=100;r=99;t=7000"},
		{Status: 429, ClientQuota: "b=per_hour;q=42;r=0;t=100"}, // a fault says what it likes
		{Status: 200, Issued: true, ClientQuota: "b=per_hour;q=42;r=40;t=90,b=per_day;q=100;r=98;t=6990"},
	}
	got := quotaOf(ledger)
	if got["per_hour"] != (Bucket{42, 2, 40}) || got["per_day"] != (Bucket{100, 2, 98}) || len(got) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 1400 * time.Microsecond: "1 ms", 994 * time.Millisecond: "994 ms", time.Second: "1 s", 1234 * time.Millisecond: "1.2 s", 21 * time.Second: "21 s",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
