package tokencache

import (
	"context"
	"log/slog"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// A reporter tells people what happens to a client: it logs, and calls hooks.
type reporter struct {
	host  *host
	label string // of the client
}

// A notice is one of the replica, and the token that it is about.
type notice struct {
	replica.Notice
	audience, tokenID string // of RedisDown and RedisUp, any
}

// deliver logs what has changed, and calls the hooks. It is called without the lock.
func (r reporter) deliver(n notice) {
	hooks := r.host.opts.Hooks
	switch n.Kind {
	case replica.Adopted:
		p := n.Held.Record.Payload.(*payload)
		r.log(slog.LevelDebug, "a new token is in use", slog.Bool("requested", n.Requested), slog.String("by", p.requestedBy), slog.Duration("remaining", n.Held.Remaining))
		callHook(r.host.opts.Logger, hooks.Adopted, AdoptedInfo{
			Client: r.label, Audience: n.audience, Requested: n.Requested, By: p.requestedBy,
			Issued: issuedAt(n.Held.Record), Remaining: n.Held.Remaining,
		})
	case replica.WrittenBack:
		r.log(slog.LevelInfo, "wrote the token back to Redis, which did not have it", slog.String("token", n.tokenID))
	case replica.RecordDamaged:
		r.log(slog.LevelWarn, "the record in Redis is damaged, and is replaced", slog.String("token", n.tokenID))
	case replica.KeyUnknown:
		r.log(slog.LevelError, "the record in Redis is encrypted with a key that this replica does not have", slog.String("token", n.tokenID))
	case replica.RequestDenied:
		r.log(slog.LevelInfo, "no token request for now", slog.String("priority", n.Denied.Priority.String()), slog.Any("error", n.Denied), r.validUntil(n.Held))
		callHook(r.host.opts.Logger, hooks.Denied, DeniedInfo{Client: r.label, Audience: n.audience, Err: n.Denied})
	case replica.RequestFailed:
		r.log(slog.LevelWarn, "a token request failed", slog.String("reason", string(n.Reason)), slog.Any("error", n.Err), r.validUntil(n.Held))
	case replica.RedisDown:
		r.log(slog.LevelWarn, "Redis cannot be used", slog.Any("error", n.Err))
		callHook(r.host.opts.Logger, hooks.Redis, RedisInfo{Client: r.label, Err: n.Err, Failures: 1})
	case replica.RedisUp:
		r.log(slog.LevelInfo, "Redis can be used again", slog.Int("failures", n.Failures))
		callHook(r.host.opts.Logger, hooks.Redis, RedisInfo{Client: r.label, Failures: n.Failures})
	}
}

// validUntil says until when callers do not notice.
func (r reporter) validUntil(h replica.Held) slog.Attr {
	if now := r.host.now(); h.Valid(now) {
		return slog.Time("token_valid_until", r.host.wall().Add(h.Left(now)).UTC())
	}
	return slog.String("token_valid_until", "there is none")
}

// log logs one change.
func (r reporter) log(level slog.Level, message string, attrs ...slog.Attr) {
	defer func() { _ = recover() }() // a handler that panics must not end the refresh
	r.host.opts.Logger.LogAttrs(context.Background(), level, message, append([]slog.Attr{slog.String("client", r.label)}, attrs...)...)
}
