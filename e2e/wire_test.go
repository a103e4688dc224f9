package e2e

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A wire is the way from some replicas to Redis, to whichever of its servers. It
// can be cut, and go dead in one direction or in both. What is sent into a dead
// direction is not lost: it arrives when the wire is mended, as TCP would send it
// again.
type wire struct {
	mu      sync.Mutex
	isCut   bool
	dead    [2]bool
	changed chan struct{} // closed at every change
	ends    map[net.Conn]bool
	pumps   sync.WaitGroup
}

// The directions of a wire.
const (
	requests = iota
	replies
)

func newWire(t *testing.T) *wire {
	w := &wire{changed: make(chan struct{}), ends: make(map[net.Conn]bool)}
	t.Cleanup(func() {
		w.cut()
		w.pumps.Wait()
	})
	return w
}

// through returns the options of a client whose connections are made of w.
func (w *wire) through(opts *redis.UniversalOptions) *redis.UniversalOptions {
	o := *opts
	o.Dialer = w.dial
	return &o
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	for { // into a dead wire it is a dial without an answer
		w.mu.Lock()
		changed, hangs, isCut := w.changed, w.dead[requests] || w.dead[replies], w.isCut
		w.mu.Unlock()
		if isCut {
			return nil, refused
		}
		if !hangs {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
		}
	}
	var d net.Dialer
	server, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	client, inner := net.Pipe()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isCut { // meanwhile
		_, _ = server.Close(), inner.Close()
		return nil, refused
	}
	w.ends[server], w.ends[inner] = true, true
	w.pumps.Go(func() { w.pump(server, inner, requests) })
	w.pumps.Go(func() { w.pump(inner, server, replies) })
	return client, nil
}

// pump carries what comes from one end to the other, while it may.
func (w *wire) pump(to, from net.Conn, direction int) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		w.await(direction)
		if n > 0 {
			if _, failed := to.Write(buf[:n]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			_, _ = from.Close(), to.Close()
			w.mu.Lock()
			delete(w.ends, from)
			delete(w.ends, to)
			w.mu.Unlock()
			return
		}
	}
}

// await waits until a direction is alive, or the wire is cut.
func (w *wire) await(direction int) {
	for {
		w.mu.Lock()
		changed, pass := w.changed, w.isCut || !w.dead[direction]
		w.mu.Unlock()
		if pass {
			return
		}
		<-changed
	}
}

// change changes the wire, under its lock.
func (w *wire) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// cut ends all connections, and refuses new ones.
func (w *wire) cut() {
	w.change(func() {
		w.isCut = true
		for end := range w.ends {
			_ = end.Close()
		}
	})
}

// die lets nothing pass in some directions.
func (w *wire) die(directions ...int) {
	w.change(func() {
		for _, d := range directions {
			w.dead[d] = true
		}
	})
}

// mend undoes cut and die.
func (w *wire) mend() { w.change(func() { w.isCut, w.dead = false, [2]bool{} }) }

// partitioned cuts a part of a fleet off from Redis in all ways, one after the
// other. The rest renews meanwhile; who is cut off serves what it has, and has the
// fleet's token again when it is over.
func partitioned(t *testing.T, opts *redis.UniversalOptions) {
	w := newWire(t)
	g := newGuard(t, 3, opts, brisk)
	far := func() { g.redis = w.through(opts) }
	far()
	g.enlist(3)
	g.first()
	ways := []struct {
		name   string
		strike func()
	}{
		{"refused connections", w.cut},
		{"lost requests", func() { w.die(requests) }},
		{"lost replies", func() { w.die(replies) }},
	}
	for _, way := range ways {
		t.Logf("the wire is struck: %s", way.name)
		way.strike()
		g.refused()
		g.renewed(1)
		g.redis = opts
		g.served()
		far()
		w.mend()
		g.served()
		g.agreed()
	}
	g.extra(len(ways))
}
