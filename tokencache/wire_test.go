package tokencache

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// This file is about what lies between a replica and the rest of the world, and
// what a test can do to it.

// A link is a replica's way to Redis.
type link struct {
	m *miniredis.Miniredis

	mu       sync.Mutex
	dials    int
	down     error
	slow     time.Duration // what a dial takes
	usual    time.Duration // what each reply takes always, and
	delay    time.Duration // what it takes more
	lose     int           // so many replies get lost, with their connections
	tear     int           // so many end after three bytes, with their connections
	shift    bool          // each connection gives each reply to the next question
	frozen   int           // how often it was frozen, and not thawed yet
	bytewise bool          // replies come one byte at a time
	limit    time.Duration // a connection that is idle for so long is closed; zero: none is
	up       []*wire
}

func (l *link) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.dials++
	m, down, slow := l.m, l.down, l.slow
	l.mu.Unlock()
	if slow > 0 { // heeds no context that ends later, as a badly configured client does not
		time.Sleep(slow)
	}
	if down != nil {
		return nil, down
	}
	pipe, err := m.Dial()
	if err != nil {
		return nil, err
	}
	conn := newWire(pipe, l)
	l.set(func() {
		l.up = append(l.up, conn)
		if l.limit > 0 {
			conn.idle = time.AfterFunc(l.limit, conn.end)
		}
	})
	return conn, nil
}

// halfOpen lets what is connected receive nothing more, and breaks nothing, as when the
// other host has crashed.
func (l *link) halfOpen() {
	l.mu.Lock()
	up := slices.Clone(l.up)
	l.mu.Unlock()
	for _, conn := range up {
		conn.signal(func() { conn.halfOpen = true })
	}
}

var errUnplugged = errors.New("the test has unplugged the network")

// cut breaks what is connected, and lets nothing connect until it is mended.
func (l *link) cut() {
	l.set(func() { l.down = errUnplugged })
	l.drop()
}

func (l *link) mend() {
	l.set(func() { l.down, l.slow, l.delay, l.lose, l.tear, l.bytewise, l.shift = nil, 0, 0, 0, 0, false, false })
}

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

// freeze holds up what Redis says, and breaks nothing, until the function that it
// returns is called. What is sent to Redis gets there.
func (l *link) freeze() (thaw func()) {
	l.set(func() { l.frozen++ })
	return sync.OnceFunc(func() {
		var up []*wire
		l.set(func() {
			l.frozen--
			up = slices.Clone(l.up)
		})
		for _, conn := range up {
			conn.signal(func() {})
		}
	})
}

func (l *link) isFrozen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen > 0
}

// A wire is a connection to Redis. It always takes in what Redis says, as the
// buffer of a socket does: miniredis stands still until it is rid of what it
// says, and with it the clock.
type wire struct {
	net.Conn
	link *link

	mu       sync.Mutex
	kept     []byte    // what Redis said, and nobody has read
	last     []byte    // the reply that the next question gets
	err      error     // what comes after that
	deadline time.Time // of reading
	halfOpen bool      // nothing arrives any more
	change   chan struct{}

	idle *time.Timer // ends it; nil if nothing does
}

// used notes that something was sent or received.
func (w *wire) used() {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	if w.idle != nil {
		w.idle.Reset(w.link.limit)
	}
}

func newWire(conn net.Conn, l *link) *wire {
	w := &wire{Conn: conn, link: l, change: make(chan struct{})}
	go func() {
		p := make([]byte, 16<<10)
		for {
			n, err := conn.Read(p)
			said := p[:n]
			l.set(func() {
				if !l.shift || n == 0 {
					w.last = nil
					return
				}
				next := slices.Clone(said)
				if w.last != nil {
					said = w.last
				}
				w.last = next
			})
			w.signal(func() {
				w.kept = append(w.kept, said...)
				if w.err == nil {
					w.err = err
				}
			})
			if err != nil {
				return
			}
		}
	}()
	return w
}

// signal changes the state, and lets those look again who wait.
func (w *wire) signal(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.change)
	w.change = make(chan struct{})
}

// end ends it as a connection does whose other end is gone.
func (w *wire) end() {
	w.signal(func() { w.kept, w.err = nil, io.EOF })
	_ = w.Conn.Close()
}

func (w *wire) Read(p []byte) (int, error) {
	w.link.mu.Lock()
	if w.link.bytewise {
		p = p[:min(len(p), 1)]
	}
	w.link.mu.Unlock()
	n, err := w.next(p)
	w.used()
	w.link.mu.Lock()
	delay := w.link.usual + w.link.delay
	lost := n > 0 && w.link.lose > 0
	if lost {
		w.link.lose--
	}
	torn := n > 3 && w.link.tear > 0
	if torn {
		w.link.tear--
	}
	w.link.mu.Unlock()
	time.Sleep(delay)
	if lost {
		w.end()
		return 0, io.EOF
	}
	if torn {
		w.end()
		return 3, nil
	}
	return n, err
}

// next waits for what comes next.
func (w *wire) next(p []byte) (int, error) {
	for {
		frozen := w.link.isFrozen()
		w.mu.Lock()
		change, deadline := w.change, w.deadline
		frozen = frozen || w.halfOpen
		switch {
		case !frozen && len(w.kept) > 0:
			n := copy(p, w.kept)
			w.kept = w.kept[n:]
			w.mu.Unlock()
			return n, nil
		case w.err != nil && (!frozen || w.err == net.ErrClosed): // whoever closed it knows at once
			defer w.mu.Unlock()
			return 0, w.err
		}
		w.mu.Unlock()
		var late <-chan time.Time
		if !deadline.IsZero() {
			if time.Until(deadline) <= 0 {
				return 0, os.ErrDeadlineExceeded
			}
			late = time.After(time.Until(deadline))
		}
		select {
		case <-change:
		case <-late:
		}
	}
}

func (w *wire) Write(p []byte) (int, error) {
	w.used()
	n, err := w.Conn.Write(p)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == io.EOF {
			err = io.EOF
		}
	}
	return n, err
}

func (w *wire) Close() error {
	w.link.mu.Lock()
	if w.idle != nil {
		w.idle.Stop()
	}
	w.link.mu.Unlock()
	w.signal(func() { w.err = net.ErrClosed })
	return w.Conn.Close()
}

func (w *wire) SetDeadline(t time.Time) error {
	_ = w.SetReadDeadline(t)
	return w.SetWriteDeadline(t)
}

func (w *wire) SetReadDeadline(t time.Time) error {
	w.signal(func() { w.deadline = t })
	return nil
}

// The deadline of an end that is closed means nothing.
func (w *wire) SetWriteDeadline(t time.Time) error { _ = w.Conn.SetWriteDeadline(t); return nil }

// A door is a replica's way to the token endpoint.
type door struct {
	base http.RoundTripper

	mu       sync.Mutex
	shut     error
	frozen   chan struct{}
	answered func() // is called when there is an answer
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
	frozen, answered := d.frozen, d.answered
	d.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	if answered != nil {
		answered()
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
