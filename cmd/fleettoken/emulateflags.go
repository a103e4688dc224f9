package main

import (
	"net"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

type emulateFlags struct {
	auth0test.Config
	address, caOut, redis string
	check                 bool
}

func (f *emulateFlags) validate() error {
	if f.TTL < time.Second {
		return misused("--ttl is %v: a token lives a second at least", f.TTL)
	}
	for name, n := range map[string]int64{
		"per-hour": int64(f.PerHour), "per-day": int64(f.PerDay), "org-per-hour": int64(f.OrganizationPerHour),
		"org-per-day": int64(f.OrganizationPerDay), "latency": int64(f.Latency), "lag": int64(f.Lag),
	} {
		if n < 0 {
			return misused("--%s is negative", name)
		}
	}
	if _, _, err := net.SplitHostPort(f.address); err != nil {
		return misused("--address is %q: write HOST:PORT", f.address)
	}
	if _, _, err := net.SplitHostPort(f.redis); err != nil && f.redis != "" {
		return misused("--with-redis is %q: write HOST:PORT", f.redis)
	}
	return nil
}
