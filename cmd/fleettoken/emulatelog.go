package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// logInterval is how often the ledger is read for new requests.
const logInterval = 100 * time.Millisecond

// logRequests writes a line for each token request when it has ended, until ctx ends.
func (a *app) logRequests(ctx context.Context, server *auth0test.Server) {
	ticker := time.NewTicker(logInterval)
	defer ticker.Stop()
	told := 0
	tell := func() {
		for _, r := range server.Requests()[told:] {
			if r.Ended.IsZero() { // the others follow it, in the order of their arrival
				return
			}
			a.say("%s", requestLine(r))
			told++
		}
	}
	for {
		select {
		case <-ticker.C:
			tell()
		case <-ctx.Done():
			tell()
			return
		}
	}
}

func requestLine(r auth0test.Request) string {
	outcome := "no answer"
	switch {
	case r.Status != 0 && r.Error != "":
		outcome = fmt.Sprintf("%d %s", r.Status, r.Error)
	case r.Status != 0:
		outcome = fmt.Sprint(r.Status)
	}
	if r.Issued {
		outcome += ", a token until " + moment(r.Expires)
	}
	line := fmt.Sprintf("request %d at %s: client %q, audience %q: %s", r.Number, moment(r.Arrived), r.ClientID, r.Audience, outcome)
	if quota := cmp.Or(r.ClientQuota, r.OrganizationQuota); quota != "" {
		line += ", quota " + quota
	}
	return line
}
