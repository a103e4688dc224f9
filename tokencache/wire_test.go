package tokencache

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// This file is about what lies between a replica and the rest of the world, and
// what a test can do to it.

// A link is a replica's way to Redis.
type link struct {
	m *miniredis.Miniredis

	mu     sync.Mutex
	down   error
	slow   time.Duration // what a dial takes
	delay  time.Duration // what each reply takes
	lose   int           // so many replies get lost, with their connections
	frozen chan struct{} // nothing passes until it is closed
	up     []*wire
}

func (l *link) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	down, slow := l.down, l.slow
	l.mu.Unlock()
	if slow > 0 { // heeds no context, as a badly configured client does not
		time.Sleep(slow)
	}
	if down != nil {
		return nil, down
	}
	pipe, err := l.m.Dial()
	if err != nil {
		return nil, err
	}
	conn := &wire{Conn: pipe, link: l}
	l.set(func() { l.up = append(l.up, conn) })
	return conn, nil
}

var errUnplugged = errors.New("the test has unplugged the network")

// cut breaks what is connected, and lets nothing connect until it is mended.
func (l *link) cut() {
	l.set(func() { l.down = errUnplugged })
	l.drop()
}

func (l *link) mend() { l.set(func() { l.down, l.slow, l.delay, l.lose = nil, 0, 0, 0 }) }

// drop breaks what is connected.
func (l *link) drop() {
	var up []*wire
	l.set(func() { up, l.up = l.up, nil })
	for _, conn := range up {
		conn.end()
	}
}

func (l *link) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// freeze lets nothing pass, and breaks nothing, until the function that it
// returns is called.
func (l *link) freeze() (thaw func()) {
	gate := make(chan struct{})
	l.set(func() { l.frozen = gate })
	return sync.OnceFunc(func() {
		l.set(func() { l.frozen = nil })
		close(gate)
	})
}

// A wire is a connection to Redis.
type wire struct {
	net.Conn
	link *link
	dead atomic.Bool
}

// end ends it as a connection does whose other end is gone.
func (w *wire) end() {
	w.dead.Store(true)
	_ = w.Conn.Close()
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.link.mu.Lock()
	frozen, delay := w.link.frozen, w.link.delay
	lost := n > 0 && w.link.lose > 0
	if lost {
		w.link.lose--
	}
	w.link.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	time.Sleep(delay)
	if lost {
		w.end()
		return 0, io.EOF
	}
	if err != nil && w.dead.Load() {
		err = io.EOF
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if err != nil && w.dead.Load() {
		err = io.EOF
	}
	return n, err
}

// Deadlines of an end that is closed mean nothing.
func (w *wire) SetDeadline(t time.Time) error      { _ = w.Conn.SetDeadline(t); return nil }
func (w *wire) SetReadDeadline(t time.Time) error  { _ = w.Conn.SetReadDeadline(t); return nil }
func (w *wire) SetWriteDeadline(t time.Time) error { _ = w.Conn.SetWriteDeadline(t); return nil }

// A door is a replica's way to the token endpoint.
type door struct {
	base http.RoundTripper

	mu     sync.Mutex
	shut   error
	frozen chan struct{}
}

func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	d.mu.Lock()
	shut := d.shut
	d.mu.Unlock()
	if shut != nil {
		return nil, shut
	}
	resp, err := d.base.RoundTrip(req)
	d.mu.Lock()
	frozen := d.frozen
	d.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	return resp, err
}

func (d *door) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// freeze lets no answer pass until the function that it returns is called.
func (d *door) freeze() (thaw func()) {
	gate := make(chan struct{})
	d.set(func() { d.frozen = gate })
	return sync.OnceFunc(func() {
		d.set(func() { d.frozen = nil })
		close(gate)
	})
}
