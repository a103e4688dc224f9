package demo

import (
	"context"
	"errors"
	"net"
	"sync"
)

// A cable is a replica's way to a server. It can be cut: then what is connected
// breaks, as it does when a process is killed or a network goes down, and nothing
// connects until it is mended.
type cable struct {
	mu    sync.Mutex
	down  bool
	conns map[*wire]struct{}
}

// A dialer makes connections, as net.Dialer does.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

var errCut = errors.New("the demo has cut the cable")

// through returns a dialer whose connections run through the cable.
func (c *cable) through(next dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if c.cutOff() {
			return nil, errCut
		}
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		w := &wire{Conn: conn, cable: c}
		if !c.plugIn(w) { // it was cut meanwhile
			_ = conn.Close()
			return nil, errCut
		}
		return w, nil
	}
}

func (c *cable) cutOff() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down
}

func (c *cable) plugIn(w *wire) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return false
	}
	if c.conns == nil {
		c.conns = make(map[*wire]struct{})
	}
	c.conns[w] = struct{}{}
	return true
}

func (c *cable) unplug(w *wire) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, w)
}

// cut breaks all connections.
func (c *cable) cut() {
	c.mu.Lock()
	c.down = true
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for w := range conns {
		_ = w.Conn.Close() // a connection that is gone already is as good
	}
}

// mend lets new connections be made.
func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}

// A wire is one connection of a cable.
type wire struct {
	net.Conn
	cable *cable
}

func (w *wire) Close() error {
	w.cable.unplug(w)
	return w.Conn.Close()
}
