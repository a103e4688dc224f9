package tokencache

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// A listener is a subscription to a client's news. It must be closed.
type listener struct {
	messages chan []byte // closed when the subscription has broken
	close    func()

	opened moment // before it was asked for
	rested bool   // somebody has waited with it, and nothing came of it yet
}

// listen subscribes, and returns when the subscription stands: whatever is
// published after that is heard, unless the connection breaks.
//
// The messages are read here and not through PubSub.Channel, which sends a PING
// every three seconds and waits for no answer to it.
func (c *client) listen(ctx context.Context) (*listener, error) {
	opened := c.cache.moment()
	sub, err := call(ctx, c.cache, func(ctx context.Context) (*redis.PubSub, error) {
		sub := c.cache.rdb.Subscribe(ctx, c.names.News)
		if _, err := sub.Receive(ctx); err != nil {
			_ = sub.Close()
			return nil, err
		}
		return sub, nil
	})
	if err != nil {
		return nil, err
	}
	l := &listener{messages: make(chan []byte, 16), opened: opened, close: func() {
		// Nothing else ends the read below, so this is no call, of which there may
		// be too many already. It waits for the client's own lock.
		closed := make(chan struct{})
		go func() { defer close(closed); _ = sub.Close() }()
		select {
		case <-closed:
		case <-time.After(c.cache.redisTimeout):
		}
	}}
	if !c.cache.spawn(func() { l.read(sub) }) {
		l.close()
		return nil, ErrClosed
	}
	return l, nil
}

// read passes messages on until the subscription ends. A receiver that does not
// keep up loses the oldest hints, not the newest.
func (l *listener) read(sub *redis.PubSub) {
	defer close(l.messages)
	// A context without a deadline does not bound the reading. It bounds the dial by
	// which the client mends a connection that breaks, under the lock that Close
	// waits for. Nobody would read the new connection, so there shall be none.
	over, end := context.WithCancel(context.Background())
	end()
	for {
		message, err := sub.ReceiveMessage(over)
		if err != nil {
			return
		}
		for {
			select {
			case l.messages <- []byte(message.Payload):
			default:
				select {
				case <-l.messages:
				default:
				}
				continue
			}
			break
		}
	}
}

// pollUnheard is how often a caller without a token looks if it cannot listen,
// and pollHeard if it can: news is a hint, and this is the guarantee.
const (
	pollUnheard = 500 * time.Millisecond
	pollHeard   = 5 * time.Second
)
