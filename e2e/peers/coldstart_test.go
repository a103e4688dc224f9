// Package peers measures a cold start of a fleet beside other ways of sharing a
// token, in one run, on a real redis-server:
//
//	cd e2e/peers && go test -bench ColdStart -benchtime 5x
//
// Each replica has a Redis client of its own. All start at the same moment, with
// nothing in Redis, and the token endpoint takes 100 ms.
package peers

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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
				var commands, asked float64
				for b.Loop() {
					if err := rdb.FlushAll(b.Context()).Err(); err != nil {
						b.Fatal(err)
					}
					requests.Store(0)
					before := processed(b, rdb)
					slowest = append(slowest, coldStart(b, n, d, server.Addr, endpoint.URL+"/oauth/token"))
					commands += float64(processed(b, rdb)-before) / float64(n)
					asked += float64(requests.Load())
				}
				slices.Sort(slowest)
				b.ReportMetric(float64(slowest[len(slowest)/2].Microseconds())/1000, "slowest-ms")
				b.ReportMetric(commands/float64(b.N), "commands/replica")
				b.ReportMetric(asked/float64(b.N), "requests")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
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

// processed returns how many commands clients have sent to the server: what it
// has processed, less what scripts have called.
func processed(b *testing.B, rdb *redis.Client) int64 {
	b.Helper()
	info, err := rdb.Info(b.Context(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	var sum int64
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok || name == "info" || name == "flushall" {
			continue
		}
		calls, _, _ := strings.Cut(rest, ",")
		n, _ := strconv.ParseInt(calls, 10, 64)
		sum += n
	}
	return sum
}
