// Package e2e tells the stories of a fleet with real parts: a process for each
// replica, a redis-server, and an HTTPS endpoint. Its tests build the fleettoken
// command and run its replica subcommand, so what is tested is what is shipped.
//
// Without a redis-server on the machine the stories run on miniredis over TCP,
// and say so; with CI=true in the environment that is a failure.
package e2e
