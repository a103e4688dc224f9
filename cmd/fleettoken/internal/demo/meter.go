package demo

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// A meter is a go-redis hook that counts the commands of one client. It also
// notes the keys that begin with a prefix: so the demo can remove what it made
// from somebody's Redis, without a SCAN through all the rest.
type meter struct {
	prefix   string
	commands atomic.Int64

	mu   sync.Mutex
	keys map[string]struct{}
}

func newMeter(prefix string) *meter {
	return &meter{prefix: prefix, keys: make(map[string]struct{})}
}

func (m *meter) count() int { return int(m.commands.Load()) }

// seen returns the keys that were used so far.
func (m *meter) seen() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([]string, 0, len(m.keys))
	for key := range m.keys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (m *meter) note(cmd redis.Cmder) {
	m.commands.Add(1)
	for _, arg := range cmd.Args() {
		if key, ok := arg.(string); ok && strings.HasPrefix(key, m.prefix+":") {
			m.mu.Lock()
			m.keys[key] = struct{}{}
			m.mu.Unlock()
		}
	}
}

// DialHook leaves dialling as it is.
func (m *meter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

// ProcessHook counts a command.
func (m *meter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		m.note(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook counts the commands of a pipeline.
func (m *meter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			m.note(cmd)
		}
		return next(ctx, cmds)
	}
}
