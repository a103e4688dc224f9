package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// encryptionKeySize is the size of an encryption key, in bytes.
const encryptionKeySize = 32

// encryptionKeys reads the file of encryption keys: one a line, in base64 or hex, and
// lines that are empty or begin with # between them. The text of a line is in no
// error.
func (a *app) encryptionKeys(s settings, problems *problems) [][]byte {
	const setting = settingPrefix + "ENCRYPTION_KEYS_FILE"
	if s.EncryptionKeysFile == "" {
		return nil
	}
	data, err := a.readSecretFile(setting, s.EncryptionKeysFile)
	if err != nil {
		problems.add("%v", err)
		return nil
	}
	var keys [][]byte
	found := false
	for i, line := range strings.Split(data, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		found = true
		key, err := parseEncryptionKey(line)
		if err != nil {
			problems.add("%s: line %d of %s %v: make a key with: openssl rand -base64 32", setting, i+1, s.EncryptionKeysFile, err)
			continue
		}
		keys = append(keys, key)
	}
	if !found {
		problems.add("%s: there is no key in %s: make one with: openssl rand -base64 32", setting, s.EncryptionKeysFile)
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
