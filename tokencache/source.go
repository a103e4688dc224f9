package tokencache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/keys"
	"github.com/fleettoken/fleettoken/tokencache/internal/seal"
)

// A Source is the fleet's token for one set of credentials. It is safe for
// concurrent use, and lives as long as its Cache.
type Source struct {
	client *client
	cred   Credentials
	ring   seal.Ring
	id     string // names the token, in Redis and in the journal

	key, epochKey string
	scopes        scopes
	scopeList     []quota.Scope

	held atomic.Pointer[held]

	// The rest is guarded by client.mu.

	at       time.Time     // when it wants the flight's attention; zero: not at all
	timer    *time.Timer   // starts the flight then
	waiting  int           // callers that wait for a token, or for another one
	change   chan struct{} // closed when something has changed for them
	failure  *failure      // why there is no token
	refusal  *failure      // why the one there is was not replaced
	unwanted *held         // the token to be replaced although it is valid,
	why      string        // and the reason
	floor    int64         // the lowest epoch that may be adopted, when last looked at
}

// A failure answers all callers until a moment, when the next attempt is due.
type failure struct {
	err   error
	until time.Time
	hope  time.Time // if that attempt needs luck, when one is due that does not
	final bool      // nobody should wait, even if there is time
}

// hopeless reports whether waiting until limit is in vain.
func (f *failure) hopeless(limit time.Time) bool {
	return f.final || f.until.After(limit) || f.hope.After(limit)
}

func newSource(c *client, cred Credentials, ring seal.Ring, id string) *Source {
	s := &Source{
		client: c, cred: cred, ring: ring, id: id,
		key: c.names.Token(id), epochKey: c.names.Epoch(id),
		scopes: scopes{
			audience:    quota.Named("audience", id),
			credentials: quota.Named("credentials", keys.Hash("credentials", cred.ClientSecret)),
		},
		change: make(chan struct{}),
	}
	s.scopeList = []quota.Scope{quota.Client, quota.Tenant, s.scopes.audience, s.scopes.credentials}
	if cred.Organization != "" {
		s.scopes.organization = quota.Organization(cred.Organization)
		s.scopeList = append(s.scopeList, s.scopes.organization)
	}
	c.mu.Lock()
	c.sources = append(c.sources, s)
	c.mu.Unlock()
	return s
}

// Token returns the fleet's token. If this replica holds a valid one, that is
// all: no lock, no I/O, no allocation. The token is shared, so it must not be
// changed.
//
// Otherwise Token waits, until ctx ends, for the token that the fleet has or is
// asking for. Whether a caller waits or leaves makes no difference to the
// request. If it is known that no token can be had in time, Token returns an
// [*Error] at once, with the reason and the moment when it can.
func (s *Source) Token(ctx context.Context) (*oauth2.Token, error) {
	if h := s.held.Load(); h != nil && h.fresh() {
		return h.token, nil
	}
	h, err := s.obtain(ctx)
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
	if soon := t.s.client.cache.wall().Add(time.Minute); soon.Before(token.Expiry) {
		token.Expiry = soon
	}
	return &token, nil
}

// Client returns an HTTP client that authorizes its requests with the fleet's
// token; see [Source.Transport]. The transport below it is that of the
// *http.Client that ctx holds under oauth2.HTTPClient, and http.DefaultTransport
// if it holds none. Nothing else of ctx is used.
func (s *Source) Client(ctx context.Context) *http.Client {
	client := &http.Client{}
	if given, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok && given != nil {
		*client = *given
	}
	client.Transport = s.Transport(client.Transport)
	return client
}

// Reject says that the API refused tok, and waits until the fleet has another
// one. If tok is not the token that s holds, it was replaced already, and Reject
// returns at once. However many callers in however many replicas reject one
// token, it is replaced once; and an API that refuses every token cannot burn
// the quota, as only a tenth of it may be spent in this way. Beyond that, Reject
// returns an [*Error] with a [*quota.DeniedError], and s goes on serving tok.
func (s *Source) Reject(ctx context.Context, tok *oauth2.Token) error {
	h := s.report(tok)
	if h == nil {
		return nil
	}
	if err := s.replaced(ctx, h); err != nil {
		return s.fail("reject", err)
	}
	return nil
}

// Rotate replaces the fleet's token, although it is valid: for an operator who
// knows why. When it returns nil, the new token is the fleet's, and the old one
// is adopted by nobody any more. A replica that holds the old one serves it
// until it looks: at once with [Options.Listen], else when the API refuses it,
// or at the beginning of its renewal window. The token endpoint does not revoke
// the old token; nothing but its expiry ends it.
func (s *Source) Rotate(ctx context.Context) error {
	// What is to be replaced is what the fleet has, which may be newer.
	views, err := s.client.look(ctx, s)
	if err != nil {
		return s.fail("rotate", err)
	}
	s.client.mu.Lock()
	s.merge(views[0])
	s.client.mu.Unlock()
	h := s.serve()
	if h == nil {
		if _, err := s.obtain(ctx); err != nil { // there is nothing to replace, so any token is new
			return s.fail("rotate", err)
		}
		return nil
	}
	s.client.mu.Lock()
	s.want(h, "rotated")
	s.client.mu.Unlock()
	if err := s.replaced(ctx, h); err != nil {
		return s.fail("rotate", err)
	}
	return nil
}

// String returns which token it is.
func (s *Source) String() string { return "source of " + s.cred.String() }

