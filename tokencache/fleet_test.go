package tokencache

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// silent is for go-redis, which writes what goes wrong to standard error.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	debug.SetGCPercent(400) // most of what runs here makes garbage, such as a Lua state for each script
	os.Exit(m.Run())
}

// size is how much of something happens in a test: less with -short, and with the race
// detector, which makes all of it ten times as slow and finds no more in a month than in
// a week.
func size[T any](full, less T) T {
	if raced || testing.Short() {
		return less
	}
	return full
}

// long skips a test with -short: it takes a while, and shorter ones are about the same
// code.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("this is a long story")
	}
}

// A fleet is some replicas, each with a Redis client and a Cache of its own, on
// one Redis and one token endpoint, all in one bubble.
type fleet struct {
	t        *testing.T
	m        *miniredis.Miniredis
	tenant   *auth0test.Server
	opts     Options
	secret   string // the client's
	password string // that of Redis
	replicas []*testReplica
	log      log           // what was logged, unless the story reads that itself
	traced   atomic.Int64  // events of refreshes that were held to the table
	judged   bool          // by a simulation, which has searched what it printed
	delay    time.Duration // of each command to Redis
	wants    int           // how many tokens each replica of a simulation wants; 0: one
	tight    bool          // the quota may not allow for what happens to a simulation
}

// A testReplica is a process as far as the fleet can tell.
type testReplica struct {
	name   string
	rdb    *redis.Client
	cache  *Cache
	source *Source
	net    *link // to Redis
	web    *door // to the token endpoint
	closed atomic.Bool
}

// story runs a test in a bubble. Its secrets are canaries, each time new ones, and
// what Redis holds in the end and what was logged are searched for them.
func story(t *testing.T, cfg *auth0test.Config, opts Options, tell func(f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true)
		f := &fleet{t: t, m: m, opts: opts, secret: canary.New(), password: canary.New()}
		if f.opts.Logger == nil {
			f.opts.Logger = slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		m.RequireAuth(f.password)
		var tenant auth0test.Config
		if cfg != nil {
			tenant = *cfg
		}
		if tenant.ClientSecret == "" {
			tenant.ClientSecret = f.secret
		}
		f.secret, f.tenant = tenant.ClientSecret, auth0test.NewPipeServer(&tenant)
		defer func() {
			if t.Failed() || testing.Verbose() { // what happened
				t.Logf("the journal, the last first:\n%s", f.journal())
			}
			for _, r := range f.replicas {
				r.close()
			}
			if !f.judged {
				f.eachLeak(f.log.String(), func(leak string) { t.Errorf("P6: %s", leak) })
			}
			f.tenant.Close()
			m.Close()
			time.Sleep(2 * time.Second) // go-redis probes a broken pool once a second, and ends when it sees it closed
			if t.Failed() || testing.Verbose() {
				t.Logf("the endpoint's ledger:\n%v", f.tenant.Requests())
			}
		}()
		f.t = t
		tell(f)
	})
}

// A log takes in what is logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// journal returns what the fleet has noted of its token requests.
func (f *fleet) journal() string {
	f.m.SetError("")
	reader := f.boot("reader")
	defer reader.close()
	entries, err := reader.source.client.ledger.Journal(f.t.Context(), 200)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s  by %s for %s: %s (%s), %s %s after %v, %s\n", e.At.UTC().Format("2006-01-02 15:04:05.000"),
			e.By, e.For, e.Reason, e.Priority, e.Outcome, e.Status, e.Took, e.Header)
	}
	return b.String()
}

func (f *fleet) credentials() Credentials {
	return Credentials{TokenURL: f.tenant.TokenURL(), ClientID: "test-client", ClientSecret: f.secret, Audience: "api"}
}

// start adds n replicas.
func (f *fleet) start(n int) []*testReplica {
	f.t.Helper()
	for range n {
		f.replicas = append(f.replicas, f.boot(fmt.Sprintf("r%d", len(f.replicas))))
	}
	return f.replicas[len(f.replicas)-n:]
}

