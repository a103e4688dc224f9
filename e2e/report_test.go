package e2e

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// TestReport is about what users of similar software have reported, on real parts. Each row
// has the number of its report. It runs while no other test of this package does: it needs
// the processors.
func TestReport(t *testing.T) {
	// One process is a client of many token endpoints, or of one under many names, and
	// wants all its tokens when it starts.
	t.Run("E1", func(t *testing.T) {
		clients, patience := 1000, 20*time.Second
		if raced { // with which all takes five times as long
			clients = 300
		}
		var requests atomic.Int64
		endpoint := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := requests.Add(1)
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprint("token-", n), "token_type": "Bearer", "expires_in": 86400})
		}))
		defer endpoint.Close()
		roots := x509.NewCertPool()
		roots.AddCert(endpoint.Certificate())

		rdb := tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{redistest.Start(t).Addr}})
		defer rdb.Close()
		cache, err := tokencache.New(rdb, &tokencache.Options{RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()

		var failed, slow atomic.Int64
		var callers sync.WaitGroup
		start := time.Now()
		for i := range clients {
			source, err := cache.Source(tokencache.Credentials{
				TokenURL: endpoint.URL, ClientID: fmt.Sprint("client-", i), ClientSecret: "a secret of no consequence", Audience: "https://api.example.com",
			})
			if err != nil {
				t.Fatal(err)
			}
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := source.Token(ctx); err != nil && failed.Add(1) <= 3 {
					t.Error(err)
				}
				slow.Store(int64(time.Since(start)))
			})
		}
		callers.Wait()
		t.Logf("%d clients, %d failed, the last served after %v, %d token requests", clients, failed.Load(), time.Duration(slow.Load()).Round(time.Millisecond), requests.Load())
		if n := requests.Load(); n != int64(clients) {
			t.Errorf("%d token requests, want one a client", n)
		}
	})
}

// TestReportRedis is TestReport for what Redis has to do.
func TestReportRedis(t *testing.T) {
	t.Parallel()
	// Replicas that start cold cost a Redis little that has no pub/sub, and one that refuses
	// to write.
	t.Run("D11", func(t *testing.T) {
		for _, row := range []struct {
			takes time.Duration // a token request
			most  float64       // commands of a replica
		}{{time.Second, 10}, {8 * time.Second, 15}} {
			t.Run(row.takes.String(), func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t)
				if err := server.Client().ACLSetUser(t.Context(), "default", "-subscribe").Err(); err != nil {
					t.Fatal(err)
				}
				const replicas = 20
				start, before := time.Now(), costOf(t, server)
				patience := row.takes + 5*time.Second
				served, _ := coldReplicas(t, server, replicas, row.takes, patience, patience, func() {})
				cost := costOf(t, server).minus(before)
				t.Logf("%d replicas served, %d commands and %d connections", served, cost.commands, cost.connections)
				if served != replicas {
					t.Errorf("%d of %d replicas were served", served, replicas)
				}
				late := max(0, time.Since(start)-row.takes*3/2) // of a machine that is busy, on which they ask more often
				if each := float64(cost.commands) / replicas; each > row.most+late.Seconds() {
					t.Errorf("%.1f commands a replica, want %v at most", each, row.most)
				}
			})
		}
	})
	t.Run("D12", func(t *testing.T) {
		t.Parallel()
		const replicas, settles, lasts = 20, 10 * time.Second, 20 * time.Second
		server := redistest.Start(t)
		if err := server.Client().ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil { // where no server is
			t.Fatal(err)
		}
		var before cost
		served, err := coldReplicas(t, server, replicas, 0, settles+lasts, time.Second, func() {
			time.Sleep(settles) // the first tries follow each other sooner
			before = costOf(t, server)
		})
		cost := costOf(t, server).minus(before)
		seconds := lasts.Seconds() * replicas
		t.Logf("%.2f commands and %.2f connections a replica a second: %v", float64(cost.commands)/seconds, float64(cost.connections)/seconds, err)
		if served != 0 || !errors.Is(err, tokencache.ErrRedis) {
			t.Errorf("%d replicas were served, and others got %v", served, err)
		}
		// A try every two seconds: a fetch, and the lease, which go-redis asks for twice, each
		// time over a new connection.
		if tries := seconds / 2; float64(cost.commands) > 5.2*tries || float64(cost.connections) > 2.1*tries {
			t.Errorf("%d commands and %d connections in %v for %d replicas, want five and two every two seconds", cost.commands, cost.connections, lasts, replicas)
		}
	})
}

// A cost is what clients ask of a Redis.
type cost struct{ commands, connections int64 }

func (c cost) minus(before cost) cost {
	return cost{c.commands - before.commands, c.connections - before.connections}
}

// costOf returns what a Redis had to do until now. What scripts call is not counted.
func costOf(t *testing.T, server *redistest.Server) (c cost) {
	t.Helper()
	rdb := server.Client()
	for name, line := range rdb.InfoMap(t.Context(), "commandstats").Val()["Commandstats"] {
		var calls, usec, rejected int64
		var per float64
		if _, err := fmt.Sscanf(line, "calls=%d,usec=%d,usec_per_call=%g,rejected_calls=%d", &calls, &usec, &per, &rejected); err != nil {
			t.Fatalf("%s: %s: %v", name, line, err)
		}
		switch strings.TrimPrefix(name, "cmdstat_") {
		case "hello", "auth", "eval", "evalsha", "exists", "subscribe", "unsubscribe", "publish", "ping":
			c.commands += calls + rejected
		}
	}
	var err error
	if c.connections, err = strconv.ParseInt(rdb.InfoMap(t.Context(), "stats").Val()["Stats"]["total_connections_received"], 10, 64); err != nil {
		t.Fatal(err)
	}
	return c
}

// coldReplicas starts replicas that want a token at once and, until they have one, again
// and again for so long, and calls meanwhile. It returns how many got one, and the last error
// that another got.
func coldReplicas(t *testing.T, server *redistest.Server, n int, latency, lasts, patience time.Duration, meanwhile func()) (served int, last error) {
	t.Helper()
	endpoint := auth0test.NewServer(&auth0test.Config{ClientID: "a", ClientSecret: "a secret of no consequence", Latency: latency})
	defer endpoint.Close()
	var mu sync.Mutex
	var callers sync.WaitGroup
	end := time.Now().Add(lasts)
	for range n {
		rdb := tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{server.Addr}})
		defer rdb.Close()
		cache, err := tokencache.New(rdb, &tokencache.Options{Transport: endpoint.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		source, err := cache.Source(tokencache.Credentials{
			TokenURL: endpoint.TokenURL(), ClientID: "a", ClientSecret: "a secret of no consequence", Audience: "https://api.example.com",
		})
		if err != nil {
			t.Fatal(err)
		}
		callers.Go(func() {
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				_, err := source.Token(ctx)
				cancel()
				mu.Lock()
				if err == nil {
					served++
				} else {
					last = err
				}
				mu.Unlock()
				if err == nil {
					return
				}
				time.Sleep(50 * time.Millisecond) // a caller that is busy
			}
		})
	}
	meanwhile()
	callers.Wait()
	return served, last
}
