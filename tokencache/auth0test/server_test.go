package auth0test_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

func TestServerOnLoopback(t *testing.T) {
	t.Parallel()
	s := auth0test.NewServer(nil)
	defer s.Close()
	if !strings.HasPrefix(s.URL, "https://127.0.0.1:") {
		t.Errorf("got URL %q, want https on 127.0.0.1", s.URL)
	}
	c := s.Client()
	r := ask(t, c, s)
	wantEqual(t, "status", r.status, 200)
	wantEqual(t, "state of the token", s.Check(r.token()), auth0test.TokenValid)
	wantEqual(t, "API status", call(t, c, s, r.token(), "").status, 200)
	wantEqual(t, "issued", s.Issued(), 1)
}

func TestServerIsOnlyTrustedWithItsCA(t *testing.T) {
	t.Parallel()
	s := auth0test.NewServer(nil)
	defer s.Close()

	if _, err := do(t.Context(), &http.Client{Transport: &http.Transport{}}, "POST", s.TokenURL(), documented); err == nil {
		t.Error("a client without the CA was served")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CAPEM()) {
		t.Fatalf("got no certificate in %q", s.CAPEM())
	}
	own := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer own.CloseIdleConnections()
	wantEqual(t, "status with the CA", ask(t, &http.Client{Transport: own}, s).status, 200)
	wantEqual(t, "token requests", len(s.Requests()), 1)
}

func TestServerRefusesPlainHTTP(t *testing.T) {
	t.Parallel()
	s := auth0test.NewServer(nil)
	defer s.Close()
	plain := "http" + strings.TrimPrefix(s.TokenURL(), "https")
	r, err := do(t.Context(), s.Client(), "POST", plain, documented)
	if err != nil || r.status != 400 {
		t.Errorf("got status %d and error %v, want 400", r.status, err)
	}
	wantEqual(t, "token requests", len(s.Requests()), 0)
}

func TestServerOnGivenListenerAndHosts(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := auth0test.NewServerOn(l, &auth0test.Config{Hosts: []string{"login.example.test", "10.1.2.3"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	wantEqual(t, "URL", s.URL, "https://login.example.test:"+port)
	wantEqual(t, "status under its name", ask(t, s.Client(), s).status, 200)
	r, err := do(t.Context(), s.Client(), "POST", "https://10.1.2.3:"+port+"/oauth/token", documented)
	if err != nil || r.status != 200 {
		t.Errorf("under its address: got status %d and error %v, want 200", r.status, err)
	}
}

func TestServerOnAllAddresses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := auth0test.NewServerOn(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantEqual(t, "host", strings.HasPrefix(s.URL, "https://127.0.0.1:"), true)
	wantEqual(t, "status", ask(t, s.Client(), s).status, 200)
	// It is an ordinary transport for all other addresses.
	other := auth0test.NewServer(nil)
	defer other.Close()
	if _, err := do(t.Context(), s.Client(), "POST", other.TokenURL(), documented); err == nil {
		t.Error("a client of one server trusts another one")
	}
}

func TestServerOnHostsThatNoCertificateCanName(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth0test.NewServerOn(l, &auth0test.Config{Hosts: []string{"münchen.test"}}); err == nil {
		t.Error("got no error for a host name that is not ASCII")
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener was left open")
	}
}

func TestServerWithGivenCertificate(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	given := selfSigned(t, "127.0.0.1")
	s, err := auth0test.NewServerOn(l, &auth0test.Config{Certificate: given})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := s.Transport().DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CAPEM())
	secure := tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	defer func() { _ = secure.Close() }()
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := secure.ConnectionState().PeerCertificates[0].Raw; string(got) != string(given.Certificate[0]) {
		t.Error("the server does not show the given certificate")
	}
}

func TestPipeServerCertificateIsValidForDecades(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		wantEqual(t, "URL", s.URL, "https://tenant.auth0.test")
		wantEqual(t, "status", ask(t, c, s).status, 200)
		time.Sleep(50 * 365 * 24 * time.Hour)
		wantEqual(t, "status after 50 years", ask(t, s.Client(), s).status, 200)
	})
}

func TestPipeServerReachesNothingElse(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		_, err := do(t.Context(), c, "POST", "https://elsewhere.example.com/oauth/token", documented)
		if err == nil || !strings.Contains(err.Error(), "cannot reach elsewhere.example.com:443") {
			t.Errorf("got error %v, want one that says what cannot be reached", err)
		}
	})
}

func TestUpdateWhileRunning(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
		wantEqual(t, "expires_in", ask(t, c, s).fields["expires_in"], any(86400.0))
		s.Update(func(cfg *auth0test.Config) {
			cfg.TTL = 90*time.Second + 999*time.Millisecond
			cfg.PerHour = 2
		})
		r := ask(t, c, s)
		wantEqual(t, "expires_in", r.fields["expires_in"], any(90.0))
		time.Sleep(90*time.Second - time.Nanosecond)
		wantEqual(t, "state just before the end", s.Check(r.token()), auth0test.TokenValid)
		time.Sleep(time.Nanosecond)
		wantEqual(t, "state at the end", s.Check(r.token()), auth0test.TokenExpired)
		wantEqual(t, "status with a quota that was met before it was set", ask(t, c, s).status, 429)
		s.Update(func(cfg *auth0test.Config) { *cfg = auth0test.Config{} })
		wantEqual(t, "expires_in", ask(t, c, s).fields["expires_in"], any(86400.0))
		s.Update(func(cfg *auth0test.Config) { cfg.ClientSecret = "rotated" })
		wantEqual(t, "status with the old secret", ask(t, c, s).status, 401)
	})
}

func TestCloseOnLoopback(t *testing.T) {
	t.Parallel()
	s := auth0test.NewServer(nil)
	s.Inject(1, auth0test.LostAnswer())
	failed := make(chan error)
	go func() {
		_, err := do(context.Background(), s.Client(), "POST", s.TokenURL(), documented)
		failed <- err
	}()
	for s.Issued() == 0 {
		runtime.Gosched() // until the request has arrived
	}
	s.Close()
	if err := <-failed; err == nil {
		t.Error("got an answer from a closed server")
	}
	row := s.Requests()[0]
	wantEqual(t, "ended", row.Ended.IsZero(), false)
	wantEqual(t, "issued", row.Issued, true)
}

// A closed server ends what hangs, at once and on the virtual clock too, and
// leaves no goroutine behind: synctest.Test would fail.
func TestCloseEndsWaitingRequests(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]auth0test.Fault{
		"hang":    auth0test.Hang(),
		"slow":    auth0test.Slow(time.Hour),
		"trickle": {Trickle: time.Hour},
		"handler": {Handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, nil, func(t *testing.T, s *auth0test.Server, c *http.Client) {
				s.Inject(-1, fault)
				start := time.Now()
				failed := make(chan error)
				for range 3 {
					go func() {
						_, err := do(t.Context(), c, "POST", s.TokenURL(), documented)
						failed <- err
					}()
				}
				synctest.Wait()
				s.Close()
				s.Close() // again, for nothing
				for range 3 {
					if err := <-failed; err == nil {
						t.Error("got an answer from a closed server")
					}
				}
				wantEqual(t, "virtual time that closing took", time.Since(start), 0)
				for _, row := range s.Requests() {
					if row.Ended.IsZero() {
						t.Errorf("still in flight: %v", row)
					}
				}
				if _, err := do(t.Context(), c, "POST", s.TokenURL(), documented); err == nil {
					t.Error("a closed server accepted a connection")
				}
			})
		})
	}
}
