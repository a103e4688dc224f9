package main

import (
	"crypto/x509"
	"fmt"
	"os"
)

// roots returns the certificate authorities of the system and those in the file
// that a setting names. Without a file it returns nil, which means the system's.
func roots(setting, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // there may be none, as in a container from scratch
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: there is no certificate in %s: it must be PEM, beginning with -----BEGIN CERTIFICATE-----", setting, path)
	}
	return pool, nil
}
