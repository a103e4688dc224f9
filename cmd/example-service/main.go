// Command example-service is a small service that calls a partner's API with the
// token of its fleet. Any number of them request one token together.
//
// It is configured by the FLEETTOKEN settings of package fromenv, as the command
// fleettoken is, and by PARTNER_API_URL. It listens on LISTEN_ADDRESS, or on port 8080.
package main

import (
	"cmp"
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/fromenv"
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
	config, err := fromenv.Load()
	if err != nil {
		return err
	}
	for _, warning := range config.Warnings {
		slog.Warn(warning.Error())
	}
	rdb := tokencache.NewRedisClient(config.Redis)
	defer rdb.Close()
	config.Options.Subscribe = true
	config.Options.Logger = slog.Default()
	cache, err := tokencache.New(rdb, &config.Options)
	if err != nil {
		return err
	}
	defer cache.Close()
	source, err := cache.Source(config.Credentials)
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
