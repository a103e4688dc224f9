package tokencache

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// A Source is the fleet's token for one set of credentials. It is safe for
// concurrent use, and lives until it or its Cache is closed.
type Source struct {
	client *client
	forget func() // makes the Cache forget it
	source
}

// Token returns the fleet's token. If this replica holds a valid one, that is
// all: no lock, no I/O, no allocation. The token is shared, so it must not be
// changed.
//
// Otherwise Token waits, until ctx ends, for the token that the fleet has or has
// requested. A caller that leaves does not end the request. If it is known that no
// token can be had in time, Token returns an [*Error] at once, with the reason and
// the time when one can. That is believed for a minute; the next call after that
// waits for one fetch from Redis.
func (s *Source) Token(ctx context.Context) (*oauth2.Token, error) {
	if h := s.held.Load(); h != nil && h.fresh() {
		return h.token, nil
	}
	h, err := s.client.obtain(ctx, &s.source)
	if err != nil {
		return nil, s.fail("token", err)
	}
	return h.token, nil
}

// TokenSource returns s as an [oauth2.TokenSource], whose Token waits as long as
// ctx lets it.
//
// The tokens that it returns expire within a minute, by their Expiry. That is
// for callers that keep them, as oauth2.NewClient and oauth2.ReuseTokenSource
// do: they come back soon, which costs nothing, and so hear of a token that was
// replaced before its time.
func (s *Source) TokenSource(ctx context.Context) oauth2.TokenSource { return tokenSource{ctx, s} }

type tokenSource struct {
	ctx context.Context
	s   *Source
}

func (t tokenSource) Token() (*oauth2.Token, error) {
	shared, err := t.s.Token(t.ctx)
	if err != nil {
		return nil, err
	}
	token := *shared
	if soon := t.s.client.host.wall().Add(time.Minute); soon.Before(token.Expiry) {
		token.Expiry = soon
	}
	return &token, nil
}

// Invalidate reports that the API refused tok, and waits until the fleet has another
// one. If tok is not the token that s holds, it was replaced already, and Invalidate
// returns at once. However many callers in however many replicas invalidate
// one token, it is replaced once; and an API that refuses every token cannot burn
// the quota, as only a tenth of it may be spent in this way. Beyond that, Invalidate
// returns an [*Error] with a [*quota.DeniedError], and s goes on serving tok.
func (s *Source) Invalidate(ctx context.Context, tok *oauth2.Token) error {
	if tok == nil {
		return nil
	}
	h := s.client.invalidate(&s.source, tok.AccessToken)
	if h == nil {
		return nil
	}
	if err := s.client.replaced(ctx, &s.source, h); err != nil {
		return s.fail("invalidate", err)
	}
	return nil
}

// Rotate replaces the fleet's token although it is valid. It is for operators. When
// it returns nil, the new token is the fleet's, and no replica adopts the old one any
// more. A replica that holds the old one serves it until it fetches: at once with
// [Options.Subscribe], else when the API refuses it, or at the beginning of its renewal window. The token endpoint does not revoke
// the old token; nothing but its expiry ends it.
func (s *Source) Rotate(ctx context.Context) error { return s.rotate(ctx, false) }

// ForceRotate is Rotate beyond the budget for forced renewals, as in an incident. Its request
// is counted and in the journal, and it leaves the last token of the quota to replicas that
// have none. Blocks of the endpoint, such as after a 429, hold it back.
func (s *Source) ForceRotate(ctx context.Context) error { return s.rotate(ctx, true) }

func (s *Source) rotate(ctx context.Context, insist bool) error {
	// What is to be replaced is what the fleet has, which may be newer.
	c := s.client
	read, err := c.fetch(ctx, &s.source)
	if err != nil {
		return s.fail("rotate", err)
	}
	var old string
	c.applyTo(&s.source, func(now replica.Instant, state *replica.State) {
		state.Merge(now, s.id, read.of(0), random())
		old = state.Tokens[s.id].Held.Record.Token
	})
	for {
		h, err := c.obtain(ctx, &s.source)
		if err != nil {
			return s.fail("rotate", err)
		}
		if h.Record.Token != old && h.Record.Issued >= read.Now {
			break
		}
		// It is the one to be replaced, or an older one that another replica has
		// written back since.
		c.applyTo(&s.source, func(_ replica.Instant, state *replica.State) { state.Rotate(s.id, h.Record.Token, insist) })
		if err := s.client.replaced(ctx, &s.source, h); err != nil {
			return s.fail("rotate", err)
		}
	}
	h, err := c.wait(ctx, &s.source, replica.Want{Shared: true})
	if err != nil {
		return s.fail("rotate", err)
	}
	if r := h.Record; !r.Forced {
		// It came of an ordinary renewal. Records issued earlier are not adopted any
		// more all the same.
		r.Forced = true
		if _, err := c.commit(ctx, &s.source, r, nil); err != nil {
			return s.fail("rotate", err)
		}
	}
	return nil
}

// Settle waits until a renewal that is due is over, or ctx ends. It is for processes that
// end soon, such as those that cron starts: a service renews in the background, and they
// would leave before that. A renewal that fails is no error of Settle: the token is valid
// still, and the next process tries again.
func (s *Source) Settle(ctx context.Context) error {
	if err := s.client.settle(ctx); err != nil {
		return s.fail("settle", err)
	}
	return nil
}

// Close ends the renewal of the token. It is for credentials that are not used any more,
// such as those with a secret that was replaced, in a process that goes on with others.
// Whoever asked for equal credentials has the same Source: it serves what it holds until
// that expires, and then returns [ErrClosed]. The fleet keeps its token. Close returns nil.
func (s *Source) Close() error {
	s.forget()
	return nil
}

// String returns which token it is.
func (s *Source) String() string { return "source of " + s.cred.String() }

// Format prints String, whatever the verb.
func (s *Source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// fail makes the error that callers see.
func (s *Source) fail(op string, err error) error {
	e := &Error{Op: op, Client: s.client.reporter.label, Audience: s.cred.Audience, Err: err}
	if h := s.held.Load(); h != nil && op != "token" && h.token.Expiry.After(s.client.host.wall()) {
		e.ValidUntil = h.token.Expiry
	}
	return e
}
