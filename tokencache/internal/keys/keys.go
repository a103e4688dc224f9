// Package keys names what a fleet keeps in Redis.
//
// All keys of one client carry one hash tag, so that a script can see a token
// and its client's quota together, also in a Redis Cluster. What a name stands
// for is hashed: no client id, URL or audience is in a key, and none of them can
// break out of the hash tag.
package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// A Client names the keys of one client of a token endpoint.
type Client struct {
	Lock    string // the lease
	Quota   string // the ledger, a hash
	Journal string // who asked for a token, a stream
	News    string // a channel

	base string
}

// ForClient returns the names of the keys of one client.
func ForClient(prefix, tokenURL, clientID string) Client {
	base := prefix + ":{" + Hash(tokenURL, clientID) + "}:"
	return Client{Lock: base + "lock", Quota: base + "quota", Journal: base + "journal", News: base + "news", base: base}
}

// Token returns the key of the token with the given id, a hash.
func (c Client) Token(id string) string { return c.base + "token:" + id }

// Floor returns the key of the moment before which no token that may be adopted
// was issued.
func (c Client) Floor(id string) string { return c.base + "floor:" + id }

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
