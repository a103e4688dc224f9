package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// A store is the Redis that the fleet shares: one that lives in this process, or
// the user's own.
type store struct {
	opts     *redis.UniversalOptions
	embedded *miniredis.Miniredis // nil: it is the user's
}

// openStore starts a Redis if none is given.
func openStore(given *redis.UniversalOptions) (*store, error) {
	if given != nil {
		return &store{opts: given}, nil
	}
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true) // or no lease would ever end
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start a Redis in this process: %w", err)
	}
	return &store{opts: &redis.UniversalOptions{Addrs: []string{m.Addr()}}, embedded: m}, nil
}

// name says which Redis it is, for people.
func (s *store) name() string {
	switch {
	case s.embedded != nil:
		return "an embedded Redis"
	case s.opts.MasterName != "":
		return "a Redis that Sentinels watch"
	case len(s.opts.Addrs) > 1 || s.opts.IsClusterMode:
		return "a Redis Cluster"
	case len(s.opts.Addrs) == 1:
		return "the Redis at " + s.opts.Addrs[0]
	}
	return "a Redis"
}

// crash ends the embedded Redis, and restart brings it back with nothing in it,
// as one that keeps nothing on a disk.
func (s *store) crash() {
	s.embedded.Close()
	s.embedded.FlushAll()
}

func (s *store) restart(ctx context.Context) error {
	for tries := 0; ; tries++ {
		err := s.embedded.Restart()
		if err == nil || tries == 100 {
			return err
		}
		// Its port may be on loan to one of the many connections that this
		// machine opens and closes just now.
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (s *store) close() {
	if s.embedded != nil {
		s.embedded.Close()
	}
}

// pause waits for d, and reports whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
