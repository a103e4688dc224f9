package auth0test

import "net"

// Buffered returns a connection that takes what is written to it at once, as TCP does
// with small messages, and passes it on to conn. A connection of [net.Pipe] has no
// buffer, and nor has one that miniredis dials in memory: a client that writes several
// commands before it reads the first reply blocks there. It works inside a bubble
// of testing/synctest.
func Buffered(conn net.Conn) net.Conn {
	b := &bufferedConn{Conn: conn, out: newStream()}
	go b.pass()
	return b
}

type bufferedConn struct {
	net.Conn
	out *stream
}

func (b *bufferedConn) Write(p []byte) (int, error) { return b.out.write(p) }

// pass writes to the connection what is buffered, until either is closed.
func (b *bufferedConn) pass() {
	p := make([]byte, 4<<10)
	for {
		n, err := b.out.read(p)
		if err == nil {
			_, err = b.Conn.Write(p[:n])
		}
		if err != nil {
			b.out.closeReader() // the next write fails
			return
		}
	}
}

// Close closes the connection. What is still buffered is lost.
func (b *bufferedConn) Close() error {
	b.out.closeReader()
	b.out.closeWriter()
	return b.Conn.Close()
}
