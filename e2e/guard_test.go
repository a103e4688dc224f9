package e2e

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A guard is a fleet in this process, on a real Redis, whose callers never stop.
// It fails the test if one who holds a valid token notices anything.
type guard struct {
	t      *testing.T
	tenant *auth0test.Server
	opts   *redis.UniversalOptions

	mu      sync.Mutex
	sources []*tokencache.Source
	calls   atomic.Int64
	stop    context.CancelFunc
	running sync.WaitGroup
}

const (
	guardLife   = 20 * time.Second
	guardWindow = 10 * time.Second
)

func newGuard(t *testing.T, n int, opts *redis.UniversalOptions) *guard {
	t.Helper()
	g := &guard{t: t, tenant: auth0test.NewServer(&auth0test.Config{TTL: guardLife, Latency: 50 * time.Millisecond}), opts: opts}
	t.Cleanup(g.tenant.Close)
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		g.stop()
		g.running.Wait()
		if t.Failed() {
			t.Logf("the endpoint's ledger:\n%v", g.tenant.Requests())
		}
	})
	for range n {
		source := g.join()
		g.running.Go(func() { g.call(ctx, source) })
	}
	return g
}

// join adds a replica without callers.
func (g *guard) join() *tokencache.Source {
	g.t.Helper()
	opts := *g.opts
	rdb := tokencache.NewRedisClient(&opts)
	cache, err := tokencache.New(rdb, &tokencache.Options{RenewBefore: guardWindow, RequestTimeout: time.Second, RedisTimeout: 500 * time.Millisecond, Transport: g.tenant.Transport(), Trace: &tokencache.Trace{Redis: func(err error) { g.t.Logf("%v Redis: %v", time.Now().Format("05.000"), err) }}})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = cache.Close(); _ = rdb.Close() })
	source, err := cache.Source(tokencache.Credentials{TokenURL: g.tenant.TokenURL(), ClientID: "test-client", ClientSecret: "test-secret", Audience: "api"})
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sources = append(g.sources, source)
	return source
}

// call asks for the token again and again.
func (g *guard) call(ctx context.Context, source *tokencache.Source) {
	var until time.Time // so long is the last token good
	for ctx.Err() == nil {
		sure := time.Until(until) > 2*time.Second
		asking, cancel := context.WithTimeout(ctx, 10*time.Second)
		start := time.Now()
		token, err := source.Token(asking)
		cancel()
		switch took := time.Since(start); {
		case ctx.Err() != nil:
			return
		case sure && (err != nil || took > 500*time.Millisecond): // a bound for a machine that is busy; from memory it is nanoseconds
			g.t.Errorf("a caller whose replica held a valid token waited %v for: %v", took, err)
		case err == nil:
			if got := g.tenant.Check(token.AccessToken); got != auth0test.TokenValid {
				g.t.Errorf("a caller was given a token that is %v", got)
			}
			until = token.Expiry
		}
		g.calls.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// renewed waits until the endpoint has issued n more tokens.
func (g *guard) renewed(n int) {
	g.t.Helper()
	want := g.tenant.Issued() + n
	for deadline := time.Now().Add(patience); g.tenant.Issued() < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("the fleet has not renewed its token within %v", patience)
		}
	}
}

// first returns the fleet's first token.
func (g *guard) first() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := g.sources[0].Token(ctx); err != nil {
		g.t.Fatal(err)
	}
}

// refused checks that a replica that starts now is told so, soon.
func (g *guard) refused() {
	g.t.Helper()
	start := time.Now()
	_, err := g.join().Token(context.Background())
	if took := time.Since(start); !errors.Is(err, tokencache.ErrRedis) || took > 5*time.Second {
		g.t.Errorf("a newcomer was told %v after %v, want to be told of Redis at once", err, took)
	}
}

// served checks that a replica that starts now gets a token.
func (g *guard) served() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	source := g.join()
	for {
		_, err := source.Token(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			g.t.Fatalf("a newcomer has no token: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// extra checks that there were n more token requests than lives, at most.
func (g *guard) extra(n int) {
	g.t.Helper()
	ledger := g.tenant.Requests()
	lived := time.Since(ledger[0].Arrived)
	if due := int((lived+time.Second)/(guardLife-guardWindow)) + 1; len(ledger) > due+n { // the next may be due just now
		g.t.Errorf("got %d token requests in %v, want %d and %d for the fault, at most", len(ledger), lived, due, n)
	}
	if g.calls.Load() < 100 {
		g.t.Errorf("only %d calls were made", g.calls.Load())
	}
}
