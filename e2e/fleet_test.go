package e2e

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// patience is how long a test waits for what must happen. It is not a measure
// of anything: a slow machine may need a part of it.
const patience = 60 * time.Second

var binary, replicaBinary string // the fleettoken command and e2e/replica, built for this run

func TestMain(m *testing.M) {
	os.Exit(func() int {
		// What runs in parallel here mostly waits, for a token to grow old or for
		// a server to be given up: that needs time, and hardly a processor.
		flag.Parse()
		chosen := false
		flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
		if !chosen {
			_ = flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0))))
		}
		dir, err := os.MkdirTemp("", "fleettoken-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary, replicaBinary = filepath.Join(dir, "fleettoken"), filepath.Join(dir, "replica")
		for program, path := range map[string]string{binary: "cmd/fleettoken", replicaBinary: "e2e/replica"} {
			build := exec.Command("go", "build", "-o", program, module+path)
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%v: %v\n%s", build, err, out)
				return 1
			}
		}
		if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") != "true" {
			fmt.Fprintln(os.Stderr, "e2e: no redis-server on this machine: the stories run on miniredis, which shows less")
		}
		return m.Run()
	}())
}

// A fleet is some processes on one Redis and one token endpoint.
type fleet struct {
	t      *testing.T
	tenant *auth0test.Server
	server *redistest.Server // nil: miniredis
	addr   string
	caFile string
	env    []string
	all    []*process
}

// newFleet starts the surroundings. Further settings come as NAME=value, without
// the prefix.
func newFleet(t *testing.T, cfg *auth0test.Config, settings ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, tenant: auth0test.NewServer(cfg), caFile: filepath.Join(t.TempDir(), "ca.pem")}
	t.Cleanup(f.tenant.Close)
	if err := os.WriteFile(f.caFile, f.tenant.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("redis-server"); !testing.Short() && (err == nil || os.Getenv("CI") == "true") {
		f.server = redistest.Start(t)
		f.addr = f.server.Addr
	} else {
		m := miniredis.RunT(t)
		m.ClockTTL(true)
		f.addr = m.Addr()
	}
	f.env = append(os.Environ(),
		"FLEETTOKEN_TOKEN_URL="+f.tenant.TokenURL(), "FLEETTOKEN_CLIENT_ID=test-client", "FLEETTOKEN_CLIENT_SECRET=test-secret",
		"FLEETTOKEN_AUDIENCE=api", "FLEETTOKEN_CA_FILE="+f.caFile, "FLEETTOKEN_REDIS_URL=redis://"+f.addr)
	for _, s := range settings {
		f.env = append(f.env, "FLEETTOKEN_"+s)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the endpoint's ledger:\n%v", f.tenant.Requests())
			for _, p := range f.all {
				t.Logf("%s:\n%s", p.name, p.tail())
			}
		}
	})
	return f
}

// command runs the fleettoken command to its end.
func (f *fleet) command(args ...string) (stdout, stderr string, err error) {
	f.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = f.env
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// An event is what a replica reports; see e2e/replica.
type event struct {
	Event    string `json:"event"`
	ID       int    `json:"id"`
	Error    string `json:"error"`
	Token    string `json:"token"`
	Counters struct {
		Calls  int    `json:"calls"`
		Failed int    `json:"failed"`
		Last   string `json:"last_error"`
	} `json:"counters"`
}

// A process is one replica.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	gone chan struct{}

	mu     sync.Mutex
	lines  []string // everything it wrote
	events []event
	more   chan struct{} // closed when there is more
	id     int
}

// start starts n replicas and waits until they stand.
func (f *fleet) start(n int) []*process {
	f.t.Helper()
	started := make([]*process, n)
	for i := range started {
		started[i] = f.launch(fmt.Sprintf("r%d", len(f.all)))
	}
	for _, p := range started {
		p.await("ready", 0)
	}
	return started
}

func (f *fleet) launch(name string) *process {
	f.t.Helper()
	p := &process{t: f.t, name: name, gone: make(chan struct{}), more: make(chan struct{})}
	p.cmd = exec.Command(replicaBinary)
	p.cmd.Env = append(slices.Clone(f.env), "FLEETTOKEN_REPLICA="+name, "REPLICA_API_URL="+f.tenant.APIURL())
	in, err := p.cmd.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	p.in = in
	reader, writer := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	if err := p.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // being killed is a part of the story
		_ = writer.Close()
	}()
	go func() {
		defer close(p.gone)
		lines := bufio.NewScanner(reader)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.note(lines.Text())
		}
	}()
	f.all = append(f.all, p)
	f.t.Cleanup(p.kill)
	return p
}

func (p *process) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	var e event
	if json.Unmarshal([]byte(line), &e) == nil {
		p.events = append(p.events, e)
	}
	close(p.more)
	p.more = make(chan struct{})
}

// tail returns the last lines it wrote.
func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-20):], "\n")
}

// send gives a command and returns its number.
func (p *process) send(do string, fields ...string) int {
	p.t.Helper()
	p.id++
	line := fmt.Sprintf(`{"do":%q,"id":%d%s}`, do, p.id, strings.Join(append([]string{""}, fields...), ","))
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	return p.id
}

// await waits for an event, of any number if id is 0.
func (p *process) await(name string, id int) event {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		for _, e := range p.events {
			if e.Event == name && (id == 0 || e.ID == id) {
				p.mu.Unlock()
				return e
			}
		}
		more := p.more
		p.mu.Unlock()
		select {
		case <-more:
		case <-p.gone:
			p.t.Fatalf("%s ended without the event %q %d:\n%s", p.name, name, id, p.tail())
		case <-deadline:
			p.t.Fatalf("%s: no event %q %d within %v:\n%s", p.name, name, id, patience, p.tail())
		}
	}
}

// token asks for a token and fails the test unless there is one.
func (p *process) token() event {
	p.t.Helper()
	e := p.await("token", p.send("token"))
	if e.Error != "" {
		p.t.Errorf("%s: %s", p.name, e.Error)
	}
	return e
}

// counters asks what the replica has done.
func (p *process) counters(do string) event {
	p.t.Helper()
	return p.await("counters", p.send(do))
}

// serves waits until the replica has made one more API call.
func (p *process) serves() {
	p.t.Helper()
	before := p.counters("count").Counters.Calls
	for deadline := time.Now().Add(patience); p.counters("count").Counters.Calls == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: no call within %v:\n%s", p.name, patience, p.tail())
		}
	}
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// kill ends the process as a crash would, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Kill() // gone already is as good
	<-p.gone
}

// quit lets the process end by itself.
func (p *process) quit() {
	p.t.Helper()
	p.await("bye", p.send("quit"))
	<-p.gone
}

// together lets all replicas ask for a token at once, and returns the answers.
func together(replicas []*process) []event {
	var wg sync.WaitGroup
	events := make([]event, len(replicas))
	for i, p := range replicas {
		wg.Go(func() { events[i] = p.token() })
	}
	wg.Wait()
	return events
}

// requests fails the test unless the endpoint has seen n token requests, one at
// a time.
func (f *fleet) requests(n int) {
	f.t.Helper()
	ledger := f.tenant.Requests()
	if len(ledger) != n || ledger.MaxConcurrent() > 1 {
		f.t.Errorf("got %d token requests, %d at once at most, want %d, one at a time", len(ledger), ledger.MaxConcurrent(), n)
	}
}
