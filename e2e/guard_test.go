package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A guard is a fleet in this process, on a real Redis, whose callers never stop.
// It fails the test if one who holds a valid token notices anything.
type guard struct {
	t       *testing.T
	tenant  *auth0test.Server
	life    time.Duration           // of a token
	options tokencache.Options      // of the replicas that join
	redis   *redis.UniversalOptions // likewise
	quiet   bool                    // about Redis

	// haste is how much earlier than due a renewal may come. How long a token
	// lives is counted from before each question that it took to know, so a busy
	// machine makes it shorter.
	haste time.Duration

	ctx     context.Context // ends the callers
	stop    context.CancelFunc
	running sync.WaitGroup
	calls   atomic.Int64
	sure    atomic.Int64 // of them, those of replicas that held a valid token
	slow    atomic.Int64 // of those, the ones that took a millisecond or more
	without atomic.Int64 // of all, those that found no token and had to wait, or were refused
	outages atomic.Int64 // how often a replica has lost Redis
	lost    atomic.Int64 // token requests whose answer came too late, or not at all
	mu      sync.Mutex
	denied  map[string]bool // replicas that were denied a token request
	stalls  [][2]time.Time  // when the machine had no time
	slept   time.Time       // since when the pulse sleeps
	said    strings.Builder // all that was logged or returned as an error
	secret  string          // of the client

	sources []*tokencache.Source
	callers int // so many of them, from the first one, have callers
	close   []func()
}

const (
	guardLife   = 20 * time.Second
	guardWindow = 10 * time.Second
)

// newGuard starts a fleet of n. What is to be different comes as changes.
func newGuard(t *testing.T, n int, opts *redis.UniversalOptions, changes ...func(*guard)) *guard {
	t.Helper()
	g := &guard{t: t, redis: opts, secret: canary.New(), denied: make(map[string]bool), life: guardLife, haste: 2 * time.Second, options: tokencache.Options{
		RenewBefore: guardWindow, RequestTimeout: time.Second, RedisTimeout: 500 * time.Millisecond,
	}}
	for _, change := range changes {
		change(g)
	}
	g.tenant = auth0test.NewServer(&auth0test.Config{ClientSecret: g.secret, TTL: g.life, PerHour: 10000, Latency: 50 * time.Millisecond})
	t.Cleanup(g.tenant.Close)
	g.ctx, g.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		g.rest()
		if t.Failed() {
			t.Log(g.report())
		}
		for _, f := range g.close {
			f()
		}
		g.keepsSecrets()
	})
	g.running.Go(g.pulse)
	g.enlist(n)
	return g
}

// Write keeps what replicas log.
func (g *guard) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.said.Write(p)
}

