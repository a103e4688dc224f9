// Package e2e tests a fleet of real parts: a process for each replica, a
// redis-server, and an HTTPS endpoint. Its tests build the fleettoken command and
// the program in e2e/replica, which embeds the library as a service does.
//
// Without a redis-server on the machine the stories run on miniredis over TCP,
// and say so; with CI=true in the environment that is a failure.
package e2e
