package seal

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func key(t testing.TB, fill byte) Key {
	t.Helper()
	k, err := New(bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealOpens(t *testing.T) {
	a, b := key(t, 1), key(t, 2)
	sealed := Ring{a}.Seal([]byte("token"), "t1", "7")
	for _, row := range []struct {
		name  string
		ring  Ring
		value []byte
		place []string
		want  error
	}{
		{"the same key and place", Ring{a}, sealed, []string{"t1", "7"}, nil},
		{"the key is the second one", Ring{b, a}, sealed, []string{"t1", "7"}, nil},
		{"another key", Ring{b}, sealed, []string{"t1", "7"}, ErrUnknownKey},
		{"no key", nil, sealed, []string{"t1", "7"}, ErrUnknownKey},
		{"moved to another place", Ring{a}, sealed, []string{"t2", "7"}, ErrDamaged},
		{"a place that only joins to the same text", Ring{a}, sealed, []string{"t17"}, ErrDamaged},
		{"shifted fields", Ring{a}, sealed, []string{"t", "17"}, ErrDamaged},
		{"empty", Ring{a}, nil, []string{"t1", "7"}, ErrDamaged},
		{"cut", Ring{a}, sealed[:20], []string{"t1", "7"}, ErrDamaged},
		{"cut after the key's id", Ring{a}, sealed[:9], []string{"t1", "7"}, ErrDamaged},
		{"another version", Ring{a}, append([]byte{2}, sealed[1:]...), []string{"t1", "7"}, ErrDamaged},
		{"in clear", Ring{a}, []byte("token"), []string{"t1", "7"}, ErrDamaged},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := row.ring.Open(row.value, row.place...)
			if !errors.Is(err, row.want) || err == nil && string(got) != "token" {
				t.Errorf("Open: got %q, %v, want error %v", got, err, row.want)
			}
		})
	}
	for i := range sealed {
		spoiled := bytes.Clone(sealed)
		spoiled[i] ^= 1
		if got, err := (Ring{a}).Open(spoiled, "t1", "7"); err == nil {
			t.Fatalf("with byte %d spoiled: got %q", i, got)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := make(map[string]string)
	add := func(name string, k Key, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[k.ID()]; ok {
			t.Errorf("%s and %s have the same id", name, other)
		}
		seen[k.ID()] = name
	}
	k, err := Derive("secret", "a")
	add("secret in a", k, err)
	k, err = Derive("secret", "b")
	add("secret in b", k, err)
	k, err = Derive("other", "a")
	add("other in a", k, err)
	k, err = New([]byte("0123456789abcdef0123456789abcdef"))
	add("given", k, err)
	k, err = Derive("0123456789abcdef0123456789abcdef", "")
	add("the same bytes as a client secret", k, err)
	again, _ := Derive("secret", "a")
	if seen[again.ID()] != "secret in a" {
		t.Error("the same secret and context gave another key")
	}
	if _, err := New([]byte("short")); err == nil {
		t.Error("a short key was accepted")
	}
}

func TestNoncesAreNotReused(t *testing.T) {
	ring := Ring{key(t, 1)}
	seen := make(map[string]bool)
	for range 10000 {
		nonce := string(ring.Seal(nil)[1+idSize : 1+idSize+12])
		if seen[nonce] {
			t.Fatal("a nonce was used twice")
		}
		seen[nonce] = true
	}
}

func TestKeysCannotBePrinted(t *testing.T) {
	secret := "a-canary-of-thirty-two-bytes-123"
	k, err := New([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, Ring{k})
		if bytes.Contains([]byte(text), []byte("canary")) || bytes.Contains([]byte(text), fmt.Appendf(nil, "%x", secret)) {
			t.Errorf("%s shows the key: %s", verb, text)
		}
	}
}

func FuzzOpen(f *testing.F) {
	ring := Ring{key(f, 1)}
	f.Add(ring.Seal([]byte("token"), "t1"))
	f.Add([]byte{version})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		plaintext, err := ring.Open(sealed, "t2")
		if err == nil {
			t.Errorf("Open(%x) somewhere else: got %q", sealed, plaintext)
		}
	})
}
