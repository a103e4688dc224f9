package demo

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{})
	os.Exit(m.Run())
}

// A record is what a demo told and showed.
type record struct {
	events    []view.Event
	snapshots []view.Snapshot
	report    *Report
	err       error
}

func (r *record) run(ctx context.Context, o Options) {
	o.Duration = MinDuration
	o.timeout = time.Second // these demos share few processors
	o.Tell = func(e view.Event) { r.events = append(r.events, e) }
	o.Show = func(s view.Snapshot) { r.snapshots = append(r.snapshots, s) }
	r.report, r.err = Run(ctx, o)
}

// TestDemo runs the whole demo: with a fleet, alone, and on a user's Redis.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("three demos take twenty seconds")
	}
	t.Parallel()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var fleet, alone, own record
	var running sync.WaitGroup
	running.Go(func() { fleet.run(t.Context(), Options{Replicas: 6}) })
	running.Go(func() { alone.run(t.Context(), Options{Replicas: 1}) })
	running.Go(func() {
		own.run(t.Context(), Options{Replicas: 4, Redis: &redis.UniversalOptions{Addrs: []string{m.Addr()}}})
	})
	running.Wait()

	t.Run("a fleet", func(t *testing.T) { checkWhole(t, &fleet, 6) })
	t.Run("a replica alone", func(t *testing.T) { checkWhole(t, &alone, 1) })
	t.Run("a user's Redis", func(t *testing.T) {
		checkWhole(t, &own, 4)
		if keys := m.Keys(); len(keys) > 0 {
			t.Errorf("the demo left %q in the user's Redis", keys)
		}
	})
}

// checkWhole checks a demo that went as it should.
func checkWhole(t *testing.T, r *record, replicas int) {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	p := r.report
	if len(p.Broken) > 0 || len(p.Notes) > 0 {
		t.Fatalf("got the broken promises %q and the notes %q\n%s", p.Broken, p.Notes, p.Ledger)
	}
	if p.Replicas != replicas || p.TokensIssued < 6 || p.Faults != 2 || p.TokenRequests < p.TokensIssued+2 || p.AtOnce != 1 {
		t.Errorf("got %d replicas, %d tokens, %d faults, %d requests, %d at once", p.Replicas, p.TokensIssued, p.Faults, p.TokenRequests, p.AtOnce)
	}
	if p.UnsharedTokenRequests < 6*replicas || p.APICalls == 0 || p.FailedCalls != 0 || p.ExpiredServed != 0 || p.FirstTokenMS <= 0 || p.RotationMS <= 0 || p.RedisCommands == 0 {
		t.Errorf("got %+v", p)
	}
	u, s := p.Deploys.Unshared, p.Deploys.Shared
	if u.Tokens < perHour || u.TokenRequests <= u.Tokens || u.LockedOut == 0 || u.FailedCalls == 0 || u.RetryAfterSeconds <= 0 || u.RetryAfterSeconds > 3600 {
		t.Errorf("without sharing: got %+v, want that the quota is spent and replicas are locked out", u)
	}
	if s != (DeployFigures{TokenRequests: 1, Tokens: 1}) || p.Deploys.Starts*replicas <= perHour {
		t.Errorf("with fleettoken: got %+v for %d starts of %d replicas, want one token request", s, p.Deploys.Starts, replicas)
	}
	for _, c := range p.Outcomes {
		if !c.Kept || c.Result == "" || strings.Contains(c.Result, "-") { // a negative duration
			t.Errorf("got the scenario %+v", c)
		}
	}
	checkHeadings(t, r.events)
	states, down := make(map[view.State]bool), false
	for _, v := range r.snapshots {
		down = down || v.Bad
		for _, replica := range v.Replicas {
			states[replica.State] = true
		}
	}
	for _, want := range []view.State{view.Serving, view.LockedOut, view.Due} {
		if !states[want] {
			t.Errorf("no replica was shown as %q", want)
		}
	}
	if !down {
		t.Error("Redis was never shown as down")
	}
}