func (f *fleet) boot(name string) *testReplica {
	f.t.Helper()
	r := &testReplica{name: name, net: &link{m: f.m, usual: f.delay}, web: &door{base: f.tenant.Transport()}}
	r.rdb = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", Password: f.password, Dialer: r.net.dial, DisableIdentity: true, ContextTimeoutEnabled: true, MaxRetries: 1,
		PoolSize: 4, PipelinePoolSize: -1, ConnMaxIdleTime: -1, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	opts := f.opts
	opts.Replica = name
	opts.Transport = r.web
	var err error
	if r.cache, err = New(r.rdb, &opts); err != nil {
		f.t.Fatal(err)
	}
	r.cache.trace = f.checkTrace(r)
	if r.source, err = r.cache.Source(f.credentials()); err != nil {
		f.t.Fatal(err)
	}
	return r
}

// checkTrace returns a function that holds the refresh of r to the table of package trace.
func (f *fleet) checkTrace(r *testReplica) func(client, event string, tokens []int) {
	var mu sync.Mutex
	checkers := make(map[string]*trace.Checker)
	return func(c, event string, ids []int) {
		mu.Lock()
		defer mu.Unlock()
		if checkers[c] == nil {
			checkers[c] = &trace.Checker{}
		}
		f.traced.Add(1)
		if err := checkers[c].Step(event, ids...); err != nil {
			f.t.Errorf("%s: %v", r.name, err)
		}
	}
}

// close ends a replica, unless somebody else does: a story may end one that is just
// dying. Nobody waits here for whoever was first, as a Mutex or a Once would: time
// stands still in a bubble as long as somebody waits for one of them.
func (r *testReplica) close() {
	if r.closed.Swap(true) {
		return
	}
	r.cache.Close()
	r.rdb.Close()
}

// token asks a replica for a token and checks that it is one.
func (f *fleet) token(r *testReplica) string {
	f.t.Helper()
	tok, err := r.source.Token(f.t.Context())
	if err != nil {
		f.t.Errorf("%s at %v: %v", r.name, time.Now().UTC(), err)
		return ""
	}
	if got := f.tenant.Check(tok.AccessToken); got != auth0test.TokenValid {
		f.t.Errorf("%s at %v: was given a token that is %v", r.name, time.Now().UTC(), got)
	}
	return tok.AccessToken
}

// together asks all replicas for a token at once, and returns how long the
// slowest one took.
func (f *fleet) together(replicas []*testReplica) time.Duration {
	f.t.Helper()
	var wg sync.WaitGroup
	start := time.Now()
	for _, r := range replicas {
		wg.Go(func() { f.token(r) })
	}
	wg.Wait()
	return time.Since(start)
}

// serve asks every replica for a token now and then for as long as d, as a
// service would, and checks that nobody had to wait for one.
func (f *fleet) serve(d, every time.Duration) {
	f.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end) && !f.t.Failed(); {
		for _, r := range f.replicas {
			start := time.Now()
			f.token(r)
			if waited := time.Since(start); waited > 0 {
				f.t.Errorf("%s at %v: waited %v for a token", r.name, time.Now().UTC(), waited)
			}
		}
		time.Sleep(min(every, time.Until(end)))
	}
}

// requests returns how many token requests the endpoint has seen.
func (f *fleet) requests() int { return len(f.tenant.Requests()) }

// want fails the test unless the endpoint has seen n token requests, at most one
// at a time.
func (f *fleet) want(n int) {
	f.t.Helper()
	if got := f.requests(); got != n {
		f.t.Errorf("at %v: got %d token requests, want %d", time.Now().UTC(), got, n)
	}
	if got := f.tenant.Requests().MaxConcurrent(); got > 1 {
		f.t.Errorf("got %d token requests at once, want one at a time", got)
	}
}

// A counter counts the commands that a client sends.
type counter struct{ n atomic.Int64 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}
