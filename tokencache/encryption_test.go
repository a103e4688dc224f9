package tokencache

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// A replica with the wrong key says so loudly, and makes no token request.
func TestWrongSealKey(t *testing.T) {
	keyOf := func(b byte) []byte { return []byte(strings.Repeat(string(b), 32)) }
	story(t, nil, Options{EncryptionKeys: [][]byte{keyOf('a')}}, func(f *fleet) {
		f.together(f.start(2))
		synctest.Wait()
		f.opts.EncryptionKeys = [][]byte{keyOf('b')}
		odd := f.start(1)[0]
		for range 5 {
			_, err := odd.source.Token(f.t.Context())
			if !errors.Is(err, ErrEncryptionKey) || !errors.Is(err, ErrNoToken) {
				f.t.Errorf("got %v, want ErrSealKey", err)
			}
			time.Sleep(10 * time.Minute)
		}
		f.want(1)

		// Rotating keys: the new one second, then first, then alone.
		f.opts.EncryptionKeys = [][]byte{keyOf('a'), keyOf('b')}
		f.token(f.start(1)[0])
		f.opts.EncryptionKeys = [][]byte{keyOf('b'), keyOf('a')}
		both := f.start(1)[0]
		f.token(both)
		f.want(1)
		if err := both.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(time.Minute)
		f.token(odd)
		f.want(2)
	})
}

// While a new client secret rolls out there are two records, and nobody fights.
func TestSecretRollsOut(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, ClientSecret: "test-secret"}, Options{}, func(f *fleet) {
		f.together(f.start(4))
		cred := f.credentials()
		cred.ClientSecret = "new-secret"
		sources := make([]*Source, 4)
		for i, r := range f.start(4) {
			var err error
			if sources[i], err = r.cache.Source(cred); err != nil {
				f.t.Fatal(err)
			}
			// The new secret does not work yet.
			ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second) // not until it is tried again
			_, err = sources[i].Token(ctx)
			cancel()
			if !errors.Is(err, ErrNoToken) {
				f.t.Errorf("with a secret that is not valid yet: got %v", err)
			}
		}
		refused := f.tenant.Requests().Answered(401)
		if refused != 1 {
			f.t.Errorf("got %d refusals of the wrong secret, want 1 for the whole fleet", refused)
		}
		time.Sleep(time.Second)           // the lease is kept for a while after a refusal
		f.serve(time.Minute, time.Second) // the others do not notice
		f.tenant.Update(func(c *auth0test.Config) { c.ClientSecret = "new-secret" })
		time.Sleep(5 * time.Minute)
		for _, s := range sources {
			if _, err := s.Token(f.t.Context()); err != nil {
				f.t.Error(err)
			}
		}
		if got := f.tenant.Issued(); got != 2 {
			f.t.Errorf("got %d tokens, want 2: one for each secret", got)
		}
	})
}

// With keys to seal by, a token does not depend on the secret by which it was
// asked for: a new secret gets the fleet's token, and asks for none.
func TestNewSecretUnderTheSameSealKey(t *testing.T) {
	opts := Options{EncryptionKeys: [][]byte{[]byte(strings.Repeat("k", 32))}}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, ClientSecret: "test-secret"}, opts, func(f *fleet) {
		f.together(f.start(3))
		token := f.token(f.replicas[0])
		synctest.Wait()
		f.secret = "new-secret"
		for _, r := range f.start(3) {
			if f.token(r) != token {
				f.t.Errorf("%s has another token", r.name)
			}
		}
		f.want(1)
		f.tenant.Update(func(c *auth0test.Config) { c.ClientSecret = "new-secret" })
		f.serve(8*time.Hour, time.Hour)
		f.want(1)
	})
}

// Somebody writes into our keys. Nothing of it is served, and the quota is not
// theirs to spend.
func TestDamagedRecord(t *testing.T) {
	for name, damage := range map[string]func(f *fleet, key string){
		"garbage":        func(f *fleet, key string) { f.m.HSet(key, "sealed", "garbage") },
		"cut":            func(f *fleet, key string) { f.m.HSet(key, "sealed", f.m.HGet(key, "sealed")[:20]) },
		"wrong type":     func(f *fleet, key string) { f.m.Del(key); _ = f.m.Set(key, "x") },
		"too large":      func(f *fleet, key string) { f.m.HSet(key, "sealed", strings.Repeat("x", store.MaxRecordSize+1)) },
		"another moment": func(f *fleet, key string) { f.m.HSet(key, "issued", "9") },
		"a later expiry": func(f *fleet, key string) { f.m.HSet(key, "expires", "99999999999999") },
		"no numbers":     func(f *fleet, key string) { f.m.HSet(key, "issued", "x", "expires", "y") },
		"half of it":     func(f *fleet, key string) { f.m.HDel(key, "expires") },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
				r := f.start(1)[0]
				token := f.token(r)
				synctest.Wait()
				key := r.source.token.Key()
				damage(f, key)

				// Newcomers replace it, but only so often.
				for range 30 {
					newcomer := f.boot("newcomer")
					_, err := newcomer.source.Token(f.t.Context())
					if err != nil && !errors.Is(err, quota.ErrDenied) {
						f.t.Errorf("got %v, want a token or a denial", err)
					}
					newcomer.close()
					damage(f, key)
					time.Sleep(time.Minute)
				}
				if got := f.requests(); got > 6 {
					f.t.Errorf("half an hour of damage cost %d token requests, want a tenth of 42", got)
				}
				if f.token(r) != token {
					f.t.Error("who had a valid token has lost it")
				}
				// Who has a valid token mends it, at no cost.
				before := f.requests()
				r.source.fetchNow()
				synctest.Wait()
				newcomer := f.start(1)[0]
				f.token(newcomer)
				if got := f.requests() - before; got != 0 {
					f.t.Errorf("mending cost %d token requests", got)
				}
			})
		})
	}
}

// Sealing keys are replaced as Options.EncryptionKeys says, and nobody is without a token.
func TestSealKeysAreRotated(t *testing.T) {
	older, newer := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		for _, keys := range [][][]byte{{older}, {older, newer}, {newer, older}, {newer}} {
			for _, r := range f.replicas {
				r.close()
			}
			f.replicas, f.opts.EncryptionKeys = nil, keys
			f.start(2)
			f.serve(10*time.Hour, time.Hour/4) // so long that what an old key has sealed is over
		}
		f.want(5) // one each nine hours
	})
}

// The secret is replaced at the provider. The old one is refused; a replica that
// has the new one asks at once.
func TestNewSecretIsNotHeldBack(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, ClientSecret: "test-secret"}, Options{}, func(f *fleet) {
		f.tenant.Update(func(c *auth0test.Config) { c.ClientSecret = "new-secret" })
		for _, r := range f.start(3) {
			ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second) // not until it is tried again
			_, err := r.source.Token(ctx)
			cancel()
			if !errors.Is(err, ErrNoToken) {
				f.t.Errorf("with the old secret: got %v", err)
			}
		}
		f.want(1)
		f.secret = "new-secret"
		if slowest := f.together(f.start(3)); slowest > time.Second {
			f.t.Errorf("the new secret was held back for %v", slowest)
		}
		f.want(2)
	})
}