// checkHeadings checks that the events of each scenario are under its heading.
func checkHeadings(t *testing.T, events []view.Event) {
	t.Helper()
	want := map[int][]string{ // parts of the texts, in order
		1: {"start", "answers 429", "locked out"},
		2: {"sends a token request", "got a token for 24 h", "start: every replica has the token; 1 of 42 are used", "1 token request for"},
		3: {"fleettoken rotate", "all replicas had the new token"},
		4: {"0 token requests"},
		5: {"sends a token request", "got a token", "renewed it in"},
		6: {"sends a token request", "is killed", "is started again", "sends a token request", "got a token", "had the fleet's token"},
		7: {"sends a token request", "answered 429", "sends a token request", "got a token", "was refused"},
		8: {"Redis is down", "the token is due, and", "Redis is back", "sends a token request", "got a token", "without Redis"},
	}
	scenario, last := 0, time.Duration(0)
	for _, e := range events {
		if e.At < last {
			t.Errorf("%q is stamped %v, after an event at %v", e.Text, e.At, last)
		}
		last = e.At
		switch {
		case e.Kind == view.Heading:
			scenario++
		case e.Kind == view.Failure:
			t.Errorf("got the failure %q", e.Text)
		case strings.HasPrefix(e.Text, "between scenarios: "): // on a slow machine
		case len(want[scenario]) > 0 && strings.Contains(e.Text, want[scenario][0]):
			want[scenario] = want[scenario][1:]
		case strings.Contains(e.Text, "token request") && e.Kind == view.Info && scenario != 8: // a request that the scenario does not expect
			t.Errorf("under heading %d: got %q, want %q next", scenario, e.Text, want[scenario])
		}
	}
	for n, missing := range want {
		if len(missing) > 0 {
			t.Errorf("under heading %d: missing %q", n, missing)
		}
	}
}

// newRun returns a run whose scenarios the test chooses.
func newRun(t *testing.T, replicas int, adjust func(*tokencache.Options)) *run {
	t.Helper()
	o := Options{Replicas: replicas, Duration: MinDuration, adjust: adjust}
	r := &run{options: o, plan: planFor(o.Duration, replicas, time.Second), events: make(chan view.Event, 1000), began: time.Now(), patience: 2 * time.Second, leave: func() {}}
	r.report.Deploys.Starts = 1
	var err error
	if r.env, err = newEnv(t.Context(), o, r.plan); err != nil {
		t.Fatal(err)
	}
	r.fleet = newFleet(replicas, r.env.config, r.env.endpoint, r.say)
	r.shown = r.fleet
	t.Cleanup(func() { r.fleet.stop(); _ = r.env.close(context.Background()) })
	return r
}

// TestRequestDuringOutage checks that the demo fails if the endpoint gets a
// request while Redis is down.
func TestRequestDuringOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("a renewal takes some seconds")
	}
	t.Parallel()
	r := newRun(t, 2, nil)
	go func() {
		for pause(t.Context(), time.Millisecond) && !r.env.down.Load() {
		}
		stray := clientcredentials.Config{TokenURL: r.env.endpoint.TokenURL(), ClientID: clientID, ClientSecret: r.env.config.credentials.ClientSecret,
			EndpointParams: url.Values{"audience": {audience}}, AuthStyle: oauth2.AuthStyleInParams}
		_, _ = stray.Token(context.WithValue(t.Context(), oauth2.HTTPClient, r.env.endpoint.Client()))
	}()
	script := r.script()
	if err := r.play(t.Context(), []scenario{script[1], script[2], script[7]}); err != nil {
		t.Log(err)
	}
	if want := promiseOutage + ": 1 token request sent while Redis was down"; !slices.Contains(r.report.Broken, want) || r.report.Outcomes[2].Kept {
		t.Errorf("got the broken promises %q and the scenario %+v, want %q", r.report.Broken, r.report.Outcomes[2], want)
	}
}

// TestRotationUnheard checks that the demo fails if a rotation does not reach
// the replicas: they have no subscription.
func TestRotationUnheard(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a demo takes seconds")
	}
	r := newRun(t, 2, func(o *tokencache.Options) { o.Subscribe = false })
	script := r.script()
	err := r.play(t.Context(), script[1:4])
	if err != errStop || len(r.report.Broken) != 1 || !strings.HasPrefix(r.report.Broken[0], promiseRotate+": ") || len(r.report.Outcomes) != 2 || r.report.Outcomes[1].Kept {
		t.Errorf("got %v, the broken promises %q and the scenarios %+v, want %q", err, r.report.Broken, r.report.Outcomes, promiseRotate)
	}
}

