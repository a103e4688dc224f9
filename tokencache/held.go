package tokencache

import (
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// A held token is what callers are served from. It is immutable, but for the marks at
// its end, and it is replaced as a whole.
type held struct {
	replica.Held
	token  *oauth2.Token
	header []string  // the value of the Authorization header, shared by all requests
	since  time.Time // Held.Since by the monotonic clock

	previous atomic.Pointer[held] // the token before, which may still be valid; nil if it is not to be used

	checked atomic.Int64 // the age at which both clocks were last compared
	used    atomic.Bool  // a caller was served from it
	noticed atomic.Bool  // the clocks were seen to disagree
}

// newHeld makes the token that callers are served from. old is the one before, nil if
// there was none.
func newHeld(o *host, old *held, t *replica.Token) *held {
	p := t.Held.Record.Payload.(*payload)
	h := &held{
		Held:  t.Held,
		since: o.origin.Add(t.Held.Since.Mono),
		token: (&oauth2.Token{
			AccessToken: p.accessToken, TokenType: p.tokenType,
			Expiry: o.origin.Round(0).Add(t.Held.Since.Wall + t.Held.Remaining),
		}).WithExtra(p.extra),
	}
	if old.same(h) {
		h.header = old.header
		h.previous.Store(old.previous.Load())
	} else {
		if old != nil && !h.Record.Forced { // or the one before was refused, or is to go
			old.previous.Store(nil)
			h.previous.Store(old)
		}
		h.header = []string{p.tokenType + " " + p.accessToken}
	}
	h.used.Store(t.Used)
	return h
}

// String shows nothing of the token.
func (h *held) String() string { return "a held token" }

// GoString returns String.
func (h *held) GoString() string { return h.String() }

// same reports whether other is the same access token, as when its age was measured
// again.
func (h *held) same(other *held) bool {
	return h != nil && other != nil && h.Record.Token == other.Record.Token
}

// settling is how long an API may refuse a token that was just issued: it has not heard of
// it yet, or its clock is behind, and the token is not valid before a time (RFC 7519 section
// 4.1.5).
const settling = 5 * time.Second

// settles returns for how long h is still to be tried again when an API refuses it.
func (h *held) settles(now replica.Instant) time.Duration {
	return settling - (h.Record.Lifetime - h.Left(now))
}

// clockCheckInterval is how long the monotonic clock alone is believed. It stops while
// a machine is suspended, and only the wall clock shows that. But to freeze every task
// and device takes longer than this, and the monotonic clock runs meanwhile, as it does
// while a process is stopped: so after a suspend, the last comparison is older.
const clockCheckInterval = time.Millisecond

// fresh reports whether h can be served without a look at the wall clock. It is what
// Token costs: one reading of the monotonic clock. time.Now would read both, and cost as
// much as the whole of oauth2.ReuseTokenSource.
func (h *held) fresh() bool {
	age := time.Since(h.since)
	return age < h.Look && age-time.Duration(h.checked.Load()) < clockCheckInterval && h.used.Load()
}
