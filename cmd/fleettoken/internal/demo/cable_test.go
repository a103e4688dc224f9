package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

// far dials one end of a pipe, and keeps the other.
type far struct{ ends []net.Conn }

func (f *far) dial(context.Context, string, string) (net.Conn, error) {
	near, end := net.Pipe()
	f.ends = append(f.ends, end)
	return near, nil
}

func TestCable(t *testing.T) {
	var c cable
	var f far
	dial := c.through(f.dial)
	one, err := dial(t.Context(), "tcp", "anywhere")
	if err != nil {
		t.Fatal(err)
	}
	two, err := dial(t.Context(), "tcp", "anywhere")
	if err != nil {
		t.Fatal(err)
	}
	_ = one.Close()
	if len(c.conns) != 1 {
		t.Errorf("the cable knows %d connections, want only the open one", len(c.conns))
	}

	c.cut()
	if _, err := two.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("reading from a connection that was cut: got %v", err)
	}
	if _, err := f.ends[1].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the other end: got %v, want EOF", err)
	}
	if _, err := dial(t.Context(), "tcp", "anywhere"); !errors.Is(err, errCut) {
		t.Errorf("dialling through a cable that is cut: got %v", err)
	}

	c.mend()
	if _, err := dial(t.Context(), "tcp", "anywhere"); err != nil {
		t.Errorf("dialling through a mended cable: got %v", err)
	}
}

// Who dials while the cable is being cut gets no connection that survives it.
func TestCableCutWhileDialling(t *testing.T) {
	var c cable
	var f far
	dial := c.through(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := f.dial(ctx, network, address)
		c.cut()
		return conn, err
	})
	if _, err := dial(t.Context(), "tcp", "anywhere"); !errors.Is(err, errCut) {
		t.Errorf("got %v, want that it was cut", err)
	}
	if _, err := f.ends[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the other end: got %v, want EOF", err)
	}
}
