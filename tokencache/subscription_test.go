package tokencache

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/redis/go-redis/v9"
)

// A message gets lost, or all of them do: the replica looks for itself.
func TestLostWakeUp(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: 8 * time.Second}, Options{}, func(f *fleet) {
		first := f.start(1)
		var slow time.Duration
		done := make(chan struct{})
		go func() { f.token(first[0]); close(done) }()
		time.Sleep(time.Second)
		rest := f.start(5)
		for _, r := range rest {
			go func() {
				time.Sleep(3 * time.Second)
				r.net.drop() // the subscription breaks while they wait
			}()
		}
		slow = f.together(rest)
		<-done
		if slow > 13*time.Second {
			t.Errorf("the slowest waited %v, want to notice within a few seconds", slow)
		}
		f.want(1)
	})
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

// A dialHook stands before each connection.
type dialHook func()

func (d dialHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d()
		return next(ctx, network, addr)
	}
}

func (d dialHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (d dialHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A subscription breaks as soon as it stands.
func TestSubscriptionsBreakAtOnce(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{Subscribe: true}, func(f *fleet) {
		r := f.start(1)[0]
		var dials atomic.Int64
		r.rdb.AddHook(dialHook(func() {
			dials.Add(1)
			time.AfterFunc(20*time.Millisecond, r.net.drop)
		}))
		_, _ = r.source.Token(f.t.Context())
		time.Sleep(time.Minute)
		r.net.cut()
		if n := dials.Load(); n > 130 {
			f.t.Errorf("got %d connections in a minute", n)
		}
	})
}

// Somebody publishes again what was published once, and says that it is earlier
// than it is. A replica that has had the token does not fall for it; one that is
// new believes it for no longer than a token lives, until the API refuses it.
func TestNewsIsRepeated(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		h := r.source.held.Load()
		sealed, err := r.source.token.Seal(storeRecord(h.Record))
		if err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(11 * time.Hour) // it is over
		past := time.Now().Add(-20 * 24 * time.Hour).UnixMilli()
		message := fmt.Appendf(nil, "token %s %d %d %d %s", r.source.token.ID, h.Record.Issued, h.Record.Expires, past, sealed)
		r.source.client.handle(message, r.cache.now())
		if h.same(r.source.valid()) {
			f.t.Error("a replica went back to a token that it had, and that is over")
		}
		cold := f.start(1)[0]
		cold.source.client.handle(message, cold.cache.now())
		if h := cold.source.valid(); h != nil && h.Remaining > 10*time.Hour {
			f.t.Errorf("a token of 10 h is believed to have %v left", h.Remaining)
		}
	})
}

// A subscription that breaks is over at once, and not when its client has made
// another connection in its place, which nobody would read.
func TestBrokenSubscription(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		ear, err := r.source.client.open(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		f.m.Publish(r.source.client.names.Channel, "a word")
		if got := string(<-ear.messages); got != "a word" {
			f.t.Errorf("heard %q", got)
		}
		r.net.mu.Lock()
		r.net.slow = time.Second
		dials := r.net.dials
		r.net.mu.Unlock()
		start := time.Now()
		r.net.drop()
		if message, ok := <-ear.messages; ok {
			f.t.Errorf("heard %q", message)
		}
		if took := time.Since(start); took > 0 {
			f.t.Fatalf("the end of the subscription was noticed after %v", took)
		}
		ear.close()
		if r.net.dials != dials {
			f.t.Errorf("got %d dials for a subscription that is over, want none", r.net.dials-dials)
		}
	})
}

// With Options.Subscribe, a token comes by a notification whose age is unknown: it is
// aged from when the subscription was opened, as much as a lease earlier. Short-lived
// tokens look due at once by that estimate. No token request is made for it.
func TestSubscribeWithShortLives(t *testing.T) {
	for _, row := range []struct {
		life, renewBefore, request time.Duration
		replicas                   int
		latency                    time.Duration
	}{
		{30 * time.Second, 0, 0, 2, 10 * time.Millisecond},
		{30 * time.Second, 0, 0, 10, 10 * time.Millisecond},
		{40 * time.Second, 20 * time.Second, 0, 10, 10 * time.Millisecond},
		{5 * time.Second, 0, 0, 5, 10 * time.Millisecond},
		{30 * time.Second, 0, 0, 5, 2 * time.Second},
		{20 * time.Second, 0, 500 * time.Millisecond, 5, 100 * time.Millisecond},
		{150 * time.Second, 0, time.Minute, 5, 100 * time.Millisecond},
		{10 * time.Minute, 0, time.Minute, 20, 100 * time.Millisecond},
		{10 * time.Hour, 0, 0, 10, 100 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d replicas, life %v, RenewBefore %v, RequestTimeout %v, latency %v", row.replicas, row.life, row.renewBefore, row.request, row.latency), func(t *testing.T) {
			t.Parallel()
			opts := Options{Subscribe: true, RenewBefore: row.renewBefore, RequestTimeout: row.request}
			story(t, &auth0test.Config{TTL: row.life, Latency: row.latency}, opts, func(f *fleet) {
				f.together(f.start(row.replicas))
				synctest.Wait()
				const lives = 10
				began := time.Now()
				f.serve(lives*row.life, row.life/20)
				period := row.life - f.replicas[0].cache.terms.Window(row.life)
				want := 1 + int(time.Since(began)/period)
				if got := f.requests(); got < want-lives/2 || got > want {
					f.t.Errorf("got %d token requests in %v, want %d: one for each %v", got, time.Since(began), want, period)
				}
			})
		})
	}
}

func TestPingInterval(t *testing.T) {
	type end struct {
		lasted, quiet time.Duration
		broken        bool
	}
	limit := end{30 * time.Second, 30 * time.Second, true}
	restart := end{time.Hour, 20 * time.Second, true}
	for name, row := range map[string]struct {
		ends []end
		want time.Duration
	}{
		"one break":                  {[]end{limit}, keepAlive},
		"an idle limit":              {[]end{limit, limit}, 15 * time.Second},
		"restarts of Redis":          {[]end{restart, restart, restart}, keepAlive},
		"a break, and a restart":     {[]end{limit, restart, limit}, keepAlive},
		"not wanted":                 {[]end{limit, {quiet: time.Second}, limit}, keepAlive},
		"half-open":                  {[]end{{2 * time.Minute, keepAlive, true}, {2 * time.Minute, keepAlive, true}}, keepAlive},
		"a limit that is very short": {[]end{{time.Second, time.Second, true}, {time.Second, time.Second, true}}, keepAliveLeast},
	} {
		k := pingInterval{interval: keepAlive}
		for _, e := range row.ends {
			k.ended(e.lasted, e.quiet, e.broken)
		}
		if k.interval != row.want {
			t.Errorf("%s: got %v, want %v", name, k.interval, row.want)
		}
	}
}
