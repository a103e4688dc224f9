package demo

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache"
)

// replicaFile is the environment variable that makes this test binary a replica,
// as --processes does with the command: it names the file of its configuration.
const replicaFile = "TEST_REPLICA_FILE"

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{})
	if file := os.Getenv(replicaFile); file != "" {
		if err := serveFrom(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A childConfig is what a replica in a process of its own needs to know.
type childConfig struct {
	Name, Redis, APIURL, Prefix                string
	TokenURL, ClientID, ClientSecret, Audience string
	PEM                                        []byte
	RenewBefore, RequestTimeout, RedisTimeout  time.Duration
}

func serveFrom(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c childConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.PEM)
	return Serve(context.Background(), ReplicaConfig{
		Name: c.Name, Redis: &redis.UniversalOptions{Addrs: []string{c.Redis}}, APIURL: c.APIURL, Roots: roots,
		Credentials: tokencache.Credentials{TokenURL: c.TokenURL, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Audience: c.Audience},
		Options: tokencache.Options{
			Prefix: c.Prefix, RenewBefore: c.RenewBefore, RequestTimeout: c.RequestTimeout, RedisTimeout: c.RedisTimeout, Subscribe: true,
		},
	}, os.Stdin, os.Stdout)
}

// spawner starts replicas as processes of this test binary.
func spawner(t *testing.T) Spawner {
	dir := t.TempDir()
	return func(cfg ReplicaConfig, pem []byte) (*exec.Cmd, error) {
		data, err := json.Marshal(childConfig{
			Name: cfg.Name, Redis: cfg.Redis.Addrs[0], APIURL: cfg.APIURL, Prefix: cfg.Options.Prefix,
			TokenURL: cfg.Credentials.TokenURL, ClientID: cfg.Credentials.ClientID,
			ClientSecret: cfg.Credentials.ClientSecret, Audience: cfg.Credentials.Audience, PEM: pem,
			RenewBefore: cfg.Options.RenewBefore, RequestTimeout: cfg.Options.RequestTimeout, RedisTimeout: cfg.Options.RedisTimeout,
		})
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, cfg.Name+".json")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return nil, err
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), replicaFile+"="+file)
		return cmd, nil
	}
}

// told collects what a demo tells and shows.
type told struct {
	mu        sync.Mutex
	events    []view.Event
	snapshots []view.Snapshot
}

func (c *told) tell(e view.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

func (c *told) show(s view.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.snapshots = append(c.snapshots, s)
}

// The whole story, in the worlds there are: all in one process; alone; on a Redis
// that is somebody's; and with processes that are killed. They run at the same
// time, on few processors: what holds here holds on a slow machine.
func TestDemo(t *testing.T) {
	t.Parallel()
	type world struct {
		name    string
		options Options
		seen    told
		report  *Report
		err     error
	}
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	worlds := []*world{
		{name: "embedded", options: Options{Replicas: 6}},
		{name: "alone", options: Options{Replicas: 1}},
		{name: "somebody's Redis", options: Options{Replicas: 4, Redis: &redis.UniversalOptions{Addrs: []string{m.Addr()}}}},
		{name: "processes", options: Options{Replicas: 4, Spawn: spawner(t)}},
	}
	var running sync.WaitGroup
	for _, w := range worlds {
		w.options.Duration, w.options.Tell, w.options.Show = MinDuration, w.seen.tell, w.seen.show
		w.options.timeout = 2 * time.Second
		running.Go(func() { w.report, w.err = Run(t.Context(), w.options) })
	}
	running.Wait()
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			if w.err != nil {
				t.Fatal(w.err)
			}
			if len(w.report.Broken) > 0 || len(w.report.Notes) > 0 {
				var evidence bytes.Buffer
				_ = w.report.WriteEvidence(&evidence)
				t.Errorf("broken promises: %q, notes: %q\n%s", w.report.Broken, w.report.Notes, evidence.String())
			}
			checkReport(t, w.report, w.options.Replicas)
			checkTold(t, &w.seen)
		})
	}
	if keys := m.Keys(); len(keys) > 0 {
		t.Errorf("the demo has left %q in somebody's Redis", keys)
	}
}

