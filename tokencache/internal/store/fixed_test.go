package store

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

// Replicas of different versions share the records in Redis, so the derivation of
// keys and the form of records never change. These records were written by an
// earlier version.
func TestRecordsAreFixed(t *testing.T) {
	derived, err := DeriveEncryptionKey("secret", "context")
	if err != nil {
		t.Fatal(err)
	}
	given, err := NewEncryptionKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, id, encrypted string
		key                 EncryptionKey
	}{
		{"derived", "e49194927904c3e7", "01e49194927904c3e7d89c7b2e4ea8061432b9e3fef003e6be005ddf21d5467307c081e40a40770189af96eca7189c9d4a02f76d153c24d2e724805748dfb9f8d93c7a774db30c24ea4f4600511eb7eeaa681fb1858f92e337b79f8c9e558c5ecb676bd6ab73b2d30fdf3be87a9dbacdb9ecbac7f6c19a92ff54d36be9f5a72fa39556dc5d01b5387833e5", derived},
		{"given", "da1d966df2d57a64", "01da1d966df2d57a641aee7f8c45a66068810bba928a27d7f2aa54d2101d0b68bd8d02ead782d6a052522784bd3be30fe05842574296759318357e220782d20dd5c0721a9f5947a88beaa0f46541372911faa198cbf84c15ab7073afd29c844961d36fc71de0703fabae188e55440ce60cc81a5dbb3311e22a6af48f1cc0e655c588cbeea6c5e655879141", given},
	} {
		if got := row.key.ID(); got != row.id {
			t.Errorf("%s: the key's id is %s, want %s", row.name, got, row.id)
		}
		encrypted, err := hex.DecodeString(row.encrypted)
		if err != nil {
			t.Fatal(err)
		}
		r, err := open(KeyRing{row.key}, "fleettoken:{x}:token:id", 1700000000000, 1700003600000, encrypted)
		if err != nil || r.AccessToken != "abc.def" || r.Type != "Bearer" || r.Lifetime != time.Hour || r.RequestedBy != "host-1" || r.Extra["scope"] != "read" || !r.Forced {
			t.Errorf("%s: got %v, %v, want the record", row.name, r, err)
		}
	}
}

// Replicas of different versions share the keys in Redis, so they never change.
func TestNamesAreFixed(t *testing.T) {
	names := NamesFor("fleettoken", "https://tenant.example/oauth/token", "client")
	token := NewToken(names, "id", nil)
	const base = "fleettoken:{9d8033191917d1ca7608fc99275c247d}:"
	for got, want := range map[string]string{
		names.Lock: "lock", names.Quota: "quota", names.Journal: "journal", names.Channel: "news",
		token.Key(): "token:id", token.MinIssuedKey(): "floor:id",
	} {
		if got != base+want {
			t.Errorf("got %s, want %s", got, base+want)
		}
	}
}
