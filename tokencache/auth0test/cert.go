package auth0test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// An identity is what a server shows to its clients, and what they need in
// order to trust it.
type identity struct {
	certificate tls.Certificate
	roots       *x509.CertPool
	pem         []byte
}

// newIdentity returns the identity of the given certificate, or generates one
// for the hosts if there is none.
func newIdentity(given *tls.Certificate, hosts []string, now time.Time) (*identity, error) {
	if given == nil {
		return generateIdentity(hosts, now)
	}
	id := &identity{certificate: *given, roots: x509.NewCertPool()}
	for _, der := range given.Certificate {
		if err := id.trust(der); err != nil {
			return nil, err
		}
	}
	return id, nil
}

// generateIdentity makes a CA and one certificate signed by it. The key of the
// CA is forgotten, so nothing else can ever be signed with it, and trusting it
// in a browser or a system is no risk.
func generateIdentity(hosts []string, now time.Time) (*identity, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate CA key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	ca := template("auth0test CA", now)
	ca.IsCA = true
	ca.MaxPathLenZero = true
	ca.KeyUsage = x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("create CA certificate: %w", err)
	}
	leaf := template(hosts[0], now)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("create certificate for %q: %w", hosts, err)
	}
	id := &identity{
		certificate: tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: key},
		roots:       x509.NewCertPool(),
	}
	return id, id.trust(caDER)
}

// trust adds a certificate to those that clients trust.
func (id *identity) trust(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parse certificate: %w", err)
	}
	id.roots.AddCert(cert)
	id.pem = append(id.pem, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	return nil
}

// template holds what both certificates share. The validity is generous on
// purpose: the clock of a test may start in the year 2000 and run for decades.
func template(name string, now time.Time) *x509.Certificate {
	serial := new(big.Int).SetBytes([]byte(rand.Text()[:16]))
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(100, 0, 0),
		BasicConstraintsValid: true,
	}
}
