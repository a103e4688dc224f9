package tokencache

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// The defaults of Options.
const (
	DefaultPrefix         = "fleettoken"
	DefaultRequestTimeout = 10 * time.Second
	DefaultRedisTimeout   = time.Second
	DefaultMaxWait        = 30 * time.Second
)

// Options configures a Cache. A nil *Options is ready for use. All replicas of
// a fleet should have the same ones, but for Replica, Logger and Hooks.
type Options struct {
	// Prefix begins the name of every key in Redis. Empty means DefaultPrefix.
	Prefix string

	// Replica names this process in the lease and the journal, for people.
	// Empty means the host's name; an id of the process is added.
	Replica string

	// RenewBefore is how long before its expiry a token is renewed, at most half
	// its life, and at least twenty seconds, or a tenth of a short life. Zero
	// means an hour, and a quarter of the lifetime of tokens that live less than
	// four hours. Longer survives a longer outage of the token endpoint, and
	// spends more of the quota.
	RenewBefore time.Duration

	// RequestTimeout bounds a token request. Zero means DefaultRequestTimeout.
	// The lease lasts twice as long, so that is how long a lease holder that
	// dies holds up the others; a token that is still valid is served meanwhile.
	RequestTimeout time.Duration

	// RedisTimeout bounds each call to Redis. Zero means DefaultRedisTimeout. A
	// lease has to hold some calls and a token request: if the calls take so long
	// that there is no time for it, none is sent.
	RedisTimeout time.Duration

	// MaxWait is how long a caller without a deadline waits for the end of a block
	// or an outage. A caller with a deadline waits until its deadline. If the end is
	// later, the caller gets an error at once that names the time. Zero means
	// DefaultMaxWait.
	MaxWait time.Duration

	// EncryptionKeys are the keys that the tokens in Redis are encrypted with, 32
	// random bytes each. The first encrypts, all of them decrypt, so that keys can be
	// rotated: add the new one at the end everywhere, then move it to the front
	// everywhere, then remove the old one, but not before the tokens that it has
	// encrypted have expired. None means a key derived from the client secret; then
	// a new secret comes with a new record, and who has the secret may read the record.
	// A secret that can be guessed can be guessed from a copy of Redis: give keys if
	// yours can.
	EncryptionKeys [][]byte

	// RootCAs are the certificate authorities that are trusted for token
	// requests. Nil means those of the host. Not used if Transport is given.
	RootCAs *x509.CertPool

	// Transport sends token requests. Nil means HTTPS over a connection that is
	// used once, and through the proxy that the environment names. Another one
	// must not repeat a request, as each may cost a token.
	Transport http.RoundTripper

	// TokenRefused reports whether an answer of an API means that it refused the token: a
	// Transport then invalidates the token, and sends the request once more with another
	// one. It must not read the body. Nil means status 401, unless the challenge says that
	// it is about something else. It is for APIs that answer a stale token with 403, 400 or
	// 419.
	TokenRefused func(resp *http.Response) bool

	// InsecureLoopback lets token URLs and APIs be plain http, if their host is
	// a loopback address. It is for tests.
	InsecureLoopback bool

	// EnforcedQuota says that the server is known to refuse what exceeds the
	// quota. Zero means that it is found out, at the price of one refused
	// request a week if the quota is spent; see quota.Options.
	EnforcedQuota bool

	// RedisDownBudget lets a replica without a valid token send token requests while
	// Redis is down. Nil means that it does not: then Token fails at once. It risks
	// that every replica of the fleet sends some, each within its budget.
	RedisDownBudget *RedisDownBudget

	// Subscribe keeps one connection per client open for notifications, so that a
	// renewal or rotation by another replica arrives at once, also while no caller
	// waits. It costs Redis a connection per replica, a PING after each minute and a
	// half of quiet, and no command but the fetch that follows a notification and would
	// be due anyway. The connection also shows when Redis cannot be used, and when it can
	// again: Logger and Hooks.Redis hear of it within seconds if the connection breaks,
	// and within two minutes if nothing arrives any more.
	//
	// False means that a replica fetches when renewal is due or the API refuses the
	// token, and subscribes only while a caller waits. It learns of an outage of Redis
	// with the next fetch, which may be hours later.
	Subscribe bool

	// Logger logs what changes, and never a token or a secret. Nil means that nothing
	// is logged.
	Logger *slog.Logger

	// Hooks are called when something changes. Nil means none.
	Hooks *Hooks
}

