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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache"
)

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
	port := strconv.Itoa(redistest.FreePort(t))
	addr := net.JoinHostPort("127.0.0.1", port)
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
	g.rest()

	for name, wrong := range map[string]*redis.UniversalOptions{
		"a certificate that is not trusted": with(func(o *redis.UniversalOptions) { o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} }),
		"another name than the certificate": with(func(o *redis.UniversalOptions) { o.TLSConfig.ServerName = "elsewhere.test" }),
		"no TLS":                            with(func(o *redis.UniversalOptions) { o.TLSConfig = nil }),
		"TLS where there is none":           with(func(o *redis.UniversalOptions) { o.Addrs = []string{server.Addr} }),
		"a wrong password":                  with(func(o *redis.UniversalOptions) { o.Password = "wrong" }),
	} {
		start := time.Now()
		g.redis = wrong
		_, err := g.join().Token(ctx)
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
