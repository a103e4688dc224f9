package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/x509"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A line is a replica at the other end of two pipes.
type line struct {
	t      *testing.T
	in     *io.PipeWriter
	out    *bufio.Scanner
	ended  chan error
	heard  strings.Builder // all that it has said
	tenant *auth0test.Server
}

var clientSecret = canary.New()

// ring starts a replica that serves two pipes.
func ring(t *testing.T) *line {
	t.Helper()
	m := miniredis.RunT(t)
	tenant := auth0test.NewServer(&auth0test.Config{ClientSecret: clientSecret, PerHour: 42, PerDay: 100})
	t.Cleanup(tenant.Close)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(tenant.CAPEM())
	in, commands := io.Pipe()
	events, out := io.Pipe()
	l := &line{t: t, in: commands, out: bufio.NewScanner(events), ended: make(chan error, 1), tenant: tenant}
	go func() {
		l.ended <- Serve(t.Context(), ReplicaConfig{
			Name: "r07", Redis: &redis.UniversalOptions{Addrs: []string{m.Addr()}}, APIURL: tenant.APIURL(), Roots: roots,
			Credentials: tokencache.Credentials{TokenURL: tenant.TokenURL(), ClientID: "test-client", ClientSecret: clientSecret, Audience: "api"},
			Options:     tokencache.Options{Subscribe: true},
		}, in, out)
		_ = out.Close()
	}()
	t.Cleanup(func() { _ = commands.Close() })
	return l
}

func (l *line) say(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l.in, text+"\n"); err != nil {
		l.t.Fatal(err)
	}
}

// awaitAll returns the next event of each kind, in whatever order they come: who
// waits for a token may have it before the trace has told of it.
func (l *line) awaitAll(kinds ...string) map[string]Event {
	l.t.Helper()
	events := make(map[string]Event)
	for len(events) < len(kinds) {
		if !l.out.Scan() {
			l.t.Fatalf("the replica has ended without all of %q; it said %s", kinds, l.heard.String())
		}
		l.heard.Write(l.out.Bytes())
		var e Event
		if err := json.Unmarshal(l.out.Bytes(), &e); err != nil {
			l.t.Fatalf("%q is no event: %v", l.out.Text(), err)
		}
		if _, again := events[e.Event]; !again && slices.Contains(kinds, e.Event) {
			events[e.Event] = e
		}
	}
	return events
}

// await returns the next event of a kind.
func (l *line) await(kind string) Event {
	l.t.Helper()
	return l.awaitAll(kind)[kind]
}

// Every command has its answer, and no event holds a secret or a token.
func TestServe(t *testing.T) {
	t.Parallel()
	l := ring(t)
	if e := l.await(EventReady); !strings.HasPrefix(e.Replica, "r07/") {
		t.Errorf("got the name %q, want that of the lease", e.Replica)
	}
	l.say(`{"do":"load","id":1,"rate":100}`)
	l.await(EventAsking)
	got := l.awaitAll(EventRequested, EventAdopted, EventToken)
	if e := got[EventRequested]; e.Why != "cold" || e.Status != 200 || e.LifeMS != 24*3600*1000 || !strings.Contains(e.Quota, "b=per_hour;q=42;r=41") {
		t.Errorf("requested: got %+v", e)
	}
	adopted := got[EventAdopted]
	if e := got[EventToken]; e.ID != 1 || e.Error != "" || e.Token == "" || e.Token != adopted.Token || e.TookMS <= 0 {
		t.Errorf("token: got %+v after %+v", e, adopted)
	}
	calls := 0
	for calls == 0 {
		calls = l.await(EventCounters).Counters.Calls
	}
	l.say(`{"do":"status","id":2}`)
	status := l.await(EventStatus)
	if info, ok := status.Info.(map[string]any); !ok || status.ID != 2 || info["fleet"] == nil || status.Error != "" {
		t.Errorf("status: got %+v", status)
	}
	l.say(`{"do":"rotate","id":3,"within_ms":20000}`)
	got = l.awaitAll(EventAdopted, EventRotated)
	if e := got[EventAdopted]; e.Token == adopted.Token {
		t.Errorf("after a rotation: got %+v, want another token", e)
	}
	if e := got[EventRotated]; e.ID != 3 || e.Error != "" {
		t.Errorf("rotated: got %+v", e)
	}
	l.say(`{"do":"cut","id":4}`)
	if e := l.await(EventCut); e.ID != 4 {
		t.Errorf("cut: got %+v", e)
	}
	l.say(`{"do":"status","id":5}`)
	if e := l.await(EventStatus); e.ID != 5 || e.Error == "" {
		t.Errorf("status without Redis: got %+v, want an error", e)
	}
	l.say(`{"do":"mend","id":6}`)
	if e := l.await(EventMended); e.ID != 6 {
		t.Errorf("mend: got %+v", e)
	}
	l.say(`{"do":"dance","id":7}`)
	if e := l.await(EventUnknown); e.ID != 7 || !strings.Contains(e.Error, "dance") {
		t.Errorf("an unknown command: got %+v", e)
	}
	l.say(`{"do":"stop","id":8}`)
	stopped := Event{}
	for stopped.ID != 8 {
		stopped = l.await(EventCounters)
	}
	l.say(`{"do":"count","id":9}`)
	if e := l.await(EventCounters); e.ID != 9 || e.Counters.Calls != stopped.Counters.Calls || e.Counters.Failed != 0 {
		t.Errorf("got %+v after the load was stopped at %+v", e.Counters, stopped.Counters)
	}
	// The API may have answered the call that the stop has interrupted.
	if got := l.tenant.APICalls()[auth0test.TokenValid]; got < stopped.Counters.Calls || got > stopped.Counters.Calls+1 {
		t.Errorf("the replica counts %d calls, and the API %d", stopped.Counters.Calls, got)
	}
	l.say(`{"do":"quit","id":10}`)
	if e := l.await(EventBye); e.ID != 10 {
		t.Errorf("bye: got %+v", e)
	}
	if err := <-l.ended; err != nil {
		t.Error(err)
	}
	hidden := []canary.Secret{canary.Of("client secret", clientSecret)}
	for _, token := range l.tenant.Tokens() {
		hidden = append(hidden, canary.Of("token", token))
	}
	canary.Check(t, "what the replica says", canary.In(l.heard.String()), hidden...)
}

// A parent that is gone closes the pipe. No replica stays behind.
func TestServeEndsWithItsInput(t *testing.T) {
	t.Parallel()
	l := ring(t)
	l.await(EventReady)
	_ = l.in.Close()
	select {
	case err := <-l.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it is still there")
	}
}

// Who is interrupted says so, whatever is still in its input.
func TestServeInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2000 {
		var out strings.Builder
		err := Serve(ctx, ReplicaConfig{
			Name: "r07", Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}},
			Credentials: tokencache.Credentials{TokenURL: "https://tenant.example/", ClientID: "client", ClientSecret: clientSecret},
		}, strings.NewReader(`{"do":"count"}`+"\n"), &out)
		if err != nil || !strings.HasSuffix(out.String(), `{"event":"bye"}`+"\n") {
			t.Fatalf("got %v, %q, want that it said goodbye", err, out.String())
		}
	}
}

func TestServeRefusesWhatIsNoCommand(t *testing.T) {
	t.Parallel()
	l := ring(t)
	l.await(EventReady)
	l.say("quit")
	if err := <-l.ended; err == nil || !strings.Contains(err.Error(), "no command") {
		t.Errorf("got %v, want that it is no command", err)
	}
}