// checkReport checks the figures of a story that went as it should.
func checkReport(t *testing.T, r *Report, replicas int) {
	t.Helper()
	// Redis may go away while a token is asked for, and what cannot be stored is
	// asked for once more.
	if r.TokensIssued < tokensIssued || r.TokensIssued > tokensIssued+1 || r.Faults != 2 || r.TokenRequests < tokensIssued+2 || r.AtOnce != 1 {
		t.Errorf("got %d tokens, %d faults, %d requests, %d at once, want %d, 2, %d, 1", r.TokensIssued, r.Faults, r.TokenRequests, r.AtOnce, tokensIssued, tokensIssued+2)
	}
	// Everybody needs each of the six tokens. Who died while the third was
	// fetched needed one when it was back: the third, or the second before it.
	if least, most := tokensIssued*replicas, (tokensIssued+1)*replicas+1; r.UnsharedTokenRequests < least || r.UnsharedTokenRequests > most {
		t.Errorf("got %d requests without sharing, want %d to %d", r.UnsharedTokenRequests, least, most)
	}
	if r.APICalls == 0 || r.FailedCalls != 0 || r.ExpiredServed != 0 || r.FirstTokenMS <= 0 {
		t.Errorf("got %d calls, %d failed, %d expired, the first token after %v ms", r.APICalls, r.FailedCalls, r.ExpiredServed, r.FirstTokenMS)
	}
	// A window may end while the demo runs; then less is used.
	if b := r.Quota["per_day"]; b.Quota != perDay || b.Used < 1 || b.Used > int64(r.TokenRequests) || b.Remaining != perDay-b.Used {
		t.Errorf("got a daily quota of %+v", b)
	}
	if len(r.Chapters) != 7 {
		t.Errorf("got %d chapters, want 7", len(r.Chapters))
	}
	for _, c := range r.Chapters {
		if !c.Kept || c.Result == "" {
			t.Errorf("chapter %+v did not go as it should", c)
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"replicas", "token_requests", "unshared_token_requests", "api_calls", "failed_calls",
		"expired_served", "first_token_ms", "quota", "broken_promises"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("the report has no %s: %s", name, data)
		}
	}
}

// checkTold checks what a story was seen to be.
func checkTold(t *testing.T, seen *told) {
	t.Helper()
	kinds := make(map[view.Kind]int)
	last := time.Duration(0)
	for _, e := range seen.events {
		kinds[e.Kind]++
		if e.At < last {
			t.Errorf("%q was told after something later", e.Text)
		}
		last = e.At
	}
	if kinds[view.Opening] != 7 || kinds[view.Hint] != 7 || kinds[view.Result] != 7 || kinds[view.Failure] != 0 {
		t.Errorf("got %d chapters, %d hints, %d results, %d failures, want 7, 7, 7, 0", kinds[view.Opening], kinds[view.Hint], kinds[view.Result], kinds[view.Failure])
	}
	states := make(map[view.State]bool)
	away := false
	for _, s := range seen.snapshots {
		away = away || s.Away
		for _, r := range s.Replicas {
			states[r.State] = true
		}
	}
	if !states[view.Serving] || !states[view.Due] || !states[view.Backing] {
		t.Errorf("got the states %v to see, want serving, due and backing off among them", states)
	}
	if len(seen.snapshots) == 0 || seen.snapshots[len(seen.snapshots)-1].Totals.Requests == 0 {
		t.Errorf("got %d snapshots, the last one of a fleet that has asked for nothing", len(seen.snapshots))
	}
}

// Somebody ends the demo: the report is of what was until then.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := Run(ctx, Options{Replicas: 3, Duration: MinDuration, Tell: func(e view.Event) {
		if e.Kind == view.Result {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || len(r.Broken) > 0 || r.TokensIssued != 1 || len(r.Chapters) == 0 {
		t.Errorf("got %+v, want an interrupted story with one token and nothing broken", r)
	}
	var out strings.Builder
	if err := r.WriteText(&out); err != nil || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("got %v, %q", err, out.String())
	}
}

func TestDemoCannotBe(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		options Options
		want    string
	}{
		{"no replicas", Options{Replicas: 0, Duration: DefaultDuration}, "--replicas is 0: it can be from 1 to 500"},
		{"too many", Options{Replicas: MaxReplicas + 1, Duration: DefaultDuration}, "--replicas is 501"},
		{"too many processes", Options{Replicas: MaxProcesses + 1, Duration: DefaultDuration, Spawn: spawner(t)}, "from 1 to 100 with --processes"},
		{"too short", Options{Replicas: 20, Duration: MinDuration - 1}, "--duration is 9.999999999s: it can be from 10s to 1h"},
		{"too long", Options{Replicas: 20, Duration: MaxDuration + 1}, "--duration is 1h0m0.000000001s"},
		{"no Redis", Options{Replicas: 2, Duration: MinDuration, Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}}}, "the Redis at 127.0.0.1:1"},
	} {
		r, err := Run(t.Context(), row.options)
		if r != nil || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", row.name, r, err, row.want)
		}
	}
}
