package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
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

// TestFault has the faults that need real servers; see TestFault in package
// tokencache for the others. The numbers are the same.
func TestFault(t *testing.T) {
	t.Run("05 no processor is left", func(t *testing.T) {
		t.Parallel()
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{redistest.Start(t).Addr}})
		var idle atomic.Bool
		var turns atomic.Int64
		for range 8 {
			go func() {
				for !idle.Load() {
					turns.Add(1)
				}
			}()
		}
		g.first()
		g.renewed(1)
		idle.Store(true)
		g.extra(0)
	})

	t.Run("31 a Sentinel failover", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinels(t)
		g := newGuard(t, 10, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()})
		g.first()
		s.Nodes[0].Kill()
		g.renewed(2)
		g.served()
		g.extra(1)
	})

	t.Run("32 a master that hangs and comes back", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinels(t)
		g := newGuard(t, 10, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()})
		g.first()
		s.Nodes[0].Pause()
		g.renewed(1)
		s.Nodes[0].Continue()
		g.renewed(1)
		g.served()
		g.extra(2)
	})

	t.Run("34 all Sentinels and the master are gone", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinels(t)
		g := newGuard(t, 5, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()})
		g.first()
		for _, server := range append(s.Sentinels, s.Nodes[0]) {
			server.Kill()
		}
		g.refused()
		for _, server := range append(s.Sentinels, s.Nodes[0]) {
			server.Run()
		}
		g.renewed(1)
		g.served()
		g.extra(1)
	})

	t.Run("35 a node of a Cluster is killed", func(t *testing.T) {
		t.Parallel()
		c := redistest.StartCluster(t, 6)
		g := newGuard(t, 10, &redis.UniversalOptions{Addrs: c.Addrs()})
		g.first()
		owner(t, c).Kill()
		g.renewed(2)
		g.served()
		g.extra(1)
	})

	t.Run("36 a Cluster is down", func(t *testing.T) {
		t.Parallel()
		c := redistest.StartCluster(t, 3)
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: c.Addrs()})
		g.first()
		lost := owner(t, c)
		lost.Kill()
		g.refused()
		lost.Run()
		g.renewed(1)
		g.served()
		g.extra(1)
	})

	t.Run("39 scripts are lost", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{server.Addr}})
		g.first()
		if err := server.Client().ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		g.renewed(1)
		g.extra(0)
	})

	t.Run("23 24 40 TLS and an account of least privilege", func(t *testing.T) {
		t.Parallel()
		privilege(t)
	})
}

// owner returns the node that has the fleet's keys.
func owner(t *testing.T, c *redistest.Cluster) *redistest.Server {
	t.Helper()
	for _, node := range c.Nodes {
		rdb := node.Client()
		if role, _ := rdb.Do(t.Context(), "role").Slice(); len(role) > 0 && role[0] == "slave" {
			continue
		}
		if n, err := rdb.DBSize(t.Context()).Result(); err == nil && n > 0 {
			return node
		}
	}
	t.Fatal("no node of the Cluster has the keys")
	return nil
}

// privilege runs a fleet over TLS, under the account that ships with the
// library, and looks at what Redis has refused.
func privilege(t *testing.T) {
	dir := t.TempDir()
	pool := authority(t, dir)
	acl, err := os.ReadFile("../tokencache/acl/redis-7.0.acl")
	if err != nil {
		t.Fatal(err)
	}
	users := strings.ReplaceAll(string(acl), "CHANGE-ME", "secret") + "\nuser default on >admin ~* &* +@all\n"
	var lines []string
	for line := range strings.Lines(users) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "users.acl"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The port beside the one with TLS is for the test itself.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	server := redistest.StartWith(t, &redis.Options{Username: "default", Password: "admin"},
		"--tls-port", port, "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-ca-cert-file", filepath.Join(dir, "cert.pem"), "--tls-auth-clients", "no", "--aclfile", filepath.Join(dir, "users.acl"))

	with := func(change func(*redis.UniversalOptions)) *redis.UniversalOptions {
		opts := &redis.UniversalOptions{Addrs: []string{addr}, Username: "fleettoken", Password: "secret", TLSConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
		change(opts)
		return opts
	}
	g := newGuard(t, 3, with(func(*redis.UniversalOptions) {}))
	g.first()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.sources[0].Rotate(ctx); err != nil {
		t.Errorf("Rotate: %v", err)
	}
	if _, err := g.sources[1].Status(ctx); err != nil {
		t.Errorf("Status: %v", err)
	}
	g.renewed(1)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "default", Password: "admin", DisableIdentity: true})
	defer admin.Close()
	if log, err := admin.Do(ctx, "acl", "log").Slice(); err != nil || len(log) > 0 {
		t.Errorf("ACL LOG: got %v, %v, want it to be empty", log, err)
	}
	g.stop()
	g.running.Wait()

	for name, wrong := range map[string]*redis.UniversalOptions{
		"a certificate that is not trusted": with(func(o *redis.UniversalOptions) { o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} }),
		"another name than the certificate": with(func(o *redis.UniversalOptions) { o.TLSConfig.ServerName = "elsewhere.test" }),
		"no TLS":                            with(func(o *redis.UniversalOptions) { o.TLSConfig = nil }),
		"TLS where there is none":           with(func(o *redis.UniversalOptions) { o.Addrs = []string{server.Addr} }),
		"a wrong password":                  with(func(o *redis.UniversalOptions) { o.Password = "wrong" }),
	} {
		start := time.Now()
		newcomer := &guard{t: t, tenant: g.tenant, opts: wrong}
		_, err := newcomer.join().Token(ctx)
		if took := time.Since(start); !errors.Is(err, tokencache.ErrRedis) || took > 5*time.Second || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: got %v after %v", name, err, took)
		}
		silent := name == "no TLS" || name == "TLS where there is none" // then Redis says nothing that tells it from an outage
		if known, ok := errors.AsType[*tokencache.RedisError](err); !silent && (!ok || known.Kind != tokencache.RedisConfiguration) {
			t.Errorf("%s: got %v, want to be sent to the configuration", name, err)
		}
	}
}

// authority writes a certificate for 127.0.0.1 and its key into a folder.
func authority(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}
