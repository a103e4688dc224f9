package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// addFleetFlags adds the flags of a command that joins a fleet.
func (a *app) addFleetFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.flags.preset, "preset", "", "take token URL and audience from a known provider: "+strings.Join(presetNames(), " or "))
	f.StringVar(&a.flags.redis, "redis", "", "the Redis to use instead of FLEETTOKEN_REDIS_URL; no password may be in it")
	a.addTimeout(cmd, "how long to wait for an answer; a token request under way is finished first")
	_ = cmd.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions(presetNames(), cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
}

// addTimeout adds the flag of a command that waits for an answer.
func (a *app) addTimeout(cmd *cobra.Command, usage string) {
	cmd.Flags().DurationVar(&a.flags.timeout, "timeout", 30*time.Second, usage)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if a.flags.timeout <= 0 {
			return misused("--timeout is %v: it must be more than nothing", a.flags.timeout)
		}
		return nil
	}
}
