package store

import (
	"fmt"
	"strconv"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
)

// A Token names one token of a client, and has the keys that its record is encrypted with.
type Token struct {
	ID string

	ring       KeyRing
	key, floor string
}

// NewToken returns the token with an id.
func NewToken(names Names, id string, ring KeyRing) *Token {
	return &Token{ID: id, ring: ring, key: names.token(id), floor: names.floor(id)}
}

// Key returns the key of the token's record, a hash.
func (t *Token) Key() string { return t.key }

// MinIssuedKey returns the key of the earliest issue that may be adopted.
func (t *Token) MinIssuedKey() string { return t.floor }

// Seal encrypts a record of t.
func (t *Token) Seal(r Record) ([]byte, error) { return seal(t.ring, t.key, r) }

// Open decrypts a record from Redis, given the time of Redis and the
// earliest issue that may be adopted.
func (t *Token) Open(issued, expires string, sealed []byte, now, minIssued int64) TokenSnapshot {
	s := TokenSnapshot{MinIssued: minIssued}
	s.decodeRecord(t, issued, expires, sealed, now)
	return s
}

// A Snapshot is what one read of Redis finds about some tokens of a client.
type Snapshot struct {
	Now    int64           // by the clock of Redis, Unix milliseconds
	Lease  time.Duration   // how long the lease is held; 0: it is free; negative: it has no end
	Quota  quota.Snapshot  // of the client's ledger
	Tokens []TokenSnapshot // as they were asked for
}

// A TokenSnapshot is what a Snapshot has about one token.
type TokenSnapshot struct {
	Record    *Record // nil: there is none, none that may be adopted, or none that can be read
	Problem   error   // why it cannot be read: ErrUnknownKey or ErrDamaged
	Damaged   []byte  // the encrypted record, if it is damaged
	MinIssued int64   // records issued earlier may not be adopted
}

// decode reads the reply of read.lua, which came at received, with so many fields of the
// ledger.
func decode(reply []string, fields int, received time.Time, scopes []quota.Scope, tokens []*Token) (Snapshot, error) {
	records := 2 + fields
	if len(reply) != records+4*len(tokens) {
		return Snapshot{}, fmt.Errorf("a reply of %d fields is not one of read.lua", len(reply))
	}
	now, err1 := strconv.ParseInt(reply[0], 10, 64)
	lease, err2 := strconv.ParseInt(reply[1], 10, 64)
	if err1 != nil || err2 != nil || now <= 0 {
		return Snapshot{}, fmt.Errorf("reply %q is not one of read.lua", reply[:2])
	}
	s := Snapshot{Now: now, Lease: millis(min(max(lease, -1), bearer.MaxLifetime.Milliseconds()))}
	s.Quota = quota.ParseSnapshot(scopes, reply[2:records], now, received)
	for i, t := range tokens {
		s.Tokens = append(s.Tokens, decodeToken(t, reply[records+4*i:], now))
	}
	return s, nil
}

func decodeToken(t *Token, fields []string, now int64) (s TokenSnapshot) {
	s.MinIssued, _ = strconv.ParseInt(fields[3], 10, 64) // none is zero
	switch {
	case fields[0] == "damaged":
		s.Problem = ErrDamaged
	case fields[0] != "" || fields[2] != "":
		return t.Open(fields[0], fields[1], []byte(fields[2]), now, s.MinIssued)
	}
	return s
}

func (s *TokenSnapshot) decodeRecord(t *Token, issued, expires string, sealed []byte, now int64) {
	i, err1 := strconv.ParseInt(issued, 10, 64)
	x, err2 := strconv.ParseInt(expires, 10, 64)
	r, err := open(t.ring, t.key, i, x, sealed)
	switch {
	case err1 != nil || err2 != nil:
		s.Problem, s.Damaged = ErrDamaged, sealed
	case err != nil:
		s.Problem, s.Damaged = err, sealed
	case i < s.MinIssued: // from before a forced renewal: it was put back
	case x <= now: // expired, and Redis has not noticed yet
	case x-now > bearer.MaxLifetime.Milliseconds(): // no token lives so long
		s.Problem, s.Damaged = ErrDamaged, sealed
	default:
		s.Record = &r
	}
}
