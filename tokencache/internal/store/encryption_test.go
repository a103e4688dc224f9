package store

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fleettoken/fleettoken/e2e/canary"
)

func key(t testing.TB, fill byte) EncryptionKey {
	t.Helper()
	k, err := NewEncryptionKey(bytes.Repeat([]byte{fill}, EncryptionKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealOpens(t *testing.T) {
	a, b := key(t, 1), key(t, 2)
	sealed := KeyRing{a}.encrypt([]byte("token"), "t1", "7")
	for _, row := range []struct {
		name  string
		ring  KeyRing
		value []byte
		place []string
		want  error
	}{
		{"the same key and place", KeyRing{a}, sealed, []string{"t1", "7"}, nil},
		{"the key is the second one", KeyRing{b, a}, sealed, []string{"t1", "7"}, nil},
		{"another key", KeyRing{b}, sealed, []string{"t1", "7"}, ErrUnknownKey},
		{"no key", nil, sealed, []string{"t1", "7"}, ErrUnknownKey},
		{"moved to another place", KeyRing{a}, sealed, []string{"t2", "7"}, ErrDamaged},
		{"a place that only joins to the same text", KeyRing{a}, sealed, []string{"t17"}, ErrDamaged},
		{"shifted fields", KeyRing{a}, sealed, []string{"t", "17"}, ErrDamaged},
		{"empty", KeyRing{a}, nil, []string{"t1", "7"}, ErrDamaged},
		{"cut", KeyRing{a}, sealed[:20], []string{"t1", "7"}, ErrDamaged},
		{"cut after the key's id", KeyRing{a}, sealed[:9], []string{"t1", "7"}, ErrDamaged},
		{"another version", KeyRing{a}, append([]byte{2}, sealed[1:]...), []string{"t1", "7"}, ErrDamaged},
		{"in clear", KeyRing{a}, []byte("token"), []string{"t1", "7"}, ErrDamaged},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := row.ring.decrypt(row.value, row.place...)
			if !errors.Is(err, row.want) || err == nil && string(got) != "token" {
				t.Errorf("Open: got %q, %v, want error %v", got, err, row.want)
			}
		})
	}
	for i := range sealed {
		spoiled := bytes.Clone(sealed)
		spoiled[i] ^= 1
		if got, err := (KeyRing{a}).decrypt(spoiled, "t1", "7"); err == nil {
			t.Fatalf("with byte %d spoiled: got %q", i, got)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := make(map[string]string)
	add := func(name string, k EncryptionKey, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[k.ID()]; ok {
			t.Errorf("%s and %s have the same id", name, other)
		}
		seen[k.ID()] = name
	}
	k, err := DeriveEncryptionKey("secret", "a")
	add("secret in a", k, err)
	k, err = DeriveEncryptionKey("secret", "b")
	add("secret in b", k, err)
	k, err = DeriveEncryptionKey("other", "a")
	add("other in a", k, err)
	k, err = NewEncryptionKey([]byte("0123456789abcdef0123456789abcdef"))
	add("given", k, err)
	k, err = DeriveEncryptionKey("0123456789abcdef0123456789abcdef", "")
	add("the same bytes as a client secret", k, err)
	again, _ := DeriveEncryptionKey("secret", "a")
	if seen[again.ID()] != "secret in a" {
		t.Error("the same secret and context gave another key")
	}
	if _, err := NewEncryptionKey([]byte("short")); err == nil {
		t.Error("a short key was accepted")
	}
}

// TestThreat tells what comes of some threats; their numbers are those of
// TestThreat in tokencache.
func TestThreat(t *testing.T) {
	t.Run("S03 a secret in what is printed", keysCannotBePrinted)
	t.Run("S05 a nonce used twice", noncesAreNotReused)
	t.Run("S06 a key that is tried out", keysAreNotTried)
	t.Run("S09 a replica that encrypts what cannot be", impossibleRecords)
	t.Run("S21 a header injected by a token", everyCharacter)
}

// Nonces are random, so a key is good for 2^32 of them: at one a second, for
// longer than a century.
func noncesAreNotReused(t *testing.T) {
	ring := KeyRing{key(t, 1)}
	n := 1000000
	if testing.Short() {
		n = 10000
	}
	seen := make(map[[12]byte]struct{}, n)
	for range n {
		seen[[12]byte(ring.encrypt(nil)[1+idSize:])] = struct{}{}
	}
	if len(seen) != n {
		t.Errorf("%d nonces of %d were used twice", n-len(seen), n)
	}
}

// A watched cipher counts how often it is asked to open.
type watched struct {
	cipher.AEAD
	opened int
}

func (w *watched) Open(dst, nonce, ciphertext, data []byte) ([]byte, error) {
	w.opened++
	return w.AEAD.Open(dst, nonce, ciphertext, data)
}

// The key is chosen by its id. No other one is tried, and one that has the id of
// another opens nothing that the other has sealed: the id is sealed, too.
func keysAreNotTried(t *testing.T) {
	a, b := key(t, 1), key(t, 2)
	sealed := KeyRing{a}.encrypt([]byte("token"), "t1")
	spy := &watched{AEAD: b.aead}
	b.aead = spy
	if _, err := (KeyRing{b}).decrypt(sealed, "t1"); !errors.Is(err, ErrUnknownKey) || spy.opened != 0 {
		t.Errorf("a key of another id: got %v, and it was tried %d times", err, spy.opened)
	}
	if got, err := (KeyRing{b, a}).decrypt(sealed, "t1"); err != nil || string(got) != "token" || spy.opened != 0 {
		t.Errorf("beside the right one: got %q, %v, and it was tried %d times", got, err, spy.opened)
	}
	for i := range idSize { // somebody changes the id
		spoiled := bytes.Clone(sealed)
		spoiled[1+i] ^= 1
		if _, err := (KeyRing{b, a}).decrypt(spoiled, "t1"); !errors.Is(err, ErrUnknownKey) || spy.opened != 0 {
			t.Errorf("with byte %d of its id changed: got %v, and a key was tried %d times", i, err, spy.opened)
		}
	}
	renamed := append(append([]byte{version}, b.id[:]...), sealed[1+idSize:]...)
	if _, err := (KeyRing{b, a}).decrypt(renamed, "t1"); !errors.Is(err, ErrDamaged) || spy.opened != 1 {
		t.Errorf("under the id of another key: got %v, and that was tried %d times", err, spy.opened)
	}
	twin := EncryptionKey{id: a.id, aead: b.aead} // two keys with one id
	if got, err := (KeyRing{twin}).decrypt(sealed, "t1"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a key that has the same id: got %q, %v", got, err)
	}
	same := EncryptionKey{id: b.id, aead: a.aead} // one key with two ids
	if got, err := (KeyRing{same}).decrypt(renamed, "t1"); !errors.Is(err, ErrDamaged) {
		t.Errorf("the right key under another id: got %q, %v", got, err)
	}
}

func keysCannotBePrinted(t *testing.T) {
	secret := canary.New()[:EncryptionKeySize]
	k, err := NewEncryptionKey([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{k, &k, KeyRing{k}, struct{ K EncryptionKey }{k}} {
			canary.Check(t, verb, canary.In(fmt.Sprintf(verb, v)), canary.Of("encryption key", secret))
		}
	}
}

// Nothing opens but what was sealed, and that only where it was.
func FuzzDecrypt(f *testing.F) {
	a, b := key(f, 1), key(f, 2)
	sealed := KeyRing{a}.encrypt([]byte("token"), "t1")
	f.Add(sealed, []byte("token"), "t1", "t2")
	f.Add([]byte{version}, []byte{}, "", "")
	f.Add([]byte{}, []byte("token"), "t1", "")
	f.Fuzz(func(t *testing.T, value, plain []byte, place, other string) {
		if got, err := (KeyRing{b, a}).decrypt(value, place, other); err == nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrUnknownKey) {
			t.Errorf("Open(%x): got %q, %v", value, got, err)
		}
		sealed := KeyRing{a}.encrypt(plain, place, other)
		if got, err := (KeyRing{b, a}).decrypt(sealed, place, other); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%q sealed for %q: got %q, %v", plain, place, got, err)
		}
		for _, elsewhere := range [][]string{{place}, {place + other}, {other, place}, {place, other, ""}, {place + "x", other}} {
			if slices.Equal(elsewhere, []string{place, other}) {
				continue
			}
			if got, err := (KeyRing{a}).decrypt(sealed, elsewhere...); err == nil {
				t.Errorf("sealed for %q, opened at %q: %q", []string{place, other}, elsewhere, got)
			}
		}
		if len(value) > 0 { // spoilt somewhere
			at := int(value[0]) % len(sealed)
			sealed[at] ^= 1 << (len(value) % 8)
			if got, err := (KeyRing{b, a}).decrypt(sealed, place, other); err == nil {
				t.Errorf("byte %d spoilt: got %q", at, got)
			}
		}
	})
}
