package demo

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// A connCutter makes connections that can all be closed at once, as they are
// when a process is killed or a network fails. While it is cut, it makes none.
type connCutter struct {
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

// A dialer makes connections, as net.Dialer does.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

var errCut = errors.New("the demo has cut this connection")

// through returns a dialer whose connections c can cut.
func (c *connCutter) through(next dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.down {
			_ = conn.Close()
			return nil, errCut
		}
		c.conns = append(c.conns, conn)
		return conn, nil
	}
}

// cut closes all connections. mend allows new ones.
func (c *connCutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close() // some are closed already
	}
	c.down, c.conns = true, nil
}

func (c *connCutter) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}

// A meter is a go-redis hook that counts commands, and records the keys with a
// prefix. The demo deletes them from a user's Redis without scanning it.
type meter struct {
	prefix   string
	keys     *sync.Map // of all replicas
	commands atomic.Int64
}

func (m *meter) record(cmds ...redis.Cmder) {
	m.commands.Add(int64(len(cmds)))
	for _, cmd := range cmds {
		for _, arg := range cmd.Args() {
			if key, ok := arg.(string); ok && strings.HasPrefix(key, m.prefix+":") {
				m.keys.Store(key, true)
			}
		}
	}
}

func (m *meter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *meter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		m.record(cmd)
		return next(ctx, cmd)
	}
}

func (m *meter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		m.record(cmds...)
		return next(ctx, cmds)
	}
}
