package e2e

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache"
)

// TestReport holds what public reports of similar software saw fail to real parts. A
// table names each.
func TestReport(t *testing.T) {
	// One process is a client of many token endpoints, or of one under many names, and
	// wants all its tokens when it starts.
	t.Run("E1", func(t *testing.T) {
		const clients, patience = 1000, 20 * time.Second
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
		if n := requests.Load(); n != clients {
			t.Errorf("%d token requests, want one a client", n)
		}
	})
}