// keepsSecrets searches all that was said for the secret, and for the tokens: the
// first and the last of them, if there are many.
func (g *guard) keepsSecrets() {
	hidden := []canary.Secret{canary.Of("client secret", g.secret)}
	if g.redis.Password == password {
		hidden = append(hidden, canary.Of("password of Redis", g.redis.Password))
	}
	tokens := g.tenant.Tokens()
	for i, token := range tokens {
		if i < 5 || i >= len(tokens)-5 {
			hidden = append(hidden, canary.Of(fmt.Sprintf("token %d", i+1), token))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.said.Len() == 0 {
		g.t.Error("nothing was said")
	}
	canary.Check(g.t, "what was said", canary.In(g.said.String()), hidden...)
}

// brisk lets tokens live so briefly that a renewal is never far.
func brisk(g *guard) { g.life, g.options.RenewBefore = 14*time.Second, 7*time.Second }

// enlist adds n replicas with callers.
func (g *guard) enlist(n int) {
	g.t.Helper()
	for range n {
		source := g.join()
		g.callers++
		g.running.Go(func() { g.call(source) })
	}
}

// join adds a replica without callers.
func (g *guard) join() *tokencache.Source {
	g.t.Helper()
	name := fmt.Sprintf("r%d", len(g.sources))
	redisOpts, opts := *g.redis, g.options
	opts.Replica = name
	opts.Logger = slog.New(slog.NewTextHandler(g, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if opts.Transport == nil {
		opts.Transport = g.tenant.Transport()
	}
	opts.Hooks = &tokencache.Hooks{
		Redis: func(i tokencache.RedisInfo) {
			if i.Err != nil {
				g.outages.Add(1)
			}
			if !g.quiet {
				g.t.Logf("%v %s Redis: %v", time.Now().UTC().Format("05.000"), name, i.Err)
			}
		},
		Requested: func(info tokencache.RequestedInfo) {
			if info.Err != nil && info.Status == 0 {
				g.lost.Add(1)
			}
		},
		Denied: func(tokencache.DeniedInfo) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.denied[name] = true
		},
	}
	rdb := tokencache.NewRedisClient(&redisOpts)
	cache, err := tokencache.New(rdb, &opts)
	if err != nil {
		g.t.Fatal(err)
	}
	g.close = append(g.close, func() { _ = cache.Close(); _ = rdb.Close() })
	source, err := cache.Source(tokencache.Credentials{TokenURL: g.tenant.TokenURL(), ClientID: "test-client", ClientSecret: g.secret, Audience: "api"})
	if err != nil {
		g.t.Fatal(err)
	}
	g.sources = append(g.sources, source)
	return source
}

// call asks for the token again and again.
func (g *guard) call(source *tokencache.Source) {
	var until time.Time // so long is the last token good
	for g.ctx.Err() == nil {
		sure := time.Until(until) > 2*time.Second
		asking, cancel := context.WithTimeout(g.ctx, 10*time.Second)
		start := time.Now()
		token, err := source.Token(asking)
		cancel()
		took := time.Since(start)
		if g.ctx.Err() != nil {
			return
		}
		if sure {
			g.sure.Add(1)
			if took > time.Millisecond && took-g.stalled(start) > time.Millisecond {
				g.slow.Add(1)
			}
		}
		// From memory it is nanoseconds, and a failover takes seconds.
		trouble := err != nil || took > 500*time.Millisecond && took-g.stalled(start) > 500*time.Millisecond
		switch {
		case trouble && sure:
			g.t.Errorf("%v a caller whose replica held a valid token waited %v for: %v", time.Now().UTC().Format("05.000"), took, err)
		case trouble && !until.IsZero():
			g.without.Add(1)
		}
		if err != nil {
			fmt.Fprintf(g, "%v %+v %#v\n", err, err, err)
		} else {
			if got := g.tenant.Check(token.AccessToken); got != auth0test.TokenValid {
				g.t.Errorf("a caller was given a token that is %v", got)
			}
			until = token.Expiry
		}
		g.calls.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// pulse notes when the machine has no time for this process. A caller that waited
// meanwhile did not wait for the fleet.
func (g *guard) pulse() {
	for g.ctx.Err() == nil {
		slept := time.Now()
		g.mu.Lock()
		g.slept = slept
		g.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		if woke := time.Now(); woke.Sub(slept) > 50*time.Millisecond {
			g.mu.Lock()
			g.stalls = append(g.stalls, [2]time.Time{slept, woke})
			g.mu.Unlock()
		}
	}
}

// stalled returns for how long, since a moment, the machine had no time.
func (g *guard) stalled(since time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	var sum time.Duration
	for _, s := range append(g.stalls, [2]time.Time{g.slept, time.Now()}) { // the last may last yet
		if from := max(s[0].Sub(since), 0); s[1].Sub(since) > from {
			sum += s[1].Sub(since) - from
		}
	}
	return sum
}

// rest lets the callers leave.
func (g *guard) rest() {
	g.stop()
	g.running.Wait()
}

// until waits for what must happen.
func (g *guard) until(what string, happened func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("within %v it did not come about: %s", patience, what)
		}
	}
}

// renewed waits until the endpoint has issued n more tokens.
func (g *guard) renewed(n int) {
	g.t.Helper()
	want := g.tenant.Issued() + n
	g.until("a renewal of the token", func() bool { return g.tenant.Issued() >= want })
}

// noticed waits until a replica has, since the count was before, that Redis is
// away.
func (g *guard) noticed(before int64) {
	g.t.Helper()
	g.until("a replica that notices that Redis is away", func() bool { return g.outages.Load() > before })
}

// heard waits until n replicas were denied a token request.
func (g *guard) heard(n int) {
	g.t.Helper()
	g.until("replicas that are denied a token request", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.denied) >= n
	})
}

// first waits until all have the fleet's first token.
func (g *guard) first() {
	g.t.Helper()
	g.agreed()
}

// agreed waits until all replicas that have callers hold the same token, and
// returns it.
func (g *guard) agreed() string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var held string
	g.until("one token for all", func() bool {
		for i, source := range g.sources[:g.callers] {
			token, err := source.Token(ctx)
			if err != nil || i > 0 && token.AccessToken != held {
				return false
			}
			held = token.AccessToken
		}
		return true
	})
	return held
}

// refused checks that a replica that starts now is told so, soon.
func (g *guard) refused() {
	g.t.Helper()
	if err := g.answered(); !errors.Is(err, tokencache.ErrRedis) {
		g.t.Errorf("a newcomer was told %v, want to be told of Redis", err)
	}
}

