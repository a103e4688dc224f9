package auth0test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// NewServer starts a server with HTTPS on a free port of the loopback
// interface. Nil means the zero [Config]. Like httptest.NewServer it panics if
// it cannot listen.
func NewServer(cfg *Config) *Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if l, err = net.Listen("tcp6", "[::1]:0"); err != nil {
			panic(fmt.Sprintf("auth0test: cannot listen on a loopback port: %v", err))
		}
	}
	return must(NewServerOn(l, cfg))
}

// NewPipeServer starts a server that is reached over connections in memory, so
// that it works inside a bubble of testing/synctest. Only [Server.Client] and
// [Server.Transport] reach it. Nil means the zero [Config].
//
// Two pipe servers in one test should have different Config.Hosts, or they
// have the same URL.
func NewPipeServer(cfg *Config) *Server {
	if cfg == nil {
		cfg = new(Config)
	}
	hosts := cfg.Hosts
	if len(hosts) == 0 {
		hosts = []string{"tenant.auth0.test"}
	}
	l := newPipeListener(hosts[0])
	reachable := addresses(hosts, "443")
	return must(start(l, cfg, hosts, func(ctx context.Context, _, address string) (net.Conn, error) {
		if !slices.Contains(reachable, address) {
			return nil, fmt.Errorf("auth0test: the pipe server is %v and cannot reach %s", reachable, address)
		}
		return l.dial(ctx)
	}))
}

// NewServerOn starts a server with HTTPS on a listener that accepts plain
// connections, for an endpoint that other processes use. The server owns the
// listener from now on and closes it in [Server.Close]. Nil means the zero
// [Config]; other machines usually need Config.Hosts. The error says that no
// certificate could be made for these hosts.
func NewServerOn(l net.Listener, cfg *Config) (*Server, error) {
	if cfg == nil {
		cfg = new(Config)
	}
	hosts := cfg.Hosts
	if len(hosts) == 0 {
		hosts = listenerHosts(l.Addr())
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	own := addresses(hosts, port)
	return start(l, cfg, hosts, func(ctx context.Context, network, address string) (net.Conn, error) {
		if slices.Contains(own, address) {
			network, address = l.Addr().Network(), l.Addr().String()
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	})
}

// start serves on l under the given host names. Clients reach it with dial.
func start(l net.Listener, cfg *Config, hosts []string, dial func(context.Context, string, string) (net.Conn, error)) (*Server, error) {
	id, err := newIdentity(cfg.Certificate, hosts, time.Now())
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	s := &Server{
		URL:           "https://" + hosts[0],
		dial:          dial,
		roots:         id.roots,
		pem:           id.pem,
		closing:       make(chan struct{}),
		cfg:           *cfg,
		tokens:        make(map[string]*issued),
		organizations: make(map[string]*spending),
	}
	if _, port, err := net.SplitHostPort(l.Addr().String()); err == nil {
		s.URL = "https://" + net.JoinHostPort(hosts[0], port)
	}
	s.cfg.Audiences = slices.Clone(cfg.Audiences) // the caller may go on using its slice
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth/token", s.serveToken)
	mux.HandleFunc("/api/", s.serveAPI)
	s.http = &http.Server{Handler: mux, ErrorLog: cfg.ErrorLog, ConnState: s.watch}
	if cfg.ErrorLog == nil {
		s.http.ErrorLog = newErrorLog()
	}
	secure := tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{id.certificate},
		NextProtos:   []string{"http/1.1"},
	})
	s.running.Go(func() { _ = s.http.Serve(secure) })
	return s, nil
}

// watch follows the connections, so that Close can wait for their goroutines.
func (s *Server) watch(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.running.Add(1)
		select {
		case <-s.closing:
			_ = c.Close() // accepted too late for http.Server.Close to know it
		default:
		}
	case http.StateHijacked, http.StateClosed:
		s.running.Done()
	}
}

// addresses joins each host with the port, as an HTTP transport dials it.
func addresses(hosts []string, port string) []string {
	var list []string
	for _, host := range hosts {
		list = append(list, net.JoinHostPort(host, port))
	}
	return list
}

// listenerHosts names the listener: its own address, or the loopback address
// if it listens on all of them.
func listenerHosts(addr net.Addr) []string {
	host, _, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err != nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return []string{host, "localhost"}
}

func must(s *Server, err error) *Server {
	if err != nil {
		panic(fmt.Sprintf("auth0test: %v", err))
	}
	return s
}
