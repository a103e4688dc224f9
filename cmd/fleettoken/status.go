package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleettoken/fleettoken/quota"
)

const statusHelp = `status shows what the fleet has: its token, who asked for it and when it ends,
who is renewing, what is left of the quota, what is blocked, and the last token
requests. It makes no token request, changes nothing, and never shows the token.

A bucket of the quota has two counts: what the server has shown to be used, and
what the fleet has counted itself before it asked. The larger one counts; if it
is the server's, somebody else uses the same client.

With --json it is one JSON object a line, for programs. Durations are in
nanoseconds and moments as in RFC 3339. The fields:

  client, audience, token_url, token   which token it is; token is its name in
                                       the journal
  fleet      the fleet's token: issued, by, life, age, left, expires, renew_from;
             null if there is none
  problem    why the fleet's token cannot be read, if it cannot
  local      null: the token that this process keeps for itself, which is none
  lease      who is renewing: holder, left; null if nobody is
  quota      windows: scope, bucket, quota, server, own, used, forced, resets,
             left, confirmed; blocks; modes
  journal    the last token requests, newest first: id, at, by, why, for,
             priority, outcome, status, header, took

There may be more fields one day, and those there are keep their names.`

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
	status.Problem = c.names.Replace(status.Problem)
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