// answered checks that a replica that starts now gets a token, or is told of Redis
// at once, and returns what it is told.
func (g *guard) answered() error {
	g.t.Helper()
	start := time.Now()
	_, err := g.join().Token(context.Background())
	took := time.Since(start)
	stalled := g.stalled(start)
	if err != nil && !errors.Is(err, tokencache.ErrRedis) || took-stalled > soon {
		g.t.Errorf("a newcomer was told %v after %v, %v of which the machine had no time, want to be told of Redis within %v", err, took, stalled, soon)
	}
	return err
}

// soon is how long a newcomer may wait to be told that Redis is away: as long as
// a call may take, which is half a second, and a second for a busy machine.
const soon = 1500 * time.Millisecond

// insist waits until something is done that Redis may be too busy for, as in a
// failover or on a machine with other things to do.
func (g *guard) insist(what string, do func() error) {
	g.t.Helper()
	g.until(what, func() bool {
		err := do()
		if err != nil && !errors.Is(err, tokencache.ErrRedis) {
			g.t.Fatalf("%s: %v", what, err)
		}
		return err == nil
	})
}

// tokenOf returns the token of a replica.
func (g *guard) tokenOf(source *tokencache.Source) (token *oauth2.Token) {
	g.t.Helper()
	g.insist("a token", func() (err error) {
		token, err = source.Token(g.ctx)
		return err
	})
	return token
}

// served checks that a replica that starts now gets a token.
func (g *guard) served() {
	g.t.Helper()
	g.tokenOf(g.join())
}

// due is how many token requests a fleet without faults has made by now, at most.
func (g *guard) due(ledger auth0test.Ledger) int {
	lived := time.Since(ledger[0].Arrived)
	return int((lived+g.haste)/(g.life-g.options.RenewBefore)) + 1
}

// extra checks that there were n more token requests than lives, at most, and
// no herd of them. An answer that a busy machine has lost is a fault of its own.
func (g *guard) extra(n int) {
	g.t.Helper()
	ledger := g.tenant.Requests()
	if due, lost := g.due(ledger), int(g.lost.Load()); len(ledger) > due+n+lost {
		g.t.Errorf("got %d token requests, want %d, %d for the fault, and %d for answers that were lost, at most", len(ledger), due, n, lost)
	}
	most := 1 + min(n, 1) // a fault may grant one lease twice
	if at := ledger.MaxConcurrent(); at > most+int(g.lost.Load()) {
		g.t.Errorf("got %d token requests at once, want %d, at most", at, most)
	}
	for i := 2; i < len(ledger); i++ {
		if within := ledger[i].Arrived.Sub(ledger[i-2].Arrived); within < time.Second {
			g.t.Errorf("token requests %d to %d came within %v, want two in a second, at most", i-1, i+1, within)
		}
	}
	if g.calls.Load() < 100 {
		g.t.Errorf("only %d calls were made", g.calls.Load())
	}
}

// report tells what the endpoint and the fleet have written down, for whoever
// has to find out what went wrong.
func (g *guard) report() string {
	var b strings.Builder
	b.WriteString("the endpoint's ledger:\n")
	_ = g.tenant.WriteLedger(&b) // a strings.Builder does not fail
	b.WriteString("the journal of the client, newest first:\n")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var status tokencache.Status
	err := errors.New("there is no replica")
	for _, source := range g.sources { // one of them may be cut off
		if status, err = source.Status(ctx); err == nil {
			break
		}
	}
	if err != nil {
		fmt.Fprintf(&b, "cannot be read: %v\n", err)
		return b.String()
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ADMITTED (UTC)\tBY\tWHY\tPRIORITY\tOUTCOME\tSTATUS\tTOOK\tQUOTA")
	for _, e := range status.Journal {
		by, _, _ := strings.Cut(e.By, "/")
		fmt.Fprintln(table, strings.Join([]string{e.At.UTC().Format("2006-01-02 15:04:05.000"), by, e.Reason, e.Priority, orDash(e.Outcome), orDash(e.Status), e.Took.String(), orDash(e.Header)}, "\t"))
	}
	_ = table.Flush()
	fmt.Fprintf(&b, "%d entries of the last; what was lost by Redis is not among them\n", len(status.Journal))
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// A test that fails tells why: the report has each token request as the endpoint
// saw it, and as the fleet has written it down.
func TestGuardReports(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	g := newGuard(t, 2, &redis.UniversalOptions{Addrs: []string{server.Addr}})
	g.first()
	g.rest()
	report := g.report()
	_, journal, _ := strings.Cut(report, "newest first:\n")
	if !strings.Contains(report, "1 token requests, 1 tokens issued") || !strings.Contains(journal, " cold ") || !strings.Contains(journal, " r0 ") && !strings.Contains(journal, " r1 ") {
		t.Errorf("the report does not tell of the token request:\n%s", report)
	}
	server.Kill()
	if report := g.report(); !strings.Contains(report, "cannot be read: ") {
		t.Errorf("the report does not tell that Redis is away:\n%s", report)
	}
}
