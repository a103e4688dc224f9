package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// Every kind of address leads to a real Redis of its kind.
func TestRealRedis(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	secure, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(secure)
	node := redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no", "--unixsocket", "redis.sock")
	sentinels := redistest.StartSentinels(t)
	cluster := redistest.StartCluster(t, 3)

	tests := []struct{ name, url, ca, want string }{
		{"node", "redis://" + node.Addr + "/3", "", ""},
		{"socket", "unix://" + filepath.Join(node.Dir, "redis.sock"), "", ""},
		{"TLS", "rediss://localhost:" + port, cert, ""},
		{"TLS by another name", "rediss://127.0.0.1:" + port + "?tls_server_name=localhost", cert, ""},
		{"TLS of an unknown authority", "rediss://localhost:" + port, "", "name the file of the certificate authority in FLEETTOKEN_REDIS_CA_FILE"},
		{"TLS by the wrong name", "rediss://127.0.0.1:" + port, cert, "or set it (tls_server_name in a URL)"},
		{"no TLS where it is wanted", "redis://localhost:" + port, "", "if this Redis requires TLS, connect with it (rediss:// in a URL)"},
		{"TLS where there is none", "rediss://" + node.Addr, cert, "if this Redis does not use TLS"},
		{"Sentinels", "redis+sentinel://127.0.0.1:1," + strings.Join(sentinels.Addrs(), ",") + "/" + redistest.MasterName + "/1", "", ""},
		{"Sentinels of another master", "redis+sentinel://" + sentinels.Sentinels[0].Addr + "/other", "", "the name of the master"},
		{"a Sentinel taken for a node", "redis://" + sentinels.Sentinels[0].Addr, "", "connect through it to its master (redis+sentinel://"},
		{"a replica taken for the master", "redis://" + sentinels.Nodes[1].Addr, "", "this server is a replica: connect to the master"},
		{"Cluster", "redis+cluster://127.0.0.1:1," + strings.Join(cluster.Addrs(), ","), "", ""},
		{"Cluster by one node", "redis+cluster://" + cluster.Nodes[2].Addr, "", ""},
		{"a node taken for a Cluster", "redis+cluster://" + node.Addr, "", "this server is not in a Cluster: connect to it as a single node (redis://"},
		{"a wrong database", "redis://" + node.Addr + "/99", "", "check the number of the database"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tenant := auth0test.NewServer(nil)
			defer tenant.Close()
			a, stderr := newTestAppAt(t, tenant, test.url)
			a.env["FLEETTOKEN_REDIS_CA_FILE"] = test.ca
			var tokens []string
			timeout := "30s"
			if test.want != "" {
				timeout = "5s" // some are like a Redis that is away for a moment
			}
			for range 2 {
				var stdout strings.Builder
				code := run(t.Context(), []string{"token", "--timeout", timeout}, a.env, a.stdin, &stdout, stderr)
				if test.want != "" {
					if code != exitFailed || !strings.Contains(stderr.String(), test.want) {
						t.Errorf("got exit code %d and %q, want %d and %q", code, stderr, exitFailed, test.want)
					}
					return
				}
				if code != exitOK {
					t.Fatalf("got exit code %d: %s", code, stderr)
				}
				tokens = append(tokens, stdout.String())
			}
			if tokens[0] != tokens[1] || tenant.Issued() != 1 {
				t.Errorf("got %d tokens issued for two processes, want 1 for both", tenant.Issued())
			}
		})
	}
}

// selfSigned makes a certificate for localhost, and returns its file and that of
// its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
