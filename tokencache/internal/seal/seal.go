// Package seal encrypts what a fleet keeps in Redis, with AES-256-GCM.
//
// Whoever can read Redis can read no token, and whoever can write it can forge
// none, and cannot move one from where it was put. They can delete it, hold it
// back, or put back an older one that is still valid; no encryption helps
// against that.
//
// A sealed value is a version byte, the id of the key (8 bytes), the nonce and
// the ciphertext. The key is chosen by its id and never by trial, and the id is
// derived from the key, so a wrong key is known as such before it is used.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeySize is the size of a key, in bytes.
const KeySize = 32

const (
	version = 1
	idSize  = 8
)

var (
	// ErrUnknownKey means that a value was sealed with a key that is not at
	// hand: somebody has other keys.
	ErrUnknownKey = errors.New("sealed with a key that is not known here")

	// ErrDamaged means that a value is not what was sealed, or not where.
	ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")
)

// A Key seals and opens. It cannot be printed.
type Key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// New returns the key made from 32 random bytes.
func New(secret []byte) (Key, error) {
	if len(secret) != KeySize {
		return Key{}, fmt.Errorf("a sealing key has %d bytes, this one %d", KeySize, len(secret))
	}
	return derive(secret, "given")
}

// Derive returns a key made from a client secret. The context is what the
// secret is for; equal secrets in different contexts make different keys.
func Derive(secret, context string) (Key, error) {
	return derive([]byte(secret), "client secret\x00"+context)
}

func derive(secret []byte, info string) (Key, error) {
	material, err := hkdf.Key(sha256.New, secret, []byte("fleettoken"), "seal\x00"+info, KeySize)
	if err != nil {
		return Key{}, err
	}
	id, err := hkdf.Key(sha256.New, secret, []byte("fleettoken"), "id\x00"+info, idSize)
	if err != nil {
		return Key{}, err
	}
	block, err := aes.NewCipher(material)
	if err != nil {
		return Key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Key{}, err
	}
	return Key{id: [idSize]byte(id), aead: aead}, nil
}

// ID names the key. It tells nothing about it.
func (k Key) ID() string { return hex.EncodeToString(k.id[:]) }

// String returns the key's ID.
func (k Key) String() string { return "key " + k.ID() }

// A Ring is the keys at hand. The first seals, all of them open.
type Ring []Key

// Seal encrypts plaintext and binds it to place: it opens nowhere else.
func (r Ring) Seal(plaintext []byte, place ...string) []byte {
	k := r[0]
	sealed := append([]byte{version}, k.id[:]...)
	return k.aead.Seal(sealed, nil, plaintext, bind(k, place))
}

// Open decrypts what Seal made for the same place. The error is ErrUnknownKey
// or ErrDamaged.
func (r Ring) Open(sealed []byte, place ...string) ([]byte, error) {
	if len(sealed) < 1+idSize || sealed[0] != version {
		return nil, ErrDamaged
	}
	id := [idSize]byte(sealed[1 : 1+idSize])
	for _, k := range r {
		if k.id != id {
			continue
		}
		plaintext, err := k.aead.Open(nil, nil, sealed[1+idSize:], bind(k, place))
		if err != nil {
			return nil, ErrDamaged
		}
		return plaintext, nil
	}
	return nil, ErrUnknownKey
}

// bind writes the place as associated data, each part with its length.
func bind(k Key, place []string) []byte {
	data := append([]byte{version}, k.id[:]...)
	for _, part := range place {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
