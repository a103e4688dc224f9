package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

const tokenHelp = `token prints the fleet's token.

It takes the one that the fleet has. The token endpoint is asked only if there
is none, or if renewal is due and no other replica renews; that renewal is
waited for within --timeout, and its token is the fleet's, too.

The token is a secret. Pipe it to where it is needed, rather than to put it on
a command line, which others can see.`

const tokenExample = `  $ fleettoken token | my-program --token-from-stdin
  $ fleettoken token --header > header.txt && curl -H @header.txt https://api.example.com/`

func newTokenCommand(a *app) *cobra.Command {
	header := false
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Print the fleet's token",
		Long:    tokenHelp,
		Example: tokenExample,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			return a.waitFor(cmd.Context(), c, func(ctx context.Context, fleet *fleet) error {
				token, err := fleet.source.Token(ctx)
				if err != nil {
					return err
				}
				// A renewal that is due is finished first: there may be no other replica. If it
				// fails, the token that is valid is printed.
				if fleet.source.Settle(ctx) == nil {
					if newer, err := fleet.source.Token(ctx); err == nil {
						token = newer
					}
				}
				text := token.AccessToken
				if header {
					text = "Authorization: " + token.Type() + " " + text
				}
				_, err = fmt.Fprintln(a.stdout, text)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&header, "header", false, "print it as the header of an HTTP request")
	return cmd
}
