package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleettoken/fleettoken/tokencache"
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

Fields may be added. Those that exist keep their names.

With --check it prints the status as well, and the exit code says whether the fleet is
healthy: 0 if it has a token that can be read and lives for --min-remaining at least,
and no block that only a person can end, such as one for a wrong secret; 1 if not, with
the reason on the standard error; 2 if the configuration is wrong.`

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
			switch {
			case flags.check && flags.watch:
				return misused("--check and --watch are both given: --check looks once")
			case flags.minRemaining < 0:
				return misused("--min-remaining is %v: it cannot be negative", flags.minRemaining)
			case flags.minRemaining > 0 && !flags.check:
				return misused("--min-remaining needs --check")
			case !flags.watch && cmd.Flags().Changed("interval"):
				return misused("--interval needs --watch")
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
			ctx, cancel := context.WithTimeout(cmd.Context(), a.flags.timeout)
			defer cancel()
			stopSaying := a.sayAfterPatience(func() string { return "still waiting for Redis" })
			defer stopSaying()
			var text []byte
			var status tokencache.Status
			err = retryWhileRedisDown(ctx, func() (again bool, err error) {
				text, status, err = fetchStatus(ctx, fleet, flags.json)
				return true, err
			})
			if err != nil {
				return c.explain(err)
			}
			if _, err = a.stdout.Write(text); err != nil || !flags.check {
				return err
			}
			return unhealthy(status, flags.minRemaining)
		},
	}
	cmd.Flags().BoolVar(&flags.json, "json", false, "print it as JSON")
	cmd.Flags().BoolVar(&flags.watch, "watch", false, "print it again and again, until interrupted")
	cmd.Flags().BoolVar(&flags.check, "check", false, "exit with 1 if the fleet is not healthy")
	cmd.Flags().DurationVar(&flags.minRemaining, "min-remaining", 0, "with --check: how long the token must still live")
	cmd.Flags().DurationVar(&flags.interval, "interval", 2*time.Second, "how often, with --watch")
	return cmd
}

// unhealthy returns why a fleet is not healthy, and nil if it is.
func unhealthy(status tokencache.Status, minRemaining time.Duration) error {
	f := &failure{code: exitFailed}
	add := func(hint, format string, args ...any) {
		f.problems = append(f.problems, problem{fmt.Sprintf(format, args...), []string{hint}})
	}
	switch t := status.Fleet; {
	case status.Problem != "":
		add("'fleettoken rotate' replaces it, if the keys are right", "the fleet's token cannot be read: %s", status.Problem)
	case t == nil:
		add("'fleettoken token' requests one", "the fleet has no token")
	case t.Remaining < minRemaining:
		add("it should have been renewed by now: see the last token requests", "the fleet's token lives for %s, less than --min-remaining", span(t.Remaining))
	}
	for _, b := range status.Quota.Blocks {
		if class := tokencache.Class(b.Reason); class.Permanent() {
			add(class.Advice(), "token requests are blocked for %s: %s", span(b.Remaining), b.Reason)
		}
	}
	if len(f.problems) == 0 {
		return nil
	}
	return f
}
