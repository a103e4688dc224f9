package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
)

// A Record is the fleet's token as Redis keeps it: its times in clear, since they decide
// which of two records is newer, and the rest encrypted and bound to them.
type Record struct {
	// Issued is when the token was requested, and Expires when it expires: Unix
	// milliseconds by the clock of Redis.
	Issued, Expires int64

	AccessToken string
	Type        string         // bearer.Type
	Lifetime    time.Duration  // from when it was requested
	RequestedBy string         // the replica that requested it
	Extra       map[string]any // the other fields of the token response

	// Forced is set if the token replaced one that was still valid. Records issued
	// earlier are not adopted any more.
	Forced bool
}

// Compare returns -1 if r is older than other, 1 if it is newer, and 0 if neither is.
// The later issue is newer, and of equal issues the later expiry, as commit.lua has it.
func (r Record) Compare(other Record) int {
	return cmp.Or(cmp.Compare(r.Issued, other.Issued), cmp.Compare(r.Expires, other.Expires))
}

// String shows nothing of the token.
func (r Record) String() string { return fmt.Sprintf("record issued at %d", r.Issued) }

// GoString returns String.
func (r Record) GoString() string { return r.String() }

// Format prints String, whatever the verb.
func (r Record) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue returns String.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText returns String. It is what encoding/json and others write.
func (r Record) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// body is what is encrypted of a record.
type body struct {
	Token  string         `json:"token"`
	Type   string         `json:"type"`
	TTL    int64          `json:"ttl"` // milliseconds
	By     string         `json:"by"`
	Extra  map[string]any `json:"extra,omitempty"`
	Forced bool           `json:"forced,omitempty"`
}

// ErrTooLarge means that a token response is too large to share: its token, or its other
// fields.
var ErrTooLarge = errors.New("the token response is too large for Redis")

// MaxRecordSize bounds an encrypted record, in bytes.
const MaxRecordSize = 128 << 10

// seal encrypts r for the key it goes to.
func seal(ring KeyRing, key string, r Record) ([]byte, error) {
	plain, err := json.Marshal(body{r.AccessToken, r.Type, r.Lifetime.Milliseconds(), r.RequestedBy, r.Extra, r.Forced})
	if err != nil {
		return nil, err
	}
	sealed := ring.encrypt(plain, key, strconv.FormatInt(r.Issued, 10), strconv.FormatInt(r.Expires, 10))
	if len(sealed) > MaxRecordSize {
		return nil, fmt.Errorf("%w: it has %d bytes, and %d at most can be shared", ErrTooLarge, len(sealed), MaxRecordSize)
	}
	return sealed, nil
}

// open is the inverse of seal. The error is ErrUnknownKey, or ErrDamaged if the record is
// not one that seal makes.
func open(ring KeyRing, key string, issued, expires int64, sealed []byte) (Record, error) {
	plain, err := ring.decrypt(sealed, key, strconv.FormatInt(issued, 10), strconv.FormatInt(expires, 10))
	if err != nil {
		return Record{}, err
	}
	var b body
	if err := json.Unmarshal(plain, &b); err != nil {
		return Record{}, fmt.Errorf("%w: it is not the JSON of a record", ErrDamaged)
	}
	if !bearer.Valid(b.Token) || b.Type != bearer.Type || b.TTL <= 0 || b.TTL > bearer.MaxLifetime.Milliseconds() || issued < 0 || expires <= 0 {
		return Record{}, fmt.Errorf("%w: it has impossible fields", ErrDamaged)
	}
	return Record{
		Issued: issued, Expires: expires, AccessToken: b.Token, Type: b.Type, Lifetime: millis(b.TTL),
		RequestedBy: b.By, Extra: b.Extra, Forced: b.Forced,
	}, nil
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
