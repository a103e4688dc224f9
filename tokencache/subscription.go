package tokencache

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// This file is about notifications. They are hints: a fetch finds the same a little
// later. A replica subscribes while its callers wait for the lease holder,
// or always with Options.Subscribe.

// subscribeDelay is how long a replica that starts waits to know whether the fleet has a
// token before it opens a connection for notifications: most replicas of a fleet that
// starts need none. A Redis that is far away answers later, and the connection is opened
// beside the first command.
const subscribeDelay = 50 * time.Millisecond

// listen keeps a subscription until unwanted is closed. One that breaks is replaced,
// after a pause that grows while it breaks at once.
func (c *client) listen(unwanted <-chan struct{}) {
	ctx := c.host.ctx
	defer c.apply(func(replica.Instant, *replica.State) { c.listening, c.unwanted = false, nil })
	select {
	case <-c.begun:
	case <-unwanted:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-c.probed:
	case <-time.After(subscribeDelay):
	case <-unwanted:
		return
	case <-c.host.ctx.Done():
		return
	}
	ping := pingInterval{interval: keepAlive}
	for failures, again := 1, false; ; failures++ {
		began := time.Now()
		sub, err := c.open(ctx)
		switch {
		case err == nil:
			c.apply(func(now replica.Instant, state *replica.State) { state.Subscribed(now, sub.opened, again, random()) })
			if again {
				c.fetchMissed(ctx)
			}
			quiet, broken := c.handleAll(sub, ping.interval, unwanted)
			sub.close()
			ping.ended(time.Since(began), quiet, broken)
			c.apply(func(now replica.Instant, state *replica.State) { state.Unsubscribed(now, broken, random()) })
			again = true
		case isReply(err): // there is no pub/sub here, or it is not allowed
			failures = max(failures, 6)
		}
		if time.Since(began) > keepAliveLeast {
			failures = 1
		}
		select {
		case <-time.After(replica.Backoff(failures, time.Second, 30*time.Second, random())):
		case <-unwanted:
			return
		case <-ctx.Done():
			return
		}
	}
}

// keepAlive is how long a subscription may be quiet before a PING shows whether it still
// stands. A connection that breaks after a shorter quiet, twice in a row, as behind a proxy
// with an idle limit, makes it shorter, down to keepAliveLeast.
const (
	keepAlive      = 90 * time.Second
	keepAliveLeast = 5 * time.Second
)

// A pingInterval finds out how often a PING is needed.
type pingInterval struct {
	interval time.Duration
	early    int // how often in a row a connection broke before one was due
}

// ended notes that a subscription lasted so long, and was quiet at its end for so long.
func (p *pingInterval) ended(lasted, quiet time.Duration, broken bool) {
	if !broken || quiet >= p.interval || lasted > 10*time.Minute { // no idle limit, or not below the interval
		p.early = 0
		return
	}
	if p.early++; p.early == 2 { // one may be a restart of Redis
		p.interval, p.early = max(quiet/2, keepAliveLeast), 0
	}
}

// handleAll applies notifications until the subscription breaks, which it reports, or is
// wanted no longer. It returns for how long nothing was received before that. Every
// interval of quiet it sends a PING, and without an answer the subscription counts as
// broken.
func (c *client) handleAll(sub *subscription, interval time.Duration, unwanted <-chan struct{}) (quiet time.Duration, broken bool) {
	received, pinged := time.Now(), false
	for {
		next := time.Until(received.Add(interval))
		if pinged {
			next = time.Until(received.Add(interval + c.host.redisTimeout))
		}
		select {
		case message, open := <-sub.messages:
			if !open {
				return time.Since(received), true
			}
			received, pinged = time.Now(), false
			if message != nil { // or it is the answer to a PING
				c.handle(message, sub.opened)
			}
		case <-time.After(next):
			if pinged || sub.ping() != nil {
				return time.Since(received), true
			}
			pinged = true
		case <-unwanted:
			return 0, false
		case <-c.host.ctx.Done():
			return 0, false
		}
	}
}

// handle applies a notification that was published after opened.
func (c *client) handle(message []byte, opened replica.Instant) {
	n, ok := store.ParseNotification(message)
	if !ok {
		return
	}
	if n.Released() {
		c.apply(func(now replica.Instant, state *replica.State) { state.Released(now) })
		return
	}
	for _, s := range c.named(n.TokenID) {
		if r, ok := n.Record(s.token); ok {
			c.applyTo(s, func(now replica.Instant, state *replica.State) {
				state.Heard(now, s.id, replicaRecord(r), n.Now, opened, random())
			})
		}
	}
}

// named returns the sources of the token with an id: there may be several ways to
// request one token.
func (c *client) named(id string) (batch []*source) {
	c.apply(func(replica.Instant, *replica.State) {
		for _, s := range c.sources {
			if s != nil && s.token.ID == id {
				batch = append(batch, s)
			}
		}
	})
	return batch
}

// A subscription is a connection that receives a client's notifications. It must be
// closed.
type subscription struct {
	messages chan []byte // nil for the answer to a PING; closed when it has broken
	ping     func() error
	close    func()
	opened   replica.Instant // before it was asked for
}

// open returns when the subscription stands: what is published after that arrives,
// unless the connection breaks.
//
// The messages are read here and not through PubSub.Channel, which sends a PING every
// three seconds and waits for no answer to it: see handleAll.
func (c *client) open(ctx context.Context) (*subscription, error) {
	opened := c.host.now()
	sub, err := call(ctx, c.host, func(ctx context.Context) (*redis.PubSub, error) {
		sub := c.host.rdb.Subscribe(ctx, c.names.Channel)
		if _, err := sub.Receive(ctx); err != nil {
			_ = sub.Close()
			return nil, err
		}
		return sub, nil
	})
	if err != nil {
		return nil, err
	}
	l := &subscription{messages: make(chan []byte, 16), opened: opened, ping: func() error {
		_, err := call(ctx, c.host, func(context.Context) (struct{}, error) { return struct{}{}, sub.Ping(noReconnect()) })
		return err
	}, close: func() {
		// Nothing else ends the read below, so this is not a call, of which there may
		// be too many already. It waits for the client's own lock.
		closed := make(chan struct{})
		go func() { defer close(closed); _ = sub.Close() }()
		select {
		case <-closed:
		case <-time.After(c.host.redisTimeout):
		}
	}}
	if !c.host.spawn(func() { l.read(sub) }) {
		l.close()
		return nil, ErrClosed
	}
	return l, nil
}

// noReconnect returns a context that has ended, without a deadline. It bounds neither what a
// PubSub reads nor what it writes, but the dial by which it mends a connection that breaks,
// under the lock that all its other methods wait for. The new connection would have no
// reader, so there must be none.
func noReconnect() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// read passes messages on until the subscription ends. A receiver that does not keep up
// loses the oldest hints, not the newest.
func (l *subscription) read(sub *redis.PubSub) {
	defer close(l.messages)
	ctx := noReconnect()
	for {
		message, err := sub.Receive(ctx)
		if err != nil {
			return
		}
		var text []byte
		switch message := message.(type) {
		case *redis.Message:
			text = []byte(message.Payload)
		case *redis.Pong:
		default:
			continue
		}
		for {
			select {
			case l.messages <- text:
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
