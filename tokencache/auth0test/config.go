package auth0test

import (
	"crypto/tls"
	"log"
	"slices"
	"time"
)

// Config says how a [Server] behaves. The zero value is a tenant without
// quotas that knows one client and every audience. [Server.Update] changes it
// while the server runs, except for the last three fields.
type Config struct {
	// ClientID and ClientSecret are the credentials of the one client that the
	// tenant knows. Zero: "test-client" and "test-secret".
	ClientID     string
	ClientSecret string

	// Audiences are the APIs that the tenant knows. A request for another one
	// is refused with 403 access_denied. Zero: every audience is known, and a
	// request may name none.
	Audiences []string

	// TTL is the lifetime of a token, rounded down to whole seconds.
	// Zero: 24 hours.
	TTL time.Duration

	// PerHour and PerDay are the client's quota: how many tokens it may be
	// issued in one UTC hour and in one UTC day. Zero: there is no such bucket,
	// neither enforced nor reported.
	PerHour int
	PerDay  int

	// OrganizationPerHour and OrganizationPerDay are the quota of each
	// organization, which a request names in its "organization" parameter. It
	// applies in addition to the client's quota. Zero: there is no such bucket.
	OrganizationPerHour int
	OrganizationPerDay  int

	// Monitor counts and reports the quotas without enforcing them, as Auth0
	// does with "enforce": false. Zero: they are enforced.
	Monitor bool

	// Lag makes the quota header late: on a 200 answer, r counts only the
	// tokens that were issued at least Lag ago. Zero: r is exact.
	Lag time.Duration

	// RemainingBefore makes r on a 200 answer say what remained before the
	// token of this very answer was counted. Zero: that token is counted.
	RemainingBefore bool

	// Latency passes before each answer of the token endpoint. Zero: none.
	Latency time.Duration

	// Header is the form in which the quota headers are written.
	// Zero: [HeaderStandard], the documented form.
	Header HeaderForm

	// Hosts are the host names and IP addresses that the generated certificate
	// is valid for. The first one is the host of [Server.URL], and
	// [Server.Transport] reaches the server under each of them, whatever DNS
	// says. Zero: the address of the listener and "localhost", or
	// "tenant.auth0.test" for a pipe server.
	Hosts []string

	// Certificate is served instead of a generated one. It should be valid for
	// Hosts. Zero: a certificate is generated, signed by a CA that exists for
	// this server alone and is valid from an hour ago for 100 years.
	Certificate *tls.Certificate

	// ErrorLog receives what net/http has to say about connections, such as
	// failed TLS handshakes and panics of a fault's handler. Zero: the standard
	// logger of package log, which is spared the handshakes.
	ErrorLog *log.Logger
}

// withDefaults returns the configuration with its zero values filled in. It is
// applied at every use and not once, so that Update can set a field to zero.
func (c Config) withDefaults() Config {
	if c.ClientID == "" {
		c.ClientID = "test-client"
	}
	if c.ClientSecret == "" {
		c.ClientSecret = "test-secret"
	}
	if c.TTL == 0 {
		c.TTL = 24 * time.Hour
	}
	c.Audiences = slices.Clone(c.Audiences)
	return c
}
