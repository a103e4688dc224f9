package tokencache

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A fleet is some replicas, each with a Redis client and a Cache of its own, on
// one Redis and one token endpoint, all in one bubble.
type fleet struct {
	t        *testing.T
	m        *miniredis.Miniredis
	tenant   *auth0test.Server
	opts     Options
	replicas []*replica
	callers  sync.WaitGroup
	stop     chan struct{}
}

// A replica is a process as far as the fleet can tell.
type replica struct {
	name   string
	rdb    *redis.Client
	cache  *Cache
	source *Source
	net    *link
	stop   chan struct{}
}

// A link is a replica's connection to Redis, which a test can break.
type link struct {
	m    *miniredis.Miniredis
	mu   sync.Mutex
	down error
	up   []net.Conn
}

func (l *link) dial(context.Context, string, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return nil, l.down
	}
	conn, err := l.m.Dial()
	if err == nil {
		l.up = append(l.up, conn)
	}
	return conn, err
}

func (l *link) cut(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = err
	for _, conn := range l.up {
		conn.Close()
	}
	l.up = nil
}

func (l *link) mend() { l.mu.Lock(); l.down = nil; l.mu.Unlock() }

// story runs a test in a bubble.
func story(t *testing.T, cfg *auth0test.Config, opts Options, tell func(f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true)
		f := &fleet{t: t, m: m, tenant: auth0test.NewPipeServer(cfg), opts: opts, stop: make(chan struct{})}
		defer func() {
			close(f.stop)
			f.callers.Wait()
			for _, r := range f.replicas {
				r.close()
			}
			f.tenant.Close()
			m.Close()
			if t.Failed() {
				t.Logf("the endpoint's ledger:\n%v", f.tenant.Requests())
			}
		}()
		f.t = t
		tell(f)
	})
}

func (f *fleet) credentials() Credentials {
	return Credentials{TokenURL: f.tenant.TokenURL(), ClientID: "test-client", ClientSecret: "test-secret", Audience: "api"}
}

// start adds n replicas.
func (f *fleet) start(n int) []*replica {
	f.t.Helper()
	for range n {
		f.replicas = append(f.replicas, f.boot(fmt.Sprintf("r%d", len(f.replicas))))
	}
	return f.replicas[len(f.replicas)-n:]
}

func (f *fleet) boot(name string) *replica {
	f.t.Helper()
	r := &replica{name: name, net: &link{m: f.m}, stop: make(chan struct{})}
	r.rdb = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", Dialer: r.net.dial, DisableIdentity: true, ContextTimeoutEnabled: true, MaxRetries: 1,
		PoolSize: 4, PipelinePoolSize: -1, ConnMaxIdleTime: -1, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	opts := f.opts
	opts.Replica = name
	opts.Transport = f.tenant.Transport()
	var err error
	if r.cache, err = New(r.rdb, &opts); err != nil {
		f.t.Fatal(err)
	}
	if r.source, err = r.cache.Source(f.credentials()); err != nil {
		f.t.Fatal(err)
	}
	return r
}

func (r *replica) close() {
	if r.cache == nil {
		return
	}
	r.cache.Close()
	r.rdb.Close()
	r.cache = nil
}

// token asks a replica for a token and checks that it is one.
func (f *fleet) token(r *replica) string {
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

func TestColdStartSmoke(t *testing.T) {
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
		replicas := f.start(20)
		var wg sync.WaitGroup
		start := time.Now()
		for _, r := range replicas {
			wg.Go(func() { f.token(r) })
		}
		wg.Wait()
		if got := time.Since(start); got > 200*time.Millisecond {
			t.Errorf("took %v", got)
		}
		if got := len(f.tenant.Requests()); got != 1 {
			t.Errorf("got %d token requests, want 1", got)
		}
		st, err := replicas[0].source.Status(f.t.Context())
		for _, e := range st.Journal { t.Logf("%+v", e) }
		t.Logf("%v", err)
		t.Log(f.tenant.Requests())
		for range 30 * 24 * 6 {
			for _, r := range replicas {
				f.token(r)
			}
			time.Sleep(10 * time.Minute)
		}
		t.Logf("%d requests", len(f.tenant.Requests()))
	})
}
