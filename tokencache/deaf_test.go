package tokencache

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A deafHook stands before each connection, and takes away what is said on those
// that are subscribed, as soon as it is told to. None of them breaks.
type deafHook struct {
	redis.Hook
	now *atomic.Bool
}

func (d deafHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &deafConn{Conn: conn, now: d.now}, nil
	}
}

type deafConn struct {
	net.Conn
	now        *atomic.Bool
	subscribed atomic.Bool
}

func (c *deafConn) Write(p []byte) (int, error) {
	if bytes.Contains(bytes.ToLower(p), []byte("\nsubscribe")) {
		c.subscribed.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.subscribed.Load() || !c.now.Load() {
			return n, err
		}
	}
}

// Replicas that listen for a new token hear nothing any more, and nothing tells
// them so. They have the new one before the old one ends all the same.
func TestDeafSubscription(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{Subscribe: true}, func(f *fleet) {
		var deaf atomic.Bool
		for _, r := range f.start(10) {
			r.rdb.AddHook(deafHook{commandHook(pass), &deaf})
		}
		f.together(f.replicas)
		f.serve(8*time.Hour, 10*time.Minute)
		old := f.token(f.replicas[0])
		deaf.Store(true)
		f.serve(2*time.Hour-time.Minute, time.Minute)
		for _, r := range f.replicas {
			if f.token(r) == old {
				f.t.Errorf("%s still has the old token, a minute before its end", r.name)
			}
		}
		f.serve(9*time.Hour, 10*time.Minute)
		f.want(3)
	})
}

func pass(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error { return next(ctx, cmd) }