// String returns what distinguishes two caches, without the encryption keys.
func (o Options) String() string {
	return fmt.Sprintf("options of replica %q with prefix %q and %d encryption keys", o.Replica, cmp.Or(o.Prefix, DefaultPrefix), len(o.EncryptionKeys))
}

// Format prints String, whatever the verb.
func (o Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// GoString returns String.
func (o Options) GoString() string { return o.String() }

// LogValue returns String.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// MarshalText returns String. It is what encoding/json and others write.
func (o Options) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// RedisDownBudget is the budget for token requests while Redis is down.
type RedisDownBudget struct {
	// Requests is how many of them one replica may send in an hour for each OAuth
	// client. Zero means one.
	Requests int

	// Spread is the time within which a replica starts to ask, at random, so
	// that a fleet does not ask as one. Zero means ten seconds.
	Spread time.Duration
}

// Validate returns what is wrong with the options: nil, or an error that joins a
// [*ConfigError] for each field. Nil options are valid.
func (o *Options) Validate() error {
	_, _, err := o.complete()
	return err
}

// complete returns a copy of the options with the defaults filled in, and the
// keys made of them. The error says all that is wrong with them.
func (o *Options) complete() (Options, store.KeyRing, error) {
	var out Options
	if o != nil {
		out = *o
	}
	errs := configErrors{of: "Options"}
	for _, d := range []struct {
		field string
		value *time.Duration
		zero  time.Duration
		most  time.Duration
	}{
		{"RenewBefore", &out.RenewBefore, 0, 12 * bearer.MaxLifetime}, // more than any token lives is as good as half of it
		{"RequestTimeout", &out.RequestTimeout, DefaultRequestTimeout, maxTimeout},
		{"RedisTimeout", &out.RedisTimeout, DefaultRedisTimeout, maxTimeout},
		{"MaxWait", &out.MaxWait, DefaultMaxWait, bearer.MaxLifetime},
	} {
		switch {
		case *d.value < 0:
			errs.add(d.field, fmt.Sprintf("is %v", *d.value), "it cannot be negative; zero means the default")
		case *d.value > d.most:
			errs.add(d.field, fmt.Sprintf("is %v", *d.value), fmt.Sprintf("give it %v or less", d.most))
		}
		*d.value = cmp.Or(*d.value, d.zero)
	}
	if out.RequestTimeout > 0 && out.RequestTimeout < minRequestTimeout {
		errs.add("RequestTimeout", fmt.Sprintf("is %v", out.RequestTimeout), fmt.Sprintf("give it %v or more, since a lease lasts twice as long and needs a second", minRequestTimeout))
	}
	out.Prefix = cmp.Or(out.Prefix, DefaultPrefix)
	if strings.ContainsAny(out.Prefix, "{} \n") {
		errs.add("Prefix", fmt.Sprintf("is %q", out.Prefix), "leave out braces and blanks, which would break the names of keys")
	}
	if out.RedisDownBudget != nil {
		budget := *out.RedisDownBudget
		if budget.Requests < 0 {
			errs.add("RedisDownBudget.Requests", fmt.Sprintf("is %d", budget.Requests), "it cannot be negative; zero means one")
		}
		if budget.Spread < 0 || budget.Spread > bearer.MaxLifetime {
			errs.add("RedisDownBudget.Spread", fmt.Sprintf("is %v", budget.Spread), fmt.Sprintf("give it from 0, which means ten seconds, to %v", bearer.MaxLifetime))
		}
		budget.Requests = cmp.Or(budget.Requests, 1)
		budget.Spread = cmp.Or(budget.Spread, 10*time.Second)
		out.RedisDownBudget = &budget
	}
	var ring store.KeyRing
	for i, secret := range out.EncryptionKeys {
		key, err := store.NewEncryptionKey(secret)
		if err != nil {
			errs.add(fmt.Sprintf("EncryptionKeys[%d]", i), fmt.Sprintf("has %d bytes, and a key has %d", len(secret), store.EncryptionKeySize), "make one with: openssl rand 32")
			continue
		}
		ring = append(ring, key)
	}
	out.EncryptionKeys = nil // not needed any more, so not kept
	if out.Transport == nil {
		out.Transport = endpoint.NewTransport(out.RootCAs)
	}
	if out.TokenRefused == nil {
		out.TokenRefused = tokenRefused
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.Hooks == nil {
		out.Hooks = &Hooks{}
	}
	return out, ring, errs.join()
}

const (
	minRequestTimeout = 500 * time.Millisecond
	maxTimeout        = time.Hour
)
