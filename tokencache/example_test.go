package tokencache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/pliant"
)

// Embedding is these lines; where they end, every replica calls the partner with
// the one token of the fleet.
func Example() {
	rdb := tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}})
	defer rdb.Close()
	cache, err := tokencache.New(rdb, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer cache.Close()
	source, err := cache.Source(pliant.Production.Credentials(os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET")))
	if err != nil {
		log.Fatal(err)
	}
	client := source.Client(context.Background())
	resp, err := client.Get(pliant.Production.APIBase + "cards")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
}

// Moving from golang.org/x/oauth2 is one line; the client and the token source
// stay what they were.
func ExampleFromOAuth2() {
	var cache *tokencache.Cache // as in the package's example
	ctx := context.Background()
	conf := &clientcredentials.Config{
		ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"),
		TokenURL: "https://tenant.eu.auth0.com/oauth/token",
	}

	source, err := cache.Source(tokencache.FromOAuth2(conf)) // before: source := conf
	if err != nil {
		log.Fatal(err)
	}

	var client *http.Client = source.Client(ctx)
	tokens := source.TokenSource(ctx)
	_, _ = client, tokens
}

// A service tests itself against an endpoint and a Redis of its own, both in
// process.
func Example_testing() {
	tenant := auth0test.NewServer(&auth0test.Config{PerHour: 42, PerDay: 100})
	defer tenant.Close()
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	for range 20 { // replicas, each with a client and a cache of its own
		rdb := tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{server.Addr()}})
		cache, err := tokencache.New(rdb, &tokencache.Options{Transport: tenant.Transport()})
		if err != nil {
			log.Fatal(err)
		}
		source, err := cache.Source(tokencache.Credentials{
			TokenURL: tenant.TokenURL(), ClientID: "test-client", ClientSecret: "test-secret", Audience: "api",
		})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := source.Token(ctx); err != nil {
			log.Fatal(err)
		}
		cache.Close()
		rdb.Close()
	}
	fmt.Println(tenant.Issued(), "token issued to 20 replicas")
	// Output: 1 token issued to 20 replicas
}

// An error says what happened, and when the next attempt is.
func ExampleError() {
	var source *tokencache.Source // as in the package's example
	_, err := source.Token(context.Background())
	if denied, ok := errors.AsType[*quota.DeniedError](err); ok {
		fmt.Println("the quota is spent until", denied.RetryAt.Format(time.TimeOnly))
	} else if failed, ok := errors.AsType[*tokencache.RequestError](err); ok {
		fmt.Println("the token endpoint answered", failed.Status, failed.Class)
	} else if errors.Is(err, tokencache.ErrRedis) {
		fmt.Println("Redis is away, and this replica has no token")
	}
}
