package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
)

// Whoever has a encryption key can forge a token. A record is not believed all the
// same, if it could do more than that.
func impossibleRecords(t *testing.T) {
	key, _ := DeriveEncryptionKey("secret", "context")
	ring := KeyRing{key}
	for _, impossible := range []body{
		{Token: "", Type: bearer.Type, TTL: 1}, {Token: "a b", Type: bearer.Type, TTL: 1}, {Token: "a\r\nX-Evil: 1", Type: bearer.Type, TTL: 1},
		{Token: "a", Type: bearer.Type}, {Token: "a", Type: bearer.Type, TTL: -1}, {Token: "a", Type: bearer.Type, TTL: bearer.MaxLifetime.Milliseconds() + 1}, {Token: "a", Type: bearer.Type, TTL: 1 << 62},
		{Token: "a", TTL: 1}, {Token: "a", Type: "mac", TTL: 1}, {Token: "a", Type: "Bearer x\r\nX-Evil:", TTL: 1},
	} {
		plain, _ := json.Marshal(impossible)
		if _, err := open(ring, "key", 0, 1, ring.encrypt(plain, "key", "0", "1")); !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: got %v, want damage", impossible, err)
		}
	}
	plain, _ := json.Marshal(body{Token: "a", Type: bearer.Type, TTL: 1})
	for _, times := range [][2]int64{{-1, 1}, {0, 0}, {0, -1}} {
		i, x := times[0], times[1]
		if _, err := open(ring, "key", i, x, ring.encrypt(plain, "key", fmt.Sprint(i), fmt.Sprint(x))); !errors.Is(err, ErrDamaged) {
			t.Errorf("issued %d, expires %d: got %v, want damage", i, x, err)
		}
	}
}

// Each character there is, in a token from Redis.
func everyCharacter(t *testing.T) {
	key, _ := DeriveEncryptionKey("secret", "context")
	ring := KeyRing{key}
	for c := range rune(0x180) {
		good := c > ' ' && c <= '~'
		for _, token := range []string{"a" + string(c) + "b", string(c) + "ab", "ab" + string(c), "ab" + string(c) + "=="} {
			plain, _ := json.Marshal(body{Token: token, Type: bearer.Type, TTL: 1})
			if r, err := open(ring, "key", 1, 2, ring.encrypt(plain, "key", "1", "2")); (err == nil) != good {
				t.Errorf("%q from Redis: got %q, %v", token, r.AccessToken, err)
			}
		}
	}
	for _, raw := range []string{"a\x80b", "a\xffb", "a\xc3", "a\x00b"} { // what is no text at all
		if bearer.Valid(raw) {
			t.Errorf("%q passes", raw)
		}
	}
}
