package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/spf13/cobra"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/fromenv"
)

const emulateHelp = `emulate serves an Auth0-like token endpoint, and a small API below /api/ that
accepts its tokens, over HTTPS until it is interrupted. It is for trying things
out, for tests, and for docker compose: its tokens are worth nothing elsewhere.

It knows one client, with the secret in FLEETTOKEN_CLIENT_SECRET or in the file
that FLEETTOKEN_CLIENT_SECRET_FILE names. Any text will do.

Each start makes a certificate authority of its own, which --ca-out writes to a
file for those who are to trust it. With --with-redis it serves a Redis, too, which
keeps nothing when it ends: for machines that have none. The settings of clients
are printed on the standard output, once it serves. Each token request is a line on
the standard error.`

const emulateExample = `  $ export FLEETTOKEN_CLIENT_ID=my-client FLEETTOKEN_CLIENT_SECRET=anything
  $ fleettoken emulate --ca-out ca.pem --with-redis 127.0.0.1:6379 --ttl 10m
  FLEETTOKEN_TOKEN_URL=https://127.0.0.1:8443/oauth/token
  FLEETTOKEN_CLIENT_ID=my-client
  FLEETTOKEN_CA_FILE=/home/me/ca.pem
  FLEETTOKEN_REDIS_URL=redis://127.0.0.1:6379`

func newEmulateCommand(a *app) *cobra.Command {
	var flags emulateFlags
	cmd := &cobra.Command{
		Use:     "emulate",
		Short:   "Serve an Auth0-like token endpoint, to try things out with",
		Long:    emulateHelp,
		Example: emulateExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.validate(); err != nil {
				return err
			}
			if flags.check {
				return a.checkEmulator(cmd.Context(), flags)
			}
			return a.emulate(cmd.Context(), flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.address, "address", "127.0.0.1:8443", "where to listen; port 0 is any that is free")
	f.StringSliceVar(&flags.Hosts, "host", nil, "a name or address that clients use, for the certificate (default: the address, and localhost)")
	f.StringVar(&flags.caOut, "ca-out", "", "write the certificate authority to this file")
	f.StringVar(&flags.redis, "with-redis", "", "also serve a Redis in memory at this HOST:PORT")
	f.StringVar(&flags.ClientID, "client-id", "", "the id of the one client (default: FLEETTOKEN_CLIENT_ID, or test-client)")
	f.StringSliceVar(&flags.Audiences, "audience", nil, "an audience that is known (default: all are)")
	f.DurationVar(&flags.TTL, "ttl", 24*time.Hour, "how long a token lives")
	f.IntVar(&flags.PerHour, "per-hour", 42, "how many tokens an hour the client may have; 0: no such quota")
	f.IntVar(&flags.PerDay, "per-day", 100, "how many tokens a day the client may have; 0: no such quota")
	f.IntVar(&flags.OrganizationPerHour, "org-per-hour", 0, "the same for each organization")
	f.IntVar(&flags.OrganizationPerDay, "org-per-day", 0, "the same for each organization")
	f.BoolVar(&flags.Monitor, "monitor", false, "count the quota and do not enforce it")
	f.DurationVar(&flags.Latency, "latency", 0, "how long each answer takes")
	f.DurationVar(&flags.Lag, "lag", 0, "how far the quota header is behind")
	f.BoolVar(&flags.check, "check", false, "ask the emulator at --address, under the first --host, whether it serves, and end")
	a.addTimeout(cmd, "how long to wait for its answer, with --check")
	return cmd
}

// emulate serves until ctx ends.
func (a *app) emulate(ctx context.Context, flags emulateFlags) error {
	const secret, secretFile = fromenv.Prefix + "CLIENT_SECRET", fromenv.Prefix + "CLIENT_SECRET_FILE"
	if a.env[secret] == "" && a.env[secretFile] == "" {
		return &failure{exitUsage, []problem{{text: secret + " is not set: set it to what clients are to use, any text will do"}}}
	}
	c, problems := a.parse(a.env, secret, secretFile)
	if len(problems) > 0 {
		return &failure{exitUsage, problems}
	}
	flags.ClientSecret = c.Credentials.ClientSecret
	flags.ClientID = cmp.Or(flags.ClientID, c.Credentials.ClientID, "test-client")
	flags.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it see that themselves

	listener, err := net.Listen("tcp", flags.address)
	if err != nil {
		return failed(err, "choose another address with --address")
	}
	server, err := auth0test.NewServerOn(listener, &flags.Config)
	if err != nil {
		return failed(err, "check --host")
	}
	defer server.Close()
	if flags.redis != "" {
		rdb := miniredis.NewMiniRedis()
		rdb.ClockTTL(true) // keys expire by the clock
		if err := rdb.StartAddr(flags.redis); err != nil {
			return failed(fmt.Errorf("--with-redis: %w", err), "choose another address, or leave it out if there is a Redis already")
		}
		defer rdb.Close()
		flags.redis = rdb.Addr()
	}
	if err := a.announce(server, flags); err != nil {
		return err
	}
	a.logRequests(ctx, server)
	server.Close()
	ledger := server.Requests()
	a.say("stopped after %d token requests and %d tokens", len(ledger), ledger.Issued())
	return nil
}

// announce writes what clients need: on the standard output in the form of
// an environment file.
func (a *app) announce(server *auth0test.Server, flags emulateFlags) error {
	lines := "FLEETTOKEN_TOKEN_URL=" + server.TokenURL() + "\nFLEETTOKEN_CLIENT_ID=" + flags.ClientID + "\n"
	if flags.caOut != "" {
		path, err := filepath.Abs(flags.caOut)
		if err == nil {
			err = writeFile(path, server.CAPEM())
		}
		if err != nil {
			return failed(fmt.Errorf("--ca-out: %s cannot be written: %w", path, err), "choose another file with --ca-out")
		}
		lines += "FLEETTOKEN_CA_FILE=" + path + "\n"
	}
	if flags.redis != "" {
		lines += "FLEETTOKEN_REDIS_URL=redis://" + flags.redis + "\n"
	}
	_, err := io.WriteString(a.stdout, lines)
	a.say("serving %s and %s", server.TokenURL(), server.APIURL())
	return err
}
