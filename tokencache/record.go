package tokencache

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/seal"
)

// A record is the fleet's token as Redis keeps it: when it was issued and when it
// expires in clear, since they decide which of two records is the newer one, and
// the rest sealed and bound to them.
type record struct {
	issued  int64 // when it was asked for, and
	expires int64 // when it expires: Unix milliseconds, by the clock of Redis; zero if it was not asked yet
	body    body
}

// body is what is sealed.
type body struct {
	Token string         `json:"token"`
	Type  string         `json:"type"`
	TTL   int64          `json:"ttl"` // milliseconds from request to expiry
	By    string         `json:"by"`  // who asked for it
	Extra map[string]any `json:"extra,omitempty"`

	// Forced says that the token before it was replaced although it was valid:
	// nothing that was issued before this one is adopted any more.
	Forced bool `json:"forced,omitempty"`
}

// asked returns when it was asked for, by the clock of Redis. That of a token
// asked for while Redis was away is not known until Redis is back.
func (r record) asked() time.Time {
	if r.issued == 0 {
		return time.Time{}
	}
	return time.UnixMilli(r.issued).UTC()
}

func (r record) ttl() time.Duration { return time.Duration(r.body.TTL) * time.Millisecond }

// order says which of two records is the newer one: the one that was issued
// later, and of those issued at once the one that expires later. It is the whole
// merge: commutative, associative and idempotent, so a fleet whose lease was
// broken still comes to hold one token. commit.lua decides in the same way.
//
// The expiry alone would not do: a token that replaces one that is compromised,
// or that the provider gives a shorter life, may expire first. A count of forced
// renewals would not do either: when Redis has lost it, a replica that has not
// heard of the last one counts on from the one before.
func (r record) order(other record) int {
	switch {
	case r.issued != other.issued:
		return compare(r.issued, other.issued)
	default:
		return compare(r.expires, other.expires)
	}
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// maxSealed bounds what is taken from Redis and put there.
const maxSealed = 128 << 10

// sealRecord seals r for the key it goes to.
func sealRecord(ring seal.Ring, key string, r record) ([]byte, error) {
	plain, err := json.Marshal(r.body)
	if err != nil {
		return nil, err
	}
	sealed := ring.Seal(plain, key, strconv.FormatInt(r.issued, 10), strconv.FormatInt(r.expires, 10))
	if len(sealed) > maxSealed {
		return nil, fmt.Errorf("a token of %d bytes is too large to share", len(r.body.Token))
	}
	return sealed, nil
}

// openRecord is the way back. The error is seal.ErrUnknownKey if somebody has
// other keys, and seal.ErrDamaged if the record is nothing that we would write.
func openRecord(ring seal.Ring, key string, issued, expires int64, sealed []byte) (record, error) {
	r := record{issued: issued, expires: expires}
	plain, err := ring.Open(sealed, key, strconv.FormatInt(issued, 10), strconv.FormatInt(expires, 10))
	if err != nil {
		return record{}, err
	}
	if err := json.Unmarshal(plain, &r.body); err != nil {
		return record{}, fmt.Errorf("%w: %w", seal.ErrDamaged, errors.New("not the JSON of a record"))
	}
	if !bearerCharset(r.body.Token) || r.body.Type != bearer || r.body.TTL <= 0 || r.body.TTL > maxLife.Milliseconds() || issued < 0 || expires <= 0 {
		return record{}, fmt.Errorf("%w: an impossible record", seal.ErrDamaged)
	}
	return r, nil
}
