package tokencache_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A month of a replica on a virtual clock, with the real Redis client and scripts.
func TestExampleVirtualClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := auth0test.NewPipeServer(&auth0test.Config{TTL: 10 * time.Hour, PerHour: 42})
		defer tenant.Close()
		server := miniredis.NewMiniRedis() // it is not started, but dialled in memory
		server.ClockTTL(true)              // its keys expire by the virtual clock
		defer server.Close()
		rdb := tokencache.NewRedisClient(&redis.UniversalOptions{
			Addrs: []string{"127.0.0.1:6379"}, // an address, and no name: nothing is looked up
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				conn, err := server.Dial()
				if err != nil {
					return nil, err
				}
				return auth0test.Buffered(conn), nil // pipelines need a buffer
			},
		})
		defer rdb.Close()
		cache, err := tokencache.New(rdb, &tokencache.Options{Transport: tenant.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		source, err := cache.Source(tokencache.Credentials{
			TokenURL: tenant.TokenURL(), ClientID: "test-client", ClientSecret: "test-secret",
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 30 * 24 {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		if got := tenant.Issued(); got != 80 { // 30 days, a token each nine hours
			t.Errorf("got %d tokens in 30 days, want 80", got)
		}
	})
}
