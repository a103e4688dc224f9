package auth0test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

// A write returns although the other end does not read, and arrives when it does.
func TestBuffered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		conn := Buffered(near)
		sent := bytes.Repeat([]byte("0123456789"), 10_000)
		if n, err := conn.Write(sent); n != len(sent) || err != nil {
			t.Fatalf("got %d, %v, want all of it", n, err)
		}
		go func() { _, _ = far.Write([]byte("reply")) }() // before it reads
		reply := make([]byte, 5)
		if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != "reply" {
			t.Errorf("got %q, %v", reply, err)
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("got %d bytes, %v, want what was sent", len(got), err)
		}
		if err := far.Close(); err != nil {
			t.Error(err)
		}
		_, _ = conn.Write([]byte("x")) // finds out
		synctest.Wait()
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("a write to a closed connection succeeds")
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
}
