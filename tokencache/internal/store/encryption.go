package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// EncryptionKeySize is the size of a key, in bytes.
const EncryptionKeySize = 32

const (
	version = 1
	idSize  = 8
)

var (
	// ErrUnknownKey means that a record was encrypted with a key that is not at hand.
	ErrUnknownKey = errors.New("encrypted with an unknown key")

	// ErrDamaged means that a record is not what was encrypted, or not where.
	ErrDamaged = errors.New("the record is damaged or belongs elsewhere")
)

// An EncryptionKey encrypts and decrypts with AES-256-GCM. It cannot be printed.
//
// What it makes is a version byte, the id of the key (8 bytes), the nonce and the
// ciphertext. A key is chosen by its id and never by trial, and the id is derived from
// the key, so a wrong key is known as such before it is used.
type EncryptionKey struct {
	id     [idSize]byte
	aead   cipher.AEAD
	naming []byte
}

// NewEncryptionKey returns the key made from 32 random bytes.
func NewEncryptionKey(secret []byte) (EncryptionKey, error) {
	if len(secret) != EncryptionKeySize {
		return EncryptionKey{}, fmt.Errorf("an encryption key has %d bytes, this one %d", EncryptionKeySize, len(secret))
	}
	return derive(secret, "given")
}

// DeriveEncryptionKey returns a key made from a client secret. The context is what the
// secret is for; equal secrets in different contexts make different keys.
func DeriveEncryptionKey(secret, context string) (EncryptionKey, error) {
	return derive([]byte(secret), "client secret\x00"+context)
}

func derive(secret []byte, info string) (EncryptionKey, error) {
	material, err := hkdf.Key(sha256.New, secret, []byte("fleettoken"), "seal\x00"+info, EncryptionKeySize)
	if err != nil {
		return EncryptionKey{}, err
	}
	id, err := hkdf.Key(sha256.New, secret, []byte("fleettoken"), "id\x00"+info, idSize)
	if err != nil {
		return EncryptionKey{}, err
	}
	block, err := aes.NewCipher(material)
	if err != nil {
		return EncryptionKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return EncryptionKey{}, err
	}
	naming, err := hkdf.Key(sha256.New, secret, []byte("fleettoken"), "name\x00"+info, EncryptionKeySize)
	if err != nil {
		return EncryptionKey{}, err
	}
	return EncryptionKey{id: [idSize]byte(id), aead: aead, naming: naming}, nil
}

// Name returns a name for what must not be guessed from it, such as a client secret. Who
// has another key, or none, cannot tell which parts it is for.
func (r KeyRing) Name(parts ...string) string {
	mac := hmac.New(sha256.New, r[0].naming)
	for _, part := range parts {
		_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		_, _ = mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// ID names the key. It reveals nothing about it.
func (k EncryptionKey) ID() string { return hex.EncodeToString(k.id[:]) }

// String returns the key's ID.
func (k EncryptionKey) String() string { return "key " + k.ID() }

// A KeyRing is the keys at hand. The first encrypts, all of them decrypt.
type KeyRing []EncryptionKey

// encrypt encrypts plaintext and binds it to a place: it decrypts nowhere else.
func (r KeyRing) encrypt(plaintext []byte, place ...string) []byte {
	k := r[0]
	sealed := append([]byte{version}, k.id[:]...)
	return k.aead.Seal(sealed, nil, plaintext, bind(k, place))
}

// decrypt is the inverse of encrypt. The error is ErrUnknownKey or ErrDamaged.
func (r KeyRing) decrypt(sealed []byte, place ...string) ([]byte, error) {
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
func bind(k EncryptionKey, place []string) []byte {
	data := append([]byte{version}, k.id[:]...)
	for _, part := range place {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
