package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
)

type statusFlags struct {
	json, watch, check bool
	interval           time.Duration
	minRemaining       time.Duration
}

// fetchStatus asks for the status once, and returns it also as it is printed.
func fetchStatus(ctx context.Context, fleet *fleet, asJSON bool) ([]byte, tokencache.Status, error) {
	status, err := fleet.source.Status(ctx)
	if err != nil {
		return nil, status, err
	}
	// In JSON an empty list is [], which programs can range over, and not null.
	status.Quota.Windows = append([]quota.Window{}, status.Quota.Windows...)
	status.Quota.Blocks = append([]quota.Blocked{}, status.Quota.Blocks...)
	status.Journal = append([]quota.Entry{}, status.Journal...)
	var b bytes.Buffer
	if asJSON {
		err = json.NewEncoder(&b).Encode(status)
	} else {
		err = writeStatus(&b, status)
	}
	return b.Bytes(), status, err
}
