// Command example-service is a small service that calls a partner's API with the
// token of its fleet. Run as many of them as you like: together they ask for one
// token.
//
// It needs FLEETTOKEN_TOKEN_URL, FLEETTOKEN_CLIENT_ID, FLEETTOKEN_CLIENT_SECRET,
// FLEETTOKEN_AUDIENCE and FLEETTOKEN_REDIS_URL, as the command fleettoken does,
// and PARTNER_API_URL. It listens on LISTEN_ADDRESS, or on port 8080.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache"
)

func main() {
	check := flag.Bool("healthcheck", false, "ask the service on this machine whether it is well, and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	do := run
	if *check {
		do = healthcheck
	}
	err := do(ctx, cmp.Or(os.Getenv("LISTEN_ADDRESS"), ":8080"))
	stop()
	if err != nil {
		slog.Error("example-service failed", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, address string) error {
	at, err := redis.ParseURL(os.Getenv("FLEETTOKEN_REDIS_URL"))
	if err != nil { // its text may hold the password
		return errors.New("FLEETTOKEN_REDIS_URL is not set, or not the URL of a Redis")
	}
	rdb := tokencache.NewRedisClient(&redis.UniversalOptions{
		Addrs: []string{at.Addr}, DB: at.DB, Username: at.Username, Password: at.Password, TLSConfig: at.TLSConfig,
	})
	defer rdb.Close()
	cache, err := tokencache.New(rdb, &tokencache.Options{Subscribe: true, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer cache.Close()
	source, err := cache.Source(tokencache.Credentials{
		TokenURL:     os.Getenv("FLEETTOKEN_TOKEN_URL"),
		ClientID:     os.Getenv("FLEETTOKEN_CLIENT_ID"),
		ClientSecret: os.Getenv("FLEETTOKEN_CLIENT_SECRET"),
		Audience:     os.Getenv("FLEETTOKEN_AUDIENCE"),
	})
	if err != nil {
		return err
	}
	partner := source.Client(ctx) // an *http.Client like any other, with the fleet's token

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		resp, err := get(r.Context(), partner, os.Getenv("PARTNER_API_URL"))
		if err != nil {
			slog.Error("the partner's API could not be called", "error", err)
			http.Error(w, "the partner's API could not be called", http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := source.Token(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return serve(ctx, address, mux)
}
