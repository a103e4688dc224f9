// Package peers measures a cold start of a fleet beside other ways of sharing a
// token, in one run, on a real redis-server:
//
//	cd e2e/peers && go test -bench ColdStart -benchtime 5x
//
// Each replica has a Redis client of its own. All start at the same moment, with
// nothing in Redis, and the token endpoint takes 100 ms.
package peers

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/e2e/redistest"
)

const latency = 100 * time.Millisecond

// A design is a way of getting a token. Each replica gets one of its own.
type design struct {
	name string
	new  func(b *testing.B, redisAddr, tokenURL string) replica
}

type replica interface {
	token(ctx context.Context) (string, error)
	close()
}

func BenchmarkColdStart(b *testing.B) {
	server := redistest.Start(b)
	rdb := server.Client()
	var requests atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1)
		time.Sleep(latency)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":86400,"token_type":"Bearer"}`, n)
	}))
	defer endpoint.Close()

	for _, n := range []int{100, 500} {
		for _, d := range []design{fleettokenDesign, oauth2Design, redislockDesign, redsyncDesign, asideDesign} {
			b.Run(fmt.Sprintf("%d/%s", n, d.name), func(b *testing.B) {
				var slowest []time.Duration
				var asked float64
				for b.Loop() {
					if err := rdb.FlushAll(b.Context()).Err(); err != nil {
						b.Fatal(err)
					}
					requests.Store(0)
					slowest = append(slowest, coldStart(b, n, d, server.Addr, endpoint.URL+"/oauth/token"))
					asked += float64(requests.Load())
				}
				slices.Sort(slowest)
				b.ReportMetric(float64(slowest[len(slowest)/2].Microseconds())/1000, "slowest-ms")
				b.ReportMetric(sentByReplica(b, server, n, d, endpoint.URL+"/oauth/token"), "commands/replica")
				b.ReportMetric(asked/float64(b.N), "requests")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// sentByReplica returns how many commands a replica sends in one more cold start, which is
// not timed.
func sentByReplica(b *testing.B, server *redistest.Server, n int, d design, tokenURL string) float64 {
	b.Helper()
	rdb := server.Client()
	if err := rdb.FlushAll(b.Context()).Err(); err != nil {
		b.Fatal(err)
	}
	return float64(sentDuring(b, server, func() { coldStart(b, n, d, server.Addr, tokenURL) })) / float64(n)
}

// coldStart lets n replicas ask at once and returns how long the slowest waited.
func coldStart(b *testing.B, n int, d design, addr, tokenURL string) time.Duration {
	replicas := make([]replica, n)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	took := make([]time.Duration, n)
	start := time.Now()
	for i := range replicas {
		wg.Go(func() {
			replicas[i] = d.new(b, addr, tokenURL) // some connect here, others later
			if _, err := replicas[i].token(ctx); err != nil {
				b.Errorf("%s: %v", d.name, err)
			}
			took[i] = time.Since(start)
		})
	}
	wg.Wait()
	for _, r := range replicas {
		wg.Go(r.close)
	}
	wg.Wait()
	return slices.Max(took)
}

// sentDuring returns how many commands clients send to the server while f runs, without
// those that scripts call.
func sentDuring(b *testing.B, server *redistest.Server, f func()) (sent int) {
	b.Helper()
	conn, err := net.Dial("tcp", server.Addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	if _, err := fmt.Fprint(conn, "MONITOR\r\n"); err != nil {
		b.Fatal(err)
	}
	if line, err := lines.ReadString('\n'); err != nil || line != "+OK\r\n" {
		b.Fatalf("MONITOR: got %q, %v", line, err)
	}
	const end = "the end of the count"
	counted := make(chan int)
	go func() {
		defer close(counted)
		n := 0
		for {
			line, err := lines.ReadString('\n')
			if err != nil || strings.Contains(line, end) {
				counted <- n
				return
			}
			if !strings.Contains(line, " lua] ") {
				n++
			}
		}
	}()
	f()
	rdb := server.Client()
	if err := rdb.Echo(b.Context(), end).Err(); err != nil {
		b.Fatal(err)
	}
	return <-counted
}
