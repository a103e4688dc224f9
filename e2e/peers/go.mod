// The peers that the figures in the README are measured beside. They are a module
// of their own, so that nobody who uses the library has them in their build list.
module github.com/fleettoken/fleettoken/e2e/peers

go 1.26.0

replace github.com/fleettoken/fleettoken => ../..

require (
	github.com/bsm/redislock v0.10.0
	github.com/fleettoken/fleettoken v0.0.0
	github.com/go-redsync/redsync/v4 v4.18.1
	github.com/redis/go-redis/v9 v9.23.0
	github.com/redis/rueidis v1.0.79
	golang.org/x/oauth2 v0.37.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
