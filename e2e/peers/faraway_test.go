package peers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache"
)

// rtt is how long a question to a Redis far away and its answer take.
const rtt = 100 * time.Millisecond

// BenchmarkFarRedis measures a cold start of twenty replicas whose Redis is far away, and
// whose connections are warm. It reports when the first and the last of them have a token,
// in round trips beyond what the token endpoint takes.
func BenchmarkFarRedis(b *testing.B) {
	server := redistest.Start(b)
	var requests atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1)
		time.Sleep(latency)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":86400,"token_type":"Bearer"}`, n)
	}))
	defer endpoint.Close()
	const n = 20
	var first, last, commands, asked float64
	for b.Loop() {
		if err := server.Client().FlushAll(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
		requests.Store(0)
		var sent atomic.Int64
		sources := make([]*tokencache.Source, n)
		var all sync.WaitGroup
		for i := range sources {
			all.Go(func() {
				rdb := tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{server.Addr}, Dialer: dialFar})
				b.Cleanup(func() { _ = rdb.Close() })
				cache, err := tokencache.New(rdb, &tokencache.Options{InsecureLoopback: true})
				if err != nil {
					b.Error(err)
					return
				}
				b.Cleanup(func() { _ = cache.Close() })
				if err := rdb.Ping(b.Context()).Err(); err != nil {
					b.Error(err)
				}
				rdb.AddHook(counter{&sent})
				if sources[i], err = cache.Source(tokencache.Credentials{TokenURL: endpoint.URL + "/oauth/token", ClientID: "id", ClientSecret: "secret"}); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		took := make([]float64, n)
		start := time.Now()
		for i, s := range sources {
			all.Go(func() {
				if _, err := s.Token(b.Context()); err != nil {
					b.Error(err)
				}
				took[i] = float64(time.Since(start)-latency) / float64(rtt)
			})
		}
		all.Wait()
		first += slices.Min(took)
		last += slices.Max(took)
		commands += float64(sent.Load()) / n
		asked += float64(requests.Load())
	}
	runs := float64(b.N)
	b.ReportMetric(first/runs, "first-RTT")
	b.ReportMetric(last/runs, "last-RTT")
	b.ReportMetric(commands/runs, "sent/replica") // by the client, without SUBSCRIBE and HELLO
	b.ReportMetric(asked/runs, "requests")
	b.ReportMetric(0, "ns/op")
}

// counter counts the commands that a client sends.
type counter struct{ n *atomic.Int64 }

func (c counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { c.n.Add(1); return next(ctx, cmd) }
}

func (c counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { c.n.Add(int64(len(cmds))); return next(ctx, cmds) }
}

// dialFar connects to a server that is rtt away.
func dialFar(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	time.Sleep(rtt) // the handshake
	far, near := net.Pipe()
	go carry(conn, near)
	go carry(near, conn)
	return far, nil
}

// carry copies what comes from one connection to another, half an rtt later.
func carry(to, from net.Conn) {
	type parcel struct {
		data []byte
		due  time.Time
	}
	parcels := make(chan parcel, 1024)
	go func() {
		defer close(parcels)
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				parcels <- parcel{slices.Clone(buffer[:n]), time.Now().Add(rtt / 2)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parcels {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}
