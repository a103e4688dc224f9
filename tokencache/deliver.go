package tokencache

import (
	"context"
	"log/slog"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// A notice is one of the replica, and the source that it is about.
type notice struct {
	replica.Notice
	source *Source // of RedisDown and RedisUp, any
}

// deliver logs what has changed, and calls the hooks. It is called without the lock.
func (c *client) deliver(n notice) {
	s, hooks := n.source, c.cache.opts.Hooks
	switch n.Kind {
	case replica.Adopted:
		p := n.Held.Record.Payload.(*payload)
		c.log(slog.LevelDebug, "a new token is in use", slog.Bool("requested", n.Requested), slog.String("by", p.requestedBy), slog.Duration("remaining", n.Held.Remaining))
		callHook(c.cache, hooks.Adopted, AdoptedInfo{
			Client: c.label, Audience: s.cred.Audience, Requested: n.Requested, By: p.requestedBy,
			Issued: issuedAt(n.Held.Record), Remaining: n.Held.Remaining,
		})
	case replica.WrittenBack:
		c.log(slog.LevelInfo, "wrote the token back to Redis, which did not have it", slog.String("token", s.token.ID))
	case replica.RecordDamaged:
		c.log(slog.LevelWarn, "the record in Redis is damaged, and is replaced", slog.String("token", s.token.ID))
	case replica.KeyUnknown:
		c.log(slog.LevelError, "the record in Redis is encrypted with a key that this replica does not have", slog.String("token", s.token.ID))
	case replica.RequestDenied:
		c.log(slog.LevelInfo, "no token request for now", slog.String("priority", n.Denied.Priority.String()), slog.Any("error", n.Denied), c.validUntil(n.Held))
		callHook(c.cache, hooks.Denied, DeniedInfo{Client: c.label, Audience: s.cred.Audience, Err: n.Denied})
	case replica.RequestFailed:
		c.log(slog.LevelWarn, "a token request failed", slog.String("reason", string(n.Reason)), slog.Any("error", n.Err), c.validUntil(n.Held))
	case replica.RedisDown:
		c.log(slog.LevelWarn, "Redis cannot be used", slog.Any("error", n.Err))
		callHook(c.cache, hooks.Redis, RedisInfo{Client: c.label, Err: n.Err, Failures: 1})
	case replica.RedisUp:
		c.log(slog.LevelInfo, "Redis can be used again", slog.Int("failures", n.Failures))
		callHook(c.cache, hooks.Redis, RedisInfo{Client: c.label, Failures: n.Failures})
	}
}

// issuedAt returns when a token was requested, by the clock of Redis. It is not known
// for one requested while Redis was unreachable.
func issuedAt(r replica.Record) time.Time {
	if r.Issued == 0 {
		return time.Time{}
	}
	return time.UnixMilli(r.Issued).UTC()
}

// validUntil says until when callers do not notice.
func (c *client) validUntil(h replica.Held) slog.Attr {
	if now := c.cache.now(); h.Valid(now) {
		return slog.Time("token_valid_until", c.cache.wall().Add(h.Left(now)).UTC())
	}
	return slog.String("token_valid_until", "there is none")
}

// log logs one change.
func (c *client) log(level slog.Level, message string, attrs ...slog.Attr) {
	defer func() { _ = recover() }() // a handler that panics must not end the refresh
	c.cache.opts.Logger.LogAttrs(context.Background(), level, message, append([]slog.Attr{slog.String("client", c.label)}, attrs...)...)
}
