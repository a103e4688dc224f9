package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleettoken/fleettoken/tokencache"
)

const rotateHelp = `rotate replaces the fleet's token, although it is still valid.

It costs one token of the quota, and only a tenth of the quota may be spent in
this way. While the quota is not known, as with a server that sends no quota
header, it is one token in a quarter of an hour. In an incident, --force goes
beyond that, and leaves the last token of the quota to replicas that have none.

Services that subscribe have the new token at once; the others when the API
refuses the old one, or when renewal is due.

The old token is not revoked: nothing but its end makes it invalid.`

func newRotateCommand(a *app) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the fleet's token",
		Long:  rotateHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			return a.waitFor(cmd.Context(), c, func(ctx context.Context, fleet *fleet) error {
				before, err := fleet.source.Status(ctx)
				if err != nil {
					return err
				}
				replace := fleet.source.Rotate
				if force {
					replace = fleet.source.ForceRotate
				}
				if err := replace(ctx); err != nil {
					return err
				}
				after, err := fleet.source.Status(ctx)
				if err != nil {
					a.say("the token was replaced, and what there is now could not be read")
					return err
				}
				text, err := rotated(before, after)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.stdout, text)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace it also beyond the tenth of the quota that rotations may spend")
	return cmd
}

// rotated says what a rotation has changed, and what it has left of the quota.
func rotated(before, after tokencache.Status) (string, error) {
	was, is := before.Fleet, after.Fleet
	if is == nil || was != nil && !was.Issued.Before(is.Issued) {
		return "", errors.New("a new token was issued, and it is not in Redis: look at 'fleettoken status'")
	}
	var b strings.Builder
	if was == nil {
		fmt.Fprintf(&b, "the fleet had no token and has one now, valid for %s", span(is.Remaining))
	} else {
		fmt.Fprintf(&b, "the token was replaced, %s before its end; the new one is valid for %s", span(was.Remaining), span(is.Remaining))
	}
	for _, w := range after.Quota.Windows {
		fmt.Fprintf(&b, "\nquota left of the %s: %d of %d %s", w.Scope.Kind(), w.Free(), w.Quota, bucketName(w.Bucket))
	}
	return b.String(), nil
}
