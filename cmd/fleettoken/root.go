package main

import (
	"github.com/spf13/cobra"
)

const rootHelp = `fleettoken lets a fleet of processes share one OAuth 2.0 machine-to-machine
token through Redis. One process at a time asks the token endpoint, all of them
use the token, and what the endpoint says of the quota is everybody's.

The library in your services does that. This command is for trying it out,
for looking at a fleet, and for programs that cannot embed the library.

Settings and secrets come from the environment, and secrets from files, too:

  FLEETTOKEN_TOKEN_URL           the token endpoint, an https URL
  FLEETTOKEN_CLIENT_ID           the client's id
  FLEETTOKEN_CLIENT_SECRET       the client's secret, or
  FLEETTOKEN_CLIENT_SECRET_FILE  the file that holds it
  FLEETTOKEN_AUDIENCE            the API that the token is for
  FLEETTOKEN_REDIS_URL           the Redis that the fleet shares, one of
                                   redis://[USER:PASSWORD@]HOST[:PORT][/DB]
                                   unix://[USER:PASSWORD@]/PATH[?db=DB]
                                   redis+sentinel://[USER:PASSWORD@]HOST[,HOST…]/MASTER[/DB]
                                   redis+cluster://[USER:PASSWORD@]HOST[,HOST…]
                                 with rediss in place of redis for TLS

These have defaults that suit most:

  FLEETTOKEN_ORGANIZATION        the organization that the token is for
  FLEETTOKEN_SCOPES              the scopes to ask for, separated by blanks
  FLEETTOKEN_PARAMS              further parameters of the token request: a=1&b=2
  FLEETTOKEN_ENCODING            how to write the request: json, form or basic
  FLEETTOKEN_CA_FILE             certificate authorities of the token endpoint, as
                                 PEM, in addition to the system's
  FLEETTOKEN_REDIS_CA_FILE       the same for Redis
  FLEETTOKEN_PREFIX              begins the name of every key in Redis
  FLEETTOKEN_REPLICA             names this process in the journal
  FLEETTOKEN_ENCRYPTION_KEYS_FILE
                                 keys to encrypt the token in Redis with, one a line,
                                 32 bytes in base64 or hex; the first one encrypts
  FLEETTOKEN_RENEW_BEFORE        how long before its end a token is renewed
  FLEETTOKEN_REQUEST_TIMEOUT     how long a token request may take
  FLEETTOKEN_REDIS_TIMEOUT       how long a call to Redis may take
  FLEETTOKEN_ENFORCED_QUOTA      true if the server is known to enforce its quota

All processes of a fleet need the same ones, but for FLEETTOKEN_REPLICA.

The result goes to the standard output, and everything else to the standard
error. The exit code is 0 if it is done, 1 if it could not be, and 2 if the
command line or the settings are wrong.`

const rootExample = `  $ export FLEETTOKEN_CLIENT_ID=my-client FLEETTOKEN_CLIENT_SECRET_FILE=secret.txt
  $ export FLEETTOKEN_REDIS_URL=redis://127.0.0.1:6379
  $ fleettoken token --preset pliant-sandbox --header > header.txt
  $ fleettoken status --preset pliant-sandbox
  $ curl -H @header.txt https://sandbox.partner-api.getpliant.com/api/…

  Without an account, let the command itself be the token endpoint:

  $ export FLEETTOKEN_CLIENT_ID=my-client FLEETTOKEN_CLIENT_SECRET=anything
  $ fleettoken emulate --ca-out ca.pem &
  $ export FLEETTOKEN_TOKEN_URL=https://127.0.0.1:8443/oauth/token
  $ export FLEETTOKEN_CA_FILE=ca.pem FLEETTOKEN_REDIS_URL=redis://127.0.0.1:6379
  $ fleettoken token`

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:     "fleettoken",
		Short:   "Share one OAuth 2.0 machine-to-machine token among a fleet",
		Long:    rootHelp,
		Example: rootExample,
		Version: version().Version,

		Args:             knownCommand,
		RunE:             func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) { a.started = true },
		SilenceErrors:    true, // report writes them
		SilenceUsage:     true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")

	root.SetHelpCommand(newHelpCommand())
	for _, cmd := range []*cobra.Command{newTokenCommand(a), newStatusCommand(a), newRotateCommand(a)} {
		a.addFleetFlags(cmd)
		root.AddCommand(cmd)
	}
	root.AddCommand(newEmulateCommand(a), newVersionCommand(a), newDemoCommand(a))
	addCompletion(root)
	return root
}
