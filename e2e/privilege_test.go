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
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// secured starts a server that speaks TLS at a port of its own, with the
// certificate in a folder, and knows the account that ships with the library. It
// returns the address of that port.
func secured(t *testing.T, dir string) (server *redistest.Server, addr string) {
	t.Helper()
	port := strconv.Itoa(redistest.FreePort(t))
	server = redistest.StartWith(t, admin, certificateIn(dir).arguments("--tls-port", port, "--aclfile", users(t, shipped(t), ""))...)
	return server, net.JoinHostPort("127.0.0.1", port)
}

// A certificate is what servers are told of theirs, by name.
type certificate map[string]string

func certificateIn(dir string) certificate {
	cert := filepath.Join(dir, "cert.pem")
	return certificate{"tls-cert-file": cert, "tls-key-file": filepath.Join(dir, "key.pem"), "tls-ca-cert-file": cert, "tls-auth-clients": "no"}
}

// arguments are those of a command line, with more.
func (c certificate) arguments(more ...string) []string {
	for name, value := range c {
		more = append(more, "--"+name, value)
	}
	return more
}

// overTLS says who the test is where servers ask, and speak nothing but TLS; and with
// which certificate they do.
func overTLS(t *testing.T) (*redis.Options, certificate) {
	t.Helper()
	dir := t.TempDir()
	me := *admin
	me.TLSConfig = &tls.Config{RootCAs: authority(t, dir), MinVersion: tls.VersionTLS12}
	return &me, certificateIn(dir)
}

// privilege runs a fleet over TLS, under the account that ships with the
// library, and looks at what Redis has refused.
func privilege(t *testing.T) {
	dir := t.TempDir()
	pool := authority(t, dir)
	server, addr := secured(t, dir)

	with := func(change func(*redis.UniversalOptions)) *redis.UniversalOptions {
		opts := &redis.UniversalOptions{Addrs: []string{addr}, Username: "fleettoken", Password: password, TLSConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
		change(opts)
		return opts
	}
	g := newGuard(t, 3, with(func(*redis.UniversalOptions) {}))
	g.first()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g.insist("a rotation", func() error { return g.sources[0].Rotate(ctx) })
	g.insist("a status", func() error { _, err := g.sources[1].Status(ctx); return err })
	g.renewed(1)
	nothingRefused(t, server)

	// A port that speaks TLS ends a connection without TLS and says nothing, as
	// does a server that goes down. One without TLS waits for the rest of what
	// TLS begins with, and so does one that hangs. Neither can be told from an
	// outage, so neither is sent to the configuration.
	for name, wrong := range map[string]struct {
		opts *redis.UniversalOptions
		kind tokencache.RedisKind
	}{
		"a certificate that is not trusted": {with(func(o *redis.UniversalOptions) { o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} }), tokencache.RedisConfiguration},
		"another name than the certificate": {with(func(o *redis.UniversalOptions) { o.TLSConfig.ServerName = "elsewhere.test" }), tokencache.RedisConfiguration},
		"no TLS":                            {with(func(o *redis.UniversalOptions) { o.TLSConfig = nil }), tokencache.RedisTransient},
		"TLS where there is none":           {with(func(o *redis.UniversalOptions) { o.Addrs = []string{server.Addr} }), tokencache.RedisTransient},
		"a wrong password":                  {with(func(o *redis.UniversalOptions) { o.Password = "wrong" }), tokencache.RedisConfiguration},
	} {
		g.redis = wrong.opts
		g.until(fmt.Sprintf("%s: an error of the kind %q", name, wrong.kind), func() bool { // at once, unless the machine is busy
			err := g.answered()
			known, ok := errors.AsType[*tokencache.RedisError](err)
			if !ok || strings.Contains(err.Error(), password) || wrong.kind == tokencache.RedisTransient && known.Kind != wrong.kind {
				t.Errorf("%s: got %v, want an error of the kind %q", name, err, wrong.kind)
			}
			return !ok || known.Kind == wrong.kind
		})
	}
}

// certificateExpires starts Redis again with a certificate that has expired,
// while a fleet holds a token. Nobody asks in another way, who needs an answer is
// sent to the configuration, and with another certificate all goes on.
func certificateExpires(t *testing.T) {
	valid, expired, current := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "current")
	pool := x509.NewCertPool() // trusts both
	pool.AddCert(certify(t, valid, time.Now().Add(time.Hour)))
	pool.AddCert(certify(t, expired, time.Now().Add(-time.Minute)))
	use := func(dir string) {
		_ = os.Remove(current) // the first time there is none
		if err := os.Symlink(dir, current); err != nil {
			t.Fatal(err)
		}
	}
	use(valid)
	server, addr := secured(t, current)
	g := newGuard(t, 3, &redis.UniversalOptions{Addrs: []string{addr}, Username: "fleettoken", Password: password, TLSConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}, brisk)
	g.first()

	use(expired)
	server.Restart()
	for i, source := range g.sources {
		hasExpired(g, fmt.Sprintf("the operator of replica %d", i), func() error { _, err := source.Status(t.Context()); return err })
	}
	g.noticed(g.outages.Load()) // by whoever wants to renew
	hasExpired(g, "a newcomer", g.answered)
	if n := len(g.tenant.Requests()); n != 1 {
		t.Errorf("got %d token requests while Redis could not be trusted, want only the one before", n)
	}
	if n, err := server.Client().DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("a Redis that could not be trusted has %d keys, %v, want none", n, err)
	}

	use(valid)
	server.Restart()
	g.renewed(1)
	g.agreed()
	g.served()
	g.extra(1)
}

