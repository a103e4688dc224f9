package tokencache

import (
	"log/slog"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// A Hooks is told what a Cache does. Every function may be nil. They are called
// in the background, perhaps several at once, and must return soon; one that
// panics is forgiven. None of them gets a token or a secret.
type Hooks struct {
	// Requested: a token request was answered, or was not.
	Requested func(RequestedInfo)

	// Adopted: a token came into this replica's memory, from the fleet or from
	// the token endpoint.
	Adopted func(AdoptedInfo)

	// Denied: a token request was not sent, as it would have been in vain or is
	// not worth the quota.
	Denied func(DeniedInfo)

	// Redis is called when Redis becomes unreachable or unusable for a client, and
	// when it is usable again.
	Redis func(RedisInfo)
}

// RequestedInfo tells of a token request.
type RequestedInfo struct {
	Client, Audience string
	Reason           string // "cold", "expiring", "early", "rejected", "rotated" or "damaged"
	Priority         quota.Priority
	RedisDown        bool // past Redis, which is away
	Took             time.Duration
	Status           int           // zero if there was no answer
	Limits           quota.Limits  // what the answer said of the client's quota
	Err              error         // nil if it brought a token
	Lifetime         time.Duration // of the token
}

// AdoptedInfo tells of a token that came into memory.
type AdoptedInfo struct {
	Client, Audience string
	Requested        bool // by this replica; else it was the fleet's
	By               string
	Issued           time.Time     // by the clock of Redis; the zero Time if Redis was away
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

// DeniedInfo tells of a token request that was not sent.
type DeniedInfo struct {
	Client, Audience string
	Err              *quota.DeniedError
}

// callHook calls one hook, if it is set.
func callHook[T any](c *Cache, hook func(T), info T) {
	if hook == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.opts.Logger.Error("a hook panicked", slog.Any("panic", p))
		}
	}()
	hook(info)
}