// TestBrokenOrder checks that events out of order end the run, and with which
// promise.
func TestBrokenOrder(t *testing.T) {
	t.Parallel()
	r := newRun(t, 1, nil)
	now := time.Now()
	err := r.play(t.Context(), []scenario{
		{title: "one", play: func(context.Context) string {
			r.ordered("a promise", mark{"a", now}, mark{"b", now}, mark{"c", now.Add(time.Second)})
			return "in order"
		}},
		{title: "two", play: func(context.Context) string {
			r.ordered("another promise", mark{"a", now}, mark{"b", now.Add(-time.Second)})
			return "never"
		}},
		{title: "three", play: func(context.Context) string { t.Error("the run went on"); return "" }},
	})
	r.finish(false)
	if want := []string{`another promise: "b" came 1 s before "a"`}; err != errStop || !slices.Equal(r.report.Broken, want) {
		t.Errorf("got %v and the broken promises %q, want %q", err, r.report.Broken, want)
	}
	if want := []Outcome{{"one", "in order", true}, {"two", "", false}}; !slices.Equal(r.report.Outcomes, want) {
		t.Errorf("got the scenarios %+v, want %+v", r.report.Outcomes, want)
	}
	if got := r.look().Scenarios; got[0].State != view.Passed || got[1].State != view.Failed || got[2].State != view.Pending {
		t.Errorf("got the scenarios %+v to see", got)
	}
}

func TestOutOfOrder(t *testing.T) {
	now := time.Now()
	for _, row := range []struct {
		name  string
		marks []mark
		want  string
	}{
		{"in order", []mark{{"a", now}, {"b", now.Add(1)}}, ""},
		{"at once", []mark{{"a", now}, {"b", now}}, ""},
		{"reversed", []mark{{"a", now}, {"b", now.Add(-20 * time.Millisecond)}}, `"b" came 20 ms before "a"`},
		{"missing", []mark{{"a", now}, {"b", time.Time{}}}, `"b" was not seen`},
		{"the first is missing", []mark{{"a", time.Time{}}, {"b", now}}, `"a" was not seen`},
	} {
		if got := outOfOrder(row.marks); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// TestInterrupted checks the report of an interrupted demo.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a demo takes seconds")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := 0
	r, err := Run(ctx, Options{Replicas: 20, Duration: MinDuration, timeout: time.Second, Tell: func(e view.Event) {
		if e.Kind == view.Result {
			if results++; results == 3 {
				cancel()
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || len(r.Broken) > 0 || r.TokensIssued != 2 || len(r.Outcomes) < 3 || r.Deploys.Unshared.Tokens != perHour || r.Deploys.Unshared.LockedOut != 18 {
		t.Errorf("got %+v, want three scenarios that went well", r)
	}
}

func TestCannotRun(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		options Options
		want    string
	}{
		{Options{Replicas: 0, Duration: DefaultDuration}, "--replicas is 0: it can be from 1 to 500"},
		{Options{Replicas: MaxReplicas + 1, Duration: DefaultDuration}, "--replicas is 501"},
		{Options{Replicas: 20, Duration: MinDuration - 1}, "--duration is 14.999999999s: it can be from 15s to 1h"},
		{Options{Replicas: 20, Duration: MaxDuration + 1}, "--duration is 1h0m0.000000001s"},
		{Options{Replicas: 2, Duration: MinDuration, Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}}, "the Redis at 127.0.0.1:1"},
	} {
		if r, err := Run(t.Context(), row.options); r != nil || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: got %v, %v, want an error with %q", row.options, r, err, row.want)
		}
	}
}

// TestReportKeys holds the names that scripts read.
func TestReportKeys(t *testing.T) {
	data, err := json.Marshal(Report{Notes: []string{"a note"}, Ledger: "not for scripts"})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"replicas", "processes", "redis", "seconds", "interrupted", "token_requests", "tokens_issued",
		"unshared_token_requests", "faults", "max_concurrent_requests", "api_calls", "failed_calls", "expired_served", "first_token_ms",
		"rotation_ms", "redis_commands", "redis_commands_per_call", "quota", "chapters", "broken_promises", "notes", "deploys"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("the report has no %s: %s", name, data)
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("the report also has %v", fields)
	}
	if data, _ := json.Marshal(Outcome{}); string(data) != `{"title":"","result":"","kept":false}` {
		t.Errorf("an outcome is %s", data)
	}
}
