package tokencache

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
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

// A TokenStatus describes a token. In JSON its durations are in seconds.
type TokenStatus struct {
	Issued    time.Time     // by the clock of Redis; zero if it was requested while Redis was down
	By        string        // the replica that requested it
	Lifetime  time.Duration // whole, from its issue to its expiry
	Age       time.Duration
	Remaining time.Duration
	Expires   time.Time
	RenewFrom time.Time // when the renewal window begins
}

// MarshalJSON returns the status with durations in seconds.
func (t TokenStatus) MarshalJSON() ([]byte, error) {
	return json.Marshal(tokenStatusJSON{t.Issued, t.By, seconds(t.Lifetime), seconds(t.Age), seconds(t.Remaining), t.Expires, t.RenewFrom})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *TokenStatus) UnmarshalJSON(data []byte) error {
	var j tokenStatusJSON
	err := json.Unmarshal(data, &j)
	*t = TokenStatus{j.Issued, j.By, time.Duration(j.Lifetime), time.Duration(j.Age), time.Duration(j.Remaining), j.Expires, j.RenewFrom}
	return err
}

type tokenStatusJSON struct {
	Issued    time.Time `json:"issued,omitzero"`
	By        string    `json:"by"`
	Lifetime  seconds   `json:"life"`
	Age       seconds   `json:"age"`
	Remaining seconds   `json:"left"`
	Expires   time.Time `json:"expires"`
	RenewFrom time.Time `json:"renew_from"`
}

// A LeaseStatus describes the lease. In JSON its duration is in seconds.
type LeaseStatus struct {
	Holder    string // the replica that holds it
	Remaining time.Duration
}

// MarshalJSON returns the status with durations in seconds.
func (l LeaseStatus) MarshalJSON() ([]byte, error) {
	return json.Marshal(leaseStatusJSON{l.Holder, seconds(l.Remaining)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *LeaseStatus) UnmarshalJSON(data []byte) error {
	var j leaseStatusJSON
	err := json.Unmarshal(data, &j)
	*l = LeaseStatus{j.Holder, time.Duration(j.Remaining)}
	return err
}

type leaseStatusJSON struct {
	Holder    string  `json:"holder"`
	Remaining seconds `json:"left"`
}

// seconds is a duration that is a number of seconds in JSON, to the millisecond.
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Round(time.Millisecond).Seconds(), 'f', -1, 64), nil
}

func (s *seconds) UnmarshalJSON(data []byte) error {
	var f float64
	err := json.Unmarshal(data, &f)
	*s = seconds(math.Round(f*1000)) * seconds(time.Millisecond)
	return err
}

// journalShown is how many entries of the journal a Status has.
const journalShown = 20

// Status asks Redis for all there is to know. It makes no token request and
// changes nothing. If Redis is down, the error is a [*RedisError], and the
// Status has what this replica knows by itself.
func (s *Source) Status(ctx context.Context) (Status, error) {
	c := s.client
	status := Status{Client: c.reporter.label, Audience: s.cred.Audience, TokenURL: s.cred.TokenURL, TokenID: s.token.ID}
	if h := s.held.Load(); h != nil {
		status.Local = s.tokenStatus(h.Record, h.Left(c.host.now()))
	}
	read, err := c.fetch(ctx, &s.source)
	if err != nil {
		return status, err
	}
	switch v := read.of(0); {
	case v.Record != nil:
		status.Fleet = s.tokenStatus(*v.Record, time.Duration(v.Record.Expires-v.Now)*time.Millisecond-(c.host.now().Mono-v.At.Mono))
	case v.Problem == replica.UnknownKey:
		status.Problem = ErrEncryptionKey.Error()
	case v.Problem != replica.Readable:
		status.Problem = "the record is damaged; it is replaced when a token is needed"
	}
	type heldBy struct {
		lock.Holder
		held bool
	}
	holder, err := call(ctx, c.host, func(ctx context.Context) (heldBy, error) {
		h, held, err := c.host.locker.Holder(ctx, c.names.Lock)
		return heldBy{h, held}, err
	})
	if err != nil {
		return status, err
	}
	if holder.held {
		status.Lease = &LeaseStatus{Holder: holder.ID, Remaining: holder.Remaining}
	}
	if status.Quota, err = call(ctx, c.host, c.ledger.Peek); err != nil {
		return status, err
	}
	status.Journal, err = call(ctx, c.host, func(ctx context.Context) ([]quota.Entry, error) {
		return c.ledger.Journal(ctx, journalShown)
	})
	if status.Journal == nil {
		status.Journal = []quota.Entry{} // for JSON, an empty list is not null
	}
	return status, err
}

func (s *Source) tokenStatus(r replica.Record, remaining time.Duration) *TokenStatus {
	host := s.client.host
	now := host.wall().Round(0)
	return &TokenStatus{
		Issued: issuedAt(r), By: r.Payload.(*payload).requestedBy, Lifetime: r.Lifetime, Age: r.Lifetime - remaining, Remaining: remaining,
		Expires: now.Add(remaining), RenewFrom: now.Add(remaining - host.terms.Window(r.Lifetime)),
	}
}
