package auth0test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Server is a token endpoint and a small API that accepts its tokens. Its
// methods are safe for concurrent use. Close it when done.
type Server struct {
	// URL is the base address without a trailing slash, such as
	// "https://127.0.0.1:41234", or "https://tenant.auth0.test" for a pipe
	// server. It does not change.
	URL string

	http    *http.Server
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	roots   *x509.CertPool
	pem     []byte
	closing chan struct{}  // closed by Close: ends every wait
	running sync.WaitGroup // the accept loop and every connection
	once    sync.Once      // guards Close

	// mu guards everything below. It is held for short computations and never
	// while waiting: a goroutine that is blocked on a mutex would stop the
	// clock of a synctest bubble.
	mu            sync.Mutex
	cfg           Config
	rows          []*Request
	inFlight      int
	faults        []injected
	tokens        map[string]*issued
	client        spending
	organizations map[string]*spending
	api           apiCalls
}

// String names the server. It keeps %v from printing, and reading, what changes
// while the server runs, such as the tokens.
func (s *Server) String() string { return "auth0test server at " + s.URL }

// TokenURL returns the address of the token endpoint.
func (s *Server) TokenURL() string { return s.URL + "/oauth/token" }

// APIURL returns the base address of the API that accepts the tokens, with a
// trailing slash. Every path below it exists.
func (s *Server) APIURL() string { return s.URL + "/api/" }

// Client returns a new HTTP client that trusts the server and can reach it.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.Transport()} }

// Transport returns a new HTTP transport that trusts the server and can reach
// it, to be changed at will before its first use.
func (s *Server) Transport() *http.Transport {
	return &http.Transport{
		DialContext:     s.dial,
		TLSClientConfig: &tls.Config{RootCAs: s.roots},
	}
}

// CAPEM returns the certificate, in PEM form, that a client has to trust. With
// Config.Certificate it is that certificate's whole chain.
func (s *Server) CAPEM() []byte { return slices.Clone(s.pem) }

// Update changes the configuration while the server runs. Requests that have
// already arrived keep the old one. The function must not call the server.
func (s *Server) Update(change func(*Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.cfg)
}

// Close stops the server, ends all requests that wait for an answer, and
// returns when the last connection is gone. The ledger stays readable.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closing)
		_ = s.http.Close() // the error of closing a listener is of no use
		s.running.Wait()
	})
}

// wait lets d pass. It reports false if the client went away or the server
// closes before that.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.closing:
		return false
	}
}

// abort ends a request without an answer, or in the middle of one, and closes
// its connection.
func abort() {
	panic(http.ErrAbortHandler)
}

// now is the server's clock: the wall clock without its monotonic part, so that
// windows and expiries are those that a calendar shows.
func now() time.Time {
	return time.Now().UTC().Round(0)
}

// Requests returns every request that the token endpoint has seen.
func (s *Server) Requests() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := make(Ledger, len(s.rows))
	for i, row := range s.rows {
		l[i] = *row
	}
	return l
}

// WriteLedger prints the ledger for people, as a table with a summary.
func (s *Server) WriteLedger(w io.Writer) error {
	l := s.Requests()
	if err := l.write(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d token requests, %d tokens issued, %d refused with 429, at most %d at once\n",
		len(l), l.Issued(), l.Answered(http.StatusTooManyRequests), l.MaxConcurrent())
	return err
}
