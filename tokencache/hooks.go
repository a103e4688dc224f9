package tokencache

import (
	"log/slog"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// Hooks are functions that a Cache calls when something changes. Each may be nil. They
// are called in the background, several at once, and must return soon. A panic in one
// is recovered and logged. None of them gets a token or a secret.
type Hooks struct {
	// Requested is called after each token request, answered or not.
	Requested func(RequestedInfo)

	// Adopted is called when a token comes into this replica's memory, from the fleet
	// or from the token endpoint.
	Adopted func(AdoptedInfo)

	// Denied is called when a token request is not sent, because it would be refused
	// or is not worth the quota.
	Denied func(DeniedInfo)

	// Redis is called when Redis becomes unreachable or unusable for a client, and
	// when it is usable again.
	Redis func(RedisInfo)
}

// A Reason says why a token request is made.
type Reason string

// The reasons for token requests.
const (
	ReasonCold        = Reason(replica.Cold)        // the fleet has no valid token
	ReasonExpiring    = Reason(replica.Expiring)    // the token is about to expire
	ReasonEarly       = Reason(replica.Early)       // the token is in its renewal window
	ReasonInvalidated = Reason(replica.Invalidated) // an API refused the token
	ReasonRotated     = Reason(replica.Rotated)     // an operator replaces the token
	ReasonDamaged     = Reason(replica.Damaged)     // the record in Redis cannot be read
)

// RequestedInfo describes a token request.
type RequestedInfo struct {
	Client, Audience string
	Reason           Reason
	Priority         quota.Priority
	RedisDown        bool // it was sent although Redis is down, within the RedisDownBudget
	Took             time.Duration
	Status           int           // zero if there was no answer
	Limits           quota.Limits  // of the client, by the header of the answer
	Err              error         // nil if it brought a token
	Lifetime         time.Duration // of the token
}

// AdoptedInfo describes a token that came into memory.
type AdoptedInfo struct {
	Client, Audience string
	Requested        bool // by this replica; else it was the fleet's
	By               string
	Issued           time.Time     // by the clock of Redis; the zero Time if Redis was down
	Remaining        time.Duration // until it expires
}

// RedisInfo describes a change of Redis' availability.
type RedisInfo struct {
	Client string

	// Err is why Redis cannot be used, a [*RedisError]. Nil means that it can be
	// used again.
	Err error

	// Failures is how many calls in a row failed before Redis could be used again.
	Failures int
}

// DeniedInfo describes a token request that was not sent.
type DeniedInfo struct {
	Client, Audience string
	Err              *quota.DeniedError
}

// callHook calls one hook, if it is set.
func callHook[T any](logger *slog.Logger, hook func(T), info T) {
	if hook == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			logger.Error("a hook panicked", slog.Any("panic", p))
		}
	}()
	hook(info)
}