// Format prints String, whatever the verb.
func (s *Source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// serve returns the token in memory if it is valid by both clocks, and notes
// that it is in use.
func (s *Source) serve() *held {
	h := s.held.Load()
	if h == nil {
		return nil
	}
	if !h.used.Load() {
		h.used.Store(true)
	}
	wall := s.client.cache.wall()
	age := h.age(wall)
	if (age >= h.look || h.drifted(wall)) && !h.noticed.Swap(true) {
		s.client.mu.Lock()
		if s.at.IsZero() || h.drifted(wall) {
			s.schedule(0)
		}
		s.client.mu.Unlock()
	}
	if age >= h.plan.expire {
		return nil
	}
	return h
}

// obtain returns a valid token, and waits for one if need be.
func (s *Source) obtain(ctx context.Context) (*held, error) {
	h := s.serve()
	if h != nil {
		return h, nil
	}
	err := s.wait(ctx, func() (bool, *failure) {
		if h = s.valid(); h != nil {
			h.used.Store(true)
		}
		return h != nil, s.failure
	})
	return h, err
}

// replaced waits until s holds another token than h, which is unwanted.
func (s *Source) replaced(ctx context.Context, h *held) error {
	return s.wait(ctx, func() (bool, *failure) { return !h.same(s.held.Load()), s.refusal })
}

// wait waits until done says so, or says that it fails, for as long as it makes
// sense. It is called with client.mu held.
func (s *Source) wait(ctx context.Context, done func() (bool, *failure)) error {
	c := s.client
	limit := time.Now().Add(c.cache.opts.MaxWait)
	if deadline, ok := ctx.Deadline(); ok {
		limit = deadline
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.waiting++
	defer func() { s.waiting-- }()
	for {
		ok, f := done()
		if ok {
			return nil
		}
		if c.cache.ctx.Err() != nil {
			return ErrClosed
		}
		now := time.Now()
		switch failing := f != nil && now.Before(f.until); {
		case failing && f.hopeless(limit):
			return f.err
		case failing:
			if s.at.IsZero() || s.at.After(f.until) {
				s.scheduleAt(f.until)
			}
		case s.at.IsZero() || s.at.After(now):
			s.schedule(0)
		}
		change := s.change
		c.mu.Unlock()
		var err error
		select {
		case <-change:
		case <-c.cache.ctx.Done():
		case <-ctx.Done():
			err = fmt.Errorf("waiting for the fleet's token: %w", context.Cause(ctx))
		}
		c.mu.Lock()
		if err != nil {
			if ok, _ := done(); ok { // it came in the last moment
				return nil
			}
			return err
		}
	}
}

// report notes that the API refused tok. It returns the token in memory if that
// is tok, and nil if tok was replaced already.
func (s *Source) report(tok *oauth2.Token) *held {
	h := s.held.Load()
	if tok == nil || h == nil || h.token.AccessToken != tok.AccessToken {
		return nil
	}
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if s.refusal == nil || !time.Now().Before(s.refusal.until) {
		s.want(h, "rejected")
	}
	return h
}

// fail makes the error that callers see.
func (s *Source) fail(op string, err error) error {
	e := &Error{Op: op, Client: s.client.label, Audience: s.cred.Audience, Err: err}
	if h := s.held.Load(); h != nil && op != "token" && h.token.Expiry.After(s.client.cache.wall()) {
		e.ValidUntil = h.token.Expiry
	}
	return e
}

// urgency is how badly s needs a token request, if it does.
func (s *Source) urgency() quota.Priority {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	priority, _, _ := s.needs()
	return priority
}

// What follows is called with client.mu held.

// valid returns the token in memory if it is.
func (s *Source) valid() *held {
	if h := s.held.Load(); h != nil && h.age(s.client.cache.wall()) < h.plan.expire {
		return h
	}
	return nil
}

// idle reports whether nobody would miss a new token: one is valid and nobody
// asked for it in all its life, or none is and nobody waits for one.
func (s *Source) idle() bool {
	if h := s.valid(); h != nil {
		return !h.used.Load() && s.unwanted == nil && h.record.expires > 0
	}
	return s.waiting == 0
}

// needs returns how badly s needs a token request now, and why.
func (s *Source) needs() (quota.Priority, string, bool) {
	h := s.valid()
	if h == nil {
		return quota.Need, "cold", s.waiting > 0
	}
	if h.same(s.unwanted) {
		return quota.Forced, s.why, true
	}
	age := h.age(s.client.cache.wall())
	if age < h.look {
		return 0, "", false
	}
	priority, any := h.plan.need(age)
	return priority, priority.String(), any
}

// want asks for another token than h.
func (s *Source) want(h *held, why string) {
	if !h.same(s.unwanted) && h.same(s.held.Load()) {
		s.unwanted, s.why, s.refusal = h, why, nil
		s.schedule(0)
	}
}

// schedule asks for the flight's attention after d, and not earlier.
func (s *Source) schedule(d time.Duration) { s.scheduleAt(time.Now().Add(max(d, 0))) }

func (s *Source) scheduleAt(at time.Time) {
	s.at = at
	d := time.Until(at)
	if d <= 0 {
		if s.timer != nil {
			s.timer.Stop()
		}
		s.client.wake()
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(d, func() {
			s.client.mu.Lock()
			defer s.client.mu.Unlock()
			s.client.wake()
		})
		return
	}
	s.timer.Reset(d)
}

// rest asks for no attention.
func (s *Source) rest() {
	s.at = time.Time{}
	if s.timer != nil {
		s.timer.Stop()
	}
}

// tell wakes those who wait.
func (s *Source) tell() {
	close(s.change)
	s.change = make(chan struct{})
}
