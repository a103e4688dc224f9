package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// sealKeySize is the size of a sealing key, in bytes.
const sealKeySize = 32

// sealKeys reads the file of sealing keys: one a line, in base64 or hex, and
// lines that are empty or begin with # between them. The text of a line is in no
// error.
func (a *app) sealKeys(s settings, problems *problems) [][]byte {
	const setting = settingPrefix + "SEAL_KEYS_FILE"
	if s.SealKeysFile == "" {
		return nil
	}
	data, err := a.readSecretFile(setting, s.SealKeysFile)
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
		key, err := parseSealKey(line)
		if err != nil {
			problems.add("%s: line %d of %s %v: make a key with: openssl rand -base64 32", setting, i+1, s.SealKeysFile, err)
			continue
		}
		keys = append(keys, key)
	}
	if !found {
		problems.add("%s: there is no key in %s: make one with: openssl rand -base64 32", setting, s.SealKeysFile)
	}
	return keys
}

func parseSealKey(line string) ([]byte, error) {
	key, err := hex.DecodeString(line) // first: hex looks like base64, and not the other way round
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(line, "=")))
	}
	switch {
	case err != nil:
		return nil, errors.New("is neither base64 nor hex")
	case len(key) != sealKeySize:
		return nil, fmt.Errorf("has %d bytes, and a key has %d", len(key), sealKeySize)
	}
	return key, nil
}
