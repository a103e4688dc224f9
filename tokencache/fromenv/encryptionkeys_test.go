package fromenv

import (
	"strings"
	"testing"
)

func TestParseEncryptionKey(t *testing.T) {
	const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	url := strings.NewReplacer("+", "-", "/", "_").Replace("//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA")
	for _, line := range []string{key, strings.TrimRight(key, "="), url, "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"} {
		if got, err := parseEncryptionKey(line); err != nil || len(got) != encryptionKeySize {
			t.Errorf("%s: got %d bytes, %v", line, len(got), err)
		}
	}
	for _, line := range []string{"x", "0001", key + key, "Ä"} {
		if got, err := parseEncryptionKey(line); err == nil {
			t.Errorf("%s: got %d bytes, want an error", line, len(got))
		}
	}
}

// Whatever is in a file of encryption keys, none of it is in an error, and what is
// read is a key.
func FuzzEncryptionKey(f *testing.F) {
	f.Add(strings.Repeat("ab", 32))
	f.Add("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	f.Add("a secret that is none")
	f.Fuzz(func(t *testing.T, line string) {
		key, err := parseEncryptionKey(line)
		if err == nil && len(key) != encryptionKeySize {
			t.Errorf("%q: got a key of %d bytes", line, len(key))
		}
		if err != nil && len(line) > 8 && strings.Contains(err.Error(), line) {
			t.Errorf("%q: got %v, which shows it", line, err)
		}
	})
}
