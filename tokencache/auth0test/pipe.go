package auth0test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A pipeListener accepts connections in memory.
//
// They are not those of net.Pipe, which has no buffer: there a TLS connection
// whose peer does not happen to read takes five seconds to close, because the
// closing alert finds no reader. A connection here takes what is written to it
// at once, as the kernel does for small messages over TCP, so that no virtual
// time passes on the way.
type pipeListener struct {
	name   pipeAddr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	dialed atomic.Int64
}

func newPipeListener(name string) *pipeListener {
	return &pipeListener{
		name:   pipeAddr(name),
		conns:  make(chan net.Conn),
		closed: make(chan struct{}),
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return l.name }

// dial connects to the listener. Its errors are those of a TCP dial, so that
// code which asks "was this request ever sent?" finds the same answer.
func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	here := pipeAddr(fmt.Sprintf("pipe-%d", l.dialed.Add(1)))
	client, server := newPipe(here, l.name)
	refused := &net.OpError{Op: "dial", Net: l.name.Network(), Addr: l.name, Err: syscall.ECONNREFUSED}
	select {
	case <-l.closed:
		return nil, refused
	default:
	}
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A pipeAddr names one end of a connection in memory.
type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// A pipeConn is one end of a connection in memory: it reads from one stream
// and writes to the other, which the opposite end has the other way round.
type pipeConn struct {
	in, out      *stream
	here, remote pipeAddr
}

// newPipe returns both ends of a new connection.
func newPipe(a, b pipeAddr) (net.Conn, net.Conn) {
	there, back := newStream(), newStream()
	return &pipeConn{in: back, out: there, here: a, remote: b},
		&pipeConn{in: there, out: back, here: b, remote: a}
}

func (c *pipeConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *pipeConn) LocalAddr() net.Addr         { return c.here }
func (c *pipeConn) RemoteAddr() net.Addr        { return c.remote }

func (c *pipeConn) Close() error {
	c.in.closeReader()
	c.out.closeWriter()
	return nil
}

func (c *pipeConn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}
