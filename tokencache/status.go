package tokencache

import (
	"context"
	"time"

	"github.com/fleettoken/fleettoken/lock"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// A Status is all there is to know about a source: what the fleet has, and what
// this replica makes of it. It never holds the token. All times are by this
// host's clock.
type Status struct {
	Client   string `json:"client"` // the end of its id
	Audience string `json:"audience,omitempty"`
	TokenURL string `json:"token_url"`
	TokenID  string `json:"token"` // names the token in the journal

	// Fleet is the fleet's token, nil if it has none. Problem says why it
	// cannot be read, if there is one that cannot.
	Fleet   *TokenStatus `json:"fleet"`
	Problem string       `json:"problem,omitempty"`

	// Local is the token in this replica's memory, nil if it has none.
	Local *TokenStatus `json:"local"`

	// Lease is the lease holder, nil if there is none.
	Lease *LeaseStatus `json:"lease"`

	Quota   quota.State   `json:"quota"`
	Journal []quota.Entry `json:"journal"` // the last token requests of this client, newest first
}

// A TokenStatus tells of a token.
type TokenStatus struct {
	Issued    time.Time     `json:"issued,omitzero"` // by the clock of Redis; zero if it was asked for past it
	By        string        `json:"by"`              // the replica that asked for it
	Lifetime  time.Duration `json:"life"`
	Age       time.Duration `json:"age"`
	Remaining time.Duration `json:"left"`
	Expires   time.Time     `json:"expires"`
	RenewFrom time.Time     `json:"renew_from"` // when the renewal window begins
}

// A LeaseStatus tells of the lease.
type LeaseStatus struct {
	Holder    string        `json:"holder"`
	Remaining time.Duration `json:"left"`
}

// journalShown is how many entries of the journal a Status has.
const journalShown = 20

// Status asks Redis for all there is to know. It makes no token request and
// changes nothing. If Redis is down, the error is a [*RedisError], and the
// Status has what this replica knows by itself.
func (s *Source) Status(ctx context.Context) (Status, error) {
	c := s.client
	status := Status{Client: c.label, Audience: s.cred.Audience, TokenURL: s.cred.TokenURL, TokenID: s.token.ID}
	if h := s.held.Load(); h != nil {
		status.Local = s.tokenStatus(h.Record, h.Left(c.cache.now()))
	}
	read, err := c.fetch(ctx, s)
	if err != nil {
		return status, err
	}
	switch v := read.of(0); {
	case v.Record != nil:
		status.Fleet = s.tokenStatus(*v.Record, time.Duration(v.Record.Expires-v.Now)*time.Millisecond-(c.cache.now().Mono-v.At.Mono))
	case v.Problem == replica.UnknownKey:
		status.Problem = ErrEncryptionKey.Error()
	case v.Problem != replica.Readable:
		status.Problem = "the record is damaged; it is replaced when a token is needed"
	}
	type heldBy struct {
		lock.Holder
		held bool
	}
	holder, err := call(ctx, c.cache, func(ctx context.Context) (heldBy, error) {
		h, held, err := c.cache.locker.Holder(ctx, c.names.Lock)
		return heldBy{h, held}, err
	})
	if err != nil {
		return status, err
	}
	if holder.held {
		status.Lease = &LeaseStatus{Holder: holder.ID, Remaining: holder.Remaining}
	}
	if status.Quota, err = call(ctx, c.cache, c.ledger.Peek); err != nil {
		return status, err
	}
	status.Journal, err = call(ctx, c.cache, func(ctx context.Context) ([]quota.Entry, error) {
		return c.ledger.Journal(ctx, journalShown)
	})
	if status.Journal == nil {
		status.Journal = []quota.Entry{} // for JSON, an empty list is not null
	}
	return status, err
}

func (s *Source) tokenStatus(r replica.Record, remaining time.Duration) *TokenStatus {
	cache := s.client.cache
	now := cache.wall().Round(0)
	return &TokenStatus{
		Issued: issuedAt(r), By: r.Payload.(*payload).requestedBy, Lifetime: r.Lifetime, Age: r.Lifetime - remaining, Remaining: remaining,
		Expires: now.Add(remaining), RenewFrom: now.Add(remaining - cache.terms.Window(r.Lifetime)),
	}
}
