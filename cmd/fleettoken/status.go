package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleettoken/fleettoken/quota"
)

const statusHelp = `status shows what the fleet has: its token, which replica requested it and when it
expires, which replica holds the lease, what is left of the quota, what is blocked,
and the last token requests. It sends no token request, changes nothing, and never
shows the token.

A bucket of the quota has two counts: what the server reported as used, and what
the fleet counted itself before each request. The larger one counts. If it is the
server's, something outside the fleet uses the same client.

With --json it prints one JSON object a line. Durations are in seconds, times are as
in RFC 3339. The fields:

  client, audience, token_url, token   which token it is; token is its name in
                                       the journal
  fleet      the fleet's token: issued, by, life, age, left, expires, renew_from;
             null if there is none
  problem    why the fleet's token cannot be read, if it cannot
  local      null: this process keeps no token of its own
  lease      the lease holder: holder, left; null if the lease is free
  quota      windows: scope, bucket, quota, server, own, used, forced, resets,
             left, confirmed; blocks; modes
  journal    the last token requests, newest first: id, at, by, why, for,
             priority, outcome, status, header, took

Fields may be added. Those that exist keep their names.`

type statusFlags struct {
	json, watch bool
	interval    time.Duration
}

func newStatusCommand(a *app) *cobra.Command {
	var flags statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the fleet's token, its quota and its last token requests",
		Long:  statusHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.interval <= 0 {
				return misused("--interval is %v: it must be more than nothing", flags.interval)
			}
			c, err := a.config()
			if err != nil {
				return err
			}
			fleet, err := c.join()
			if err != nil {
				return err
			}
			defer fleet.close()
			if flags.watch {
				return a.watch(cmd.Context(), c, fleet, flags)
			}
			text, err := a.look(cmd.Context(), c, fleet, flags)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&flags.json, "json", false, "print it as JSON")
	cmd.Flags().BoolVar(&flags.watch, "watch", false, "print it again and again, until interrupted")
	cmd.Flags().DurationVar(&flags.interval, "interval", 2*time.Second, "how often, with --watch")
	return cmd
}

// look asks for the status once, and returns it as it is printed.
func (a *app) look(ctx context.Context, c *config, fleet *fleet, flags statusFlags) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, a.flags.timeout)
	defer cancel()
	status, err := fleet.source.Status(ctx)
	if err != nil {
		return nil, c.explain(err)
	}
	// Programs want to go through lists that are empty, too, and null is none.
	status.Quota.Windows = append([]quota.Window{}, status.Quota.Windows...)
	status.Quota.Blocks = append([]quota.Blocked{}, status.Quota.Blocks...)
	status.Journal = append([]quota.Entry{}, status.Journal...)
	var b bytes.Buffer
	if flags.json {
		err = json.NewEncoder(&b).Encode(status)
	} else {
		err = writeStatus(&b, status)
	}
	return b.Bytes(), err
}