// hasExpired checks that somebody is told of a certificate that has expired, as
// soon as the machine has time for that.
func hasExpired(g *guard, who string, told func() error) {
	g.t.Helper()
	g.until(who+" to be told of a certificate that has expired", func() bool {
		err := told()
		known, ok := errors.AsType[*tokencache.RedisError](err)
		if !ok {
			g.t.Fatalf("%s: got %v, want an error of Redis", who, err)
		}
		invalid, is := errors.AsType[x509.CertificateInvalidError](err)
		return is && invalid.Reason == x509.Expired && known.Kind == tokencache.RedisConfiguration
	})
}

// password is that of the accounts that ship.
var password = canary.Plain()

// admin is who the test is where servers ask.
var admin = &redis.Options{Username: "default", Password: "admin"}

// users writes the accounts of a server: one that ships with the library, with
// more rights perhaps, more of them as the library's README has them, and the
// test's own.
func users(t *testing.T, file, rights string, more ...string) string {
	t.Helper()
	account, err := os.ReadFile(filepath.Join("../tokencache/acl", file))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../tokencache/acl/README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{strings.TrimSpace(string(account)) + " " + rights}
	if !strings.Contains(string(readme), rights) {
		t.Errorf("the README does not tell of %s", rights)
	}
	for line := range strings.Lines(string(readme)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "user" && slices.Contains(more, fields[1]) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1+len(more) {
		t.Fatalf("the README has not all of the accounts %v", more)
	}
	lines = append(lines, "user default on >admin ~* &* +@all\n")
	path := filepath.Join(t.TempDir(), "users.acl")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(strings.Join(lines, "\n"), "CHANGE-ME", password)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// shipped returns the file that is for the redis-server of this machine.
func shipped(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(redistest.Find(t), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	_, version, _ := strings.Cut(string(out), "v=")
	if _, err := fmt.Sscanf(version, "%d.%d.", &major, &minor); err != nil {
		t.Fatalf("redis-server --version says %q: %v", out, err)
	}
	if major > 7 || major == 7 && minor >= 2 {
		return "redis-7.2.acl"
	}
	return "redis-7.0.acl"
}

// newerAccount looks at the account for Redis 7.2 where the server is older: it
// refuses the one right that it does not know, so only the rest can be shown.
func newerAccount(t *testing.T) {
	if shipped(t) == "redis-7.2.acl" {
		t.Skip("the other tests have run under it")
	}
	server := redistest.Start(t)
	give := func(file, without string) (string, error) {
		text, err := os.ReadFile(filepath.Join("../tokencache/acl", file))
		if err != nil {
			t.Fatal(err)
		}
		rdb := server.Client()
		args := []any{"acl", "setuser"}
		for _, word := range strings.Fields(strings.ReplaceAll(string(text), without, ""))[1:] {
			args = append(args, word)
		}
		if err := rdb.Do(t.Context(), args...).Err(); err != nil {
			return "", err
		}
		user, err := rdb.Do(t.Context(), "acl", "getuser", "fleettoken").Result()
		return fmt.Sprint(user), err
	}
	const newer = "+client|setinfo"
	if _, err := give("redis-7.2.acl", ""); err == nil || !strings.Contains(err.Error(), newer) {
		t.Errorf("the file for 7.2: got %v, want this server not to know %s", err, newer)
	}
	older, err := give("redis-7.0.acl", "")
	if err != nil {
		t.Errorf("the file for 7.0: %v", err)
	}
	if same, err := give("redis-7.2.acl", newer); err != nil || same != older {
		t.Errorf("without %s the file for 7.2 gives %s, %v, want what that for 7.0 gives: %s", newer, same, err, older)
	}
	t.Skip("this server is older than 7.2, and refuses " + newer + ": the rest of that file is what the tests run under, and it cannot be shown here")
}

// nothingRefused fails the test if servers have refused anything to anybody.
func nothingRefused(t *testing.T, servers ...*redistest.Server) {
	t.Helper()
	for _, server := range servers {
		rdb := server.Client()
		log, err := rdb.Do(t.Context(), "acl", "log").Slice()
		if err != nil || len(log) > 0 {
			t.Errorf("ACL LOG of %s: got %v, %v, want it to be empty", server.Addr, log, err)
		}
		// An empty log of a server that asks nobody is worth nothing.
		if who, err := rdb.ACLWhoAmI(t.Context()).Result(); err != nil || who != admin.Username {
			t.Errorf("%s takes the test for %q, %v", server.Addr, who, err)
		}
		opts := *rdb.Options()
		opts.Username, opts.Password = "", ""
		stranger := redis.NewClient(&opts)
		if err := stranger.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
			t.Errorf("%s does not ask who comes: %v", server.Addr, err)
		}
		_ = stranger.Close()
	}
}

// leastOf leads a fleet through all that it may need rights for.
func leastOf(t *testing.T, opts *redis.UniversalOptions, fault func(g *guard)) {
	opts.Username, opts.Password = "fleettoken", password
	g := newGuard(t, 5, opts, brisk, func(g *guard) { g.options.Subscribe = true })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g.first()

	// A token that nobody would look for within the test's patience.
	g.tenant.Update(func(c *auth0test.Config) { c.TTL = time.Hour })
	g.insist("a rotation", func() error { return g.sources[0].Rotate(ctx) })
	if news := g.tokenOf(g.sources[0]); g.agreed() != news.AccessToken {
		t.Error("the news of the rotated token have not come to all")
	}
	g.tenant.Update(func(c *auth0test.Config) { c.TTL = g.life })
	g.insist("a rotation", func() error { return g.sources[1].Rotate(ctx) })
	g.insist("a status", func() error { _, err := g.sources[2].Status(ctx); return err })
	g.renewed(1)
	fault(g)
	g.renewed(1)
	g.agreed()
	g.served()
}

// privilegeUnderSentinels is the fleet under Sentinels that ask who comes, as do
// the servers, over TLS.
func privilegeUnderSentinels(t *testing.T) {
	me, certificate := overTLS(t)
	ask := users(t, "sentinel.acl", "", "sentinels")
	lines := []string{
		"aclfile " + ask, "sentinel sentinel-user sentinels", "sentinel sentinel-pass " + password,
		"sentinel auth-user " + redistest.MasterName + " sentinel", "sentinel auth-pass " + redistest.MasterName + " " + password,
	}
	for name, value := range certificate {
		lines = append(lines, name+" "+value)
	}
	s := redistest.StartSentinelsWith(t, me, lines,
		certificate.arguments("--aclfile", users(t, shipped(t), "", "replica", "sentinel"), "--masteruser", "replica", "--masterauth", password)...)
	all := append(slices.Clone(s.Nodes), s.Sentinels...)
	leastOf(t, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs(), SentinelUsername: "fleettoken", SentinelPassword: password, TLSConfig: me.TLSConfig}, func(g *guard) {
		nothingRefused(t, all...)
		lost := s.Nodes[0]
		lost.Kill()
		g.until("another master", func() bool { m := s.Master(); return m != nil && m != lost })
		lost.Run()
		g.until("the old master to follow the new one", func() bool {
			info, err := lost.Client().Info(t.Context(), "replication").Result()
			return err == nil && strings.Contains(info, "master_link_status:up")
		})
		g.renewed(1)
	})
	nothingRefused(t, all...)
}

// privilegeInCluster is the fleet in a Cluster that asks who comes, over TLS.
func privilegeInCluster(t *testing.T) {
	me, certificate := overTLS(t)
	c := redistest.StartClusterWith(t, me, 6, certificate.arguments("--tls-cluster", "yes", "--masteruser", "replica", "--masterauth", password,
		"--aclfile", users(t, shipped(t), "+cluster|slots +cluster|shards +readonly +asking", "replica"))...)
	leastOf(t, &redis.UniversalOptions{Addrs: c.Addrs(), TLSConfig: me.TLSConfig}, func(g *guard) {
		nothingRefused(t, c.Nodes...)
		lost := owner(t, c)
		lost.Kill()
		g.renewed(1)
		lost.Run()
		g.until("the lost node to follow the new owner", func() bool {
			info, err := lost.Client().Info(t.Context(), "replication").Result()
			return err == nil && strings.Contains(info, "master_link_status:up")
		})
		move := startMove(t, c)
		move.rest()
		g.answered() // if it is refused, then not for want of a right
		move.finish()
	})
	nothingRefused(t, c.Nodes...)
}

// authority writes a certificate for 127.0.0.1 and its key into a folder.
func authority(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(certify(t, dir, time.Now().Add(time.Hour)))
	return pool
}

// certify writes one that is valid until a moment.
func certify(t *testing.T, dir string, until time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: until.Add(-2 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, // servers are clients of each other
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
	return cert
}
