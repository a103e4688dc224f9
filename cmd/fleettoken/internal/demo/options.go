package demo

import (
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/redis/go-redis/v9"
)

// MaxReplicas is the largest fleet that one machine can run.
const MaxReplicas = 500

// Options configure a demo.
type Options struct {
	Replicas int           // from 1 to MaxReplicas
	Duration time.Duration // from MinDuration to MaxDuration

	// Redis is where the fleet shares its token. Nil means one in this process.
	Redis *redis.UniversalOptions

	// Tell is called with each event, in order. Nil means that it is not.
	Tell func(view.Event)

	// Show is called with the state of the fleet ten times a second. Nil means
	// that it is not.
	Show func(view.Snapshot)

	timeout time.Duration             // the least Options.RequestTimeout, for tests
	adjust  func(*tokencache.Options) // changes the fleet, for tests
}

// Check returns an error if the options are out of range.
func (o Options) Check() error {
	if o.Replicas < 1 || o.Replicas > MaxReplicas {
		return fmt.Errorf("--replicas is %d: it can be from 1 to %d", o.Replicas, MaxReplicas)
	}
	if o.Duration < MinDuration || o.Duration > MaxDuration {
		return fmt.Errorf("--duration is %v: it can be from %.0fs to %.0fh", o.Duration, MinDuration.Seconds(), MaxDuration.Hours())
	}
	return nil
}
