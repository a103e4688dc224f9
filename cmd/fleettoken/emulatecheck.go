package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
)

// checkEmulator asks a running emulator whether it serves, and whether the
// authority in the file is the one that signed its certificate. A container
// without a shell needs something to check its health with.
func (a *app) checkEmulator(ctx context.Context, flags emulateFlags) error {
	if flags.caOut == "" {
		return misused("--check needs --ca-out, the file that the emulator has written")
	}
	data, err := os.ReadFile(flags.caOut)
	if err != nil {
		return failed(fmt.Errorf("--ca-out: %w", err))
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(data) {
		return failed(fmt.Errorf("--ca-out: there is no certificate in %s", flags.caOut))
	}
	_, port, _ := net.SplitHostPort(flags.address)
	host := "localhost"
	if len(flags.Hosts) > 0 {
		host = flags.Hosts[0]
	}
	ctx, cancel := context.WithTimeout(ctx, a.flags.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(host, port)+"/api/", nil)
	if err != nil {
		return failed(err)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, flags.address) // whatever the name leads to
		},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return failed(err, "check --address, --host and --ca-out: they must be those of an emulator that serves")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized { // what an API says to those without a token
		return failed(fmt.Errorf("what serves at %s is no emulator: status %d", flags.address, resp.StatusCode))
	}
	return nil
}
