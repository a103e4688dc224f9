package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Names are the keys of one client of a token endpoint. They carry one hash tag, so
// that a script can see a token and its client's quota together, also in a Redis
// Cluster. What a name stands for is hashed: no client id, URL or audience is in a key,
// and none of them can break out of the hash tag.
type Names struct {
	Lock    string // the lease
	Quota   string // the ledger, a hash
	Journal string // who requested tokens, a stream
	Channel string // where notifications are published

	base string
}

// NamesFor returns the names of the keys of one client.
func NamesFor(prefix, tokenURL, clientID string) Names {
	base := prefix + ":{" + Hash(tokenURL, clientID) + "}:"
	return Names{Lock: base + "lock", Quota: base + "quota", Journal: base + "journal", Channel: base + "news", base: base}
}

func (n Names) token(id string) string { return n.base + "token:" + id }

func (n Names) floor(id string) string { return n.base + "floor:" + id }

// Hash returns a short name for a list of fields. Two lists have the same name
// only if they are the same list: each field goes in with its length, so that
// ("ab", "c") is not ("a", "bc").
func Hash(fields ...string) string {
	h := sha256.New()
	var length [8]byte
	for _, field := range fields {
		binary.BigEndian.PutUint64(length[:], uint64(len(field)))
		h.Write(length[:])
		h.Write([]byte(field))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
