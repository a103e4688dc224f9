package tokencache

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/seal"
)

// A record is the fleet's token as Redis keeps it: its epoch and expiry in
// clear, since they decide which of two records is the newer one, and the rest
// sealed and bound to them.
type record struct {
	epoch   int64 // how many forced renewals came before
	expires int64 // Unix milliseconds, by the clock of Redis; zero if it was not asked yet
	body    body
}

// body is what is sealed.
type body struct {
	Token string         `json:"token"`
	Type  string         `json:"type"`
	TTL   int64          `json:"ttl"` // milliseconds from request to expiry
	By    string         `json:"by"`  // who asked for it
	Extra map[string]any `json:"extra,omitempty"`
}

func (r record) ttl() time.Duration { return time.Duration(r.body.TTL) * time.Millisecond }

// order says which of two records is the newer one: a later epoch wins, then a
// later expiry. It is the whole merge: commutative, associative and idempotent,
// so a fleet whose lease was broken still comes to hold one token. commit.lua
// decides in the same way.
func (r record) order(other record) int {
	switch {
	case r.epoch != other.epoch:
		return compare(r.epoch, other.epoch)
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
	sealed := ring.Seal(plain, key, strconv.FormatInt(r.epoch, 10), strconv.FormatInt(r.expires, 10))
	if len(sealed) > maxSealed {
		return nil, fmt.Errorf("a token of %d bytes is too large to share", len(r.body.Token))
	}
	return sealed, nil
}

// openRecord is the way back. The error is seal.ErrUnknownKey if somebody has
// other keys, and seal.ErrDamaged if the record is nothing that we would write.
func openRecord(ring seal.Ring, key string, epoch, expires int64, sealed []byte) (record, error) {
	r := record{epoch: epoch, expires: expires}
	plain, err := ring.Open(sealed, key, strconv.FormatInt(epoch, 10), strconv.FormatInt(expires, 10))
	if err != nil {
		return record{}, err
	}
	if err := json.Unmarshal(plain, &r.body); err != nil {
		return record{}, fmt.Errorf("%w: %w", seal.ErrDamaged, errors.New("not the JSON of a record"))
	}
	if !bearerCharset(r.body.Token) || r.body.TTL <= 0 || r.ttl() > maxLife || epoch < 0 || expires <= 0 {
		return record{}, fmt.Errorf("%w: an impossible record", seal.ErrDamaged)
	}
	return r, nil
}
