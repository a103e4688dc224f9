package fromenv

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// encryptionKeySize is the size of an encryption key, in bytes.
const encryptionKeySize = 32

// encryptionKeys reads the file of encryption keys: one a line, in base64 or hex, with
// empty lines and comments between them. The text of a line is in no error.
func encryptionKeys(s settings, found *findings) (keys [][]byte) {
	const setting, advice = "ENCRYPTION_KEYS_FILE", "make a key with: openssl rand -base64 32"
	if s.EncryptionKeysFile == "" {
		return nil
	}
	data, ok := readSecretFile(setting, s.EncryptionKeysFile, found)
	if !ok {
		return nil
	}
	any := false
	for i, line := range strings.Split(data, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		any = true
		key, err := parseEncryptionKey(line)
		if err != nil {
			found.mistake(setting, fmt.Sprintf("names %s, whose line %d %v", s.EncryptionKeysFile, i+1, err), advice)
			continue
		}
		keys = append(keys, key)
	}
	if !any {
		found.mistake(setting, fmt.Sprintf("names %s, which has no key in it", s.EncryptionKeysFile), advice)
	}
	return keys
}

func parseEncryptionKey(line string) ([]byte, error) {
	key, err := hex.DecodeString(line) // first: hex looks like base64, and not the other way round
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(line, "=")))
	}
	switch {
	case err != nil:
		return nil, errors.New("is neither base64 nor hex")
	case len(key) != encryptionKeySize:
		return nil, fmt.Errorf("has %d bytes, and a key has %d", len(key), encryptionKeySize)
	}
	return key, nil
}
