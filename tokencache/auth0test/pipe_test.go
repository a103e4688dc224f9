package auth0test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pair returns both ends of a connection that went through a listener.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l := newPipeListener("here")
	dialed := make(chan net.Conn)
	go func() {
		c, err := l.dial(t.Context())
		if err != nil {
			t.Error(err)
		}
		dialed <- c
	}()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return <-dialed, server
}

func TestPipeCarriesBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t)
		sent := bytes.Repeat([]byte("0123456789"), 100_000)
		if n, err := client.Write(sent); n != len(sent) || err != nil { // with nobody reading
			t.Fatalf("got %d, %v", n, err)
		}
		_ = client.Close()
		got, err := io.ReadAll(server)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("got %d bytes and error %v, want %d and none", len(got), err, len(sent))
		}
		if got, want := client.RemoteAddr().String()+" "+server.RemoteAddr().String(), "here pipe-1"; got != want {
			t.Errorf("got remote addresses %q, want %q", got, want)
		}
		if got, want := client.LocalAddr().String()+" "+server.LocalAddr().String(), "pipe-1 here"; got != want {
			t.Errorf("got local addresses %q, want %q", got, want)
		}
	})
}

func TestPipeErrors(t *testing.T) {
	t.Parallel()
	one := []byte{1}
	tests := []struct {
		name string
		do   func(client, server net.Conn) error
		want error
	}{
		{"read after the peer closed", func(c, s net.Conn) error { _ = s.Close(); _, err := c.Read(one); return err }, io.EOF},
		{"write after the peer closed", func(c, s net.Conn) error { _ = s.Close(); _, err := c.Write(one); return err }, syscall.EPIPE},
		{"read after closing", func(c, _ net.Conn) error { _ = c.Close(); _, err := c.Read(one); return err }, net.ErrClosed},
		{"write after closing", func(c, _ net.Conn) error { _ = c.Close(); _, err := c.Write(one); return err }, net.ErrClosed},
		{"read past the deadline", func(c, _ net.Conn) error {
			_ = c.SetDeadline(time.Now().Add(-1))
			_, err := c.Read(one)
			return err
		}, os.ErrDeadlineExceeded},
		{"write past the deadline", func(c, _ net.Conn) error {
			_ = c.SetWriteDeadline(time.Now())
			_, err := c.Write(one)
			return err
		}, os.ErrDeadlineExceeded},
		{"a write deadline that was lifted", func(c, _ net.Conn) error {
			_ = c.SetWriteDeadline(time.Now())
			_ = c.SetWriteDeadline(time.Time{})
			_, err := c.Write(one)
			return err
		}, nil},
		{"a read of nothing", func(c, _ net.Conn) error { _, err := c.Read(nil); return err }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server := pair(t)
				if err := tt.do(client, server); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestPipeReadDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t)
		start := time.Now()
		_ = client.SetReadDeadline(start.Add(time.Hour))
		_ = client.SetReadDeadline(start.Add(time.Minute)) // the last one counts
		_, err := client.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want a timeout after a minute", err, time.Since(start))
		}

		// A deadline in the past wakes a reader that waits already.
		_ = client.SetReadDeadline(time.Time{})
		done := make(chan error)
		go func() { _, err := client.Read(make([]byte, 1)); done <- err }()
		synctest.Wait()
		_ = client.SetReadDeadline(time.Unix(1, 0))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a timeout", err)
		}

		// And so does closing.
		_ = client.SetReadDeadline(time.Now().Add(time.Hour))
		go func() { _, err := client.Read(make([]byte, 1)); done <- err }()
		synctest.Wait()
		_ = server.Close()
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want EOF", err)
		}
		_ = client.Close()
	})
}

func TestPipeListenerRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener("here")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody accepts: got %v, want a timeout", err)
		}
		failed := make(chan error)
		go func() { _, err := l.dial(t.Context()); failed <- err }()
		synctest.Wait()
		_ = l.Close()
		_ = l.Close()
		if err := <-failed; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("closed while dialing: got %v, want connection refused", err)
		}
		if _, err := l.dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("closed: got %v, want connection refused", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: got %v, want net.ErrClosed", err)
		}
	})
}

// This is why the connections are not those of net.Pipe: there both ends take
// five seconds to say goodbye to a peer that does not read.
func TestPipeClosesTLSInNoTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		id, err := newIdentity(nil, []string{"here"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		a, b := pair(t)
		client := tls.Client(a, &tls.Config{RootCAs: id.roots, ServerName: "here"})
		server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{id.certificate}})
		shaken := make(chan error)
		go func() { shaken <- server.Handshake() }()
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_ = client.Close()
		_ = server.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("got %v of virtual time, want none", took)
		}
	})
}
