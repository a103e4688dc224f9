package peers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fleettoken/fleettoken/tokencache"
)

const (
	tokenKey = "{peer}:token"
	lockKey  = "{peer}:lock"
	leaseFor = 20 * time.Second
)

// ask sends one token request.
func ask(ctx context.Context, tokenURL string) (string, error) {
	conf := clientcredentials.Config{ClientID: "id", ClientSecret: "secret", TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams}
	tok, err := conf.Token(ctx)
	if err != nil {
		return "", err
	}
	return tok.AccessToken, nil
}

func client(addr string) redis.UniversalClient {
	return tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{addr}})
}

// This library.
var fleettokenDesign = design{"fleettoken", func(b *testing.B, addr, tokenURL string) replica {
	rdb := client(addr)
	cache, err := tokencache.New(rdb, &tokencache.Options{InsecureLoopback: true})
	if err != nil {
		b.Fatal(err)
	}
	source, err := cache.Source(tokencache.Credentials{TokenURL: tokenURL, ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		b.Fatal(err)
	}
	return &ours{rdb, cache, source}
}}

type ours struct {
	rdb    redis.UniversalClient
	cache  *tokencache.Cache
	source *tokencache.Source
}

func (o *ours) token(ctx context.Context) (string, error) {
	tok, err := o.source.Token(ctx)
	if err != nil {
		return "", err
	}
	return tok.AccessToken, nil
}

func (o *ours) close() { _ = o.cache.Close(); _ = o.rdb.Close() }

// golang.org/x/oauth2, each replica for itself.
var oauth2Design = design{"oauth2-each", func(_ *testing.B, _, tokenURL string) replica { return each(tokenURL) }}

type each string

func (e each) token(ctx context.Context) (string, error) { return ask(ctx, string(e)) }
func (each) close()                                      {}

// redislock as its documentation shows it, with a linear back-off: look, lock,
// look again, ask, store, unlock.
var redislockDesign = design{"redislock-linear", func(_ *testing.B, addr, tokenURL string) replica {
	return &locked{client(addr), tokenURL}
}}

type locked struct {
	rdb      redis.UniversalClient
	tokenURL string
}

func (l *locked) token(ctx context.Context) (string, error) {
	if tok, err := l.rdb.Get(ctx, tokenKey).Result(); !errors.Is(err, redis.Nil) {
		return tok, err
	}
	lock, err := redislock.Obtain(ctx, l.rdb, lockKey, leaseFor, &redislock.Options{RetryStrategy: redislock.LinearBackoff(100 * time.Millisecond)})
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Release(ctx) }()
	return under(ctx, l.rdb, l.tokenURL)
}

func (l *locked) close() { _ = l.rdb.Close() }

// under does what is done under a lock: look again, ask, store.
func under(ctx context.Context, rdb redis.UniversalClient, tokenURL string) (string, error) {
	if tok, err := rdb.Get(ctx, tokenKey).Result(); !errors.Is(err, redis.Nil) {
		return tok, err
	}
	tok, err := ask(ctx, tokenURL)
	if err != nil {
		return "", err
	}
	return tok, rdb.Set(ctx, tokenKey, tok, time.Hour).Err()
}

// redsync with its defaults: a random back-off of 50 to 250 ms. It looks between
// two attempts, which is kinder than its documentation asks for.
var redsyncDesign = design{"redsync", func(_ *testing.B, addr, tokenURL string) replica {
	rdb := client(addr)
	return &synced{rdb, redsync.New(goredis.NewPool(rdb)), tokenURL}
}}

type synced struct {
	rdb      redis.UniversalClient
	sync     *redsync.Redsync
	tokenURL string
}

func (s *synced) token(ctx context.Context) (string, error) {
	mutex := s.sync.NewMutex(lockKey, redsync.WithExpiry(leaseFor), redsync.WithTries(1))
	for {
		if tok, err := s.rdb.Get(ctx, tokenKey).Result(); !errors.Is(err, redis.Nil) {
			return tok, err
		}
		if err := mutex.LockContext(ctx); err == nil {
			defer func() { _, _ = mutex.UnlockContext(ctx) }()
			return under(ctx, s.rdb, s.tokenURL)
		}
		select {
		case <-time.After(50*time.Millisecond + time.Duration(time.Now().UnixNano()%200)*time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (s *synced) close() { _ = s.rdb.Close() }

// A cache-aside with client-side caching, as rueidisaside does it: whoever sets
// the placeholder asks, the others are told by an invalidation when it changes.
var asideDesign = design{"csc-aside", func(b *testing.B, addr, tokenURL string) replica {
	a := &aside{tokenURL: tokenURL, woken: make(chan struct{}, 1)}
	var err error
	a.rdb, err = rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{addr}, PipelineMultiplex: -1,
		OnInvalidations: func([]rueidis.RedisMessage) {
			select {
			case a.woken <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	return a
}}

type aside struct {
	rdb      rueidis.Client
	tokenURL string
	woken    chan struct{}
}

const placeholder = "asking"

func (a *aside) token(ctx context.Context) (string, error) {
	for {
		tok, err := a.rdb.DoCache(ctx, a.rdb.B().Get().Key(tokenKey).Cache(), time.Minute).ToString()
		if err == nil && tok != placeholder {
			return tok, nil
		}
		if rueidis.IsRedisNil(err) {
			err = a.rdb.Do(ctx, a.rdb.B().Set().Key(tokenKey).Value(placeholder).Nx().Get().Px(leaseFor).Build()).Error()
			if rueidis.IsRedisNil(err) { // nobody was before
				tok, err := ask(ctx, a.tokenURL)
				if err != nil {
					return "", err
				}
				return tok, a.rdb.Do(ctx, a.rdb.B().Set().Key(tokenKey).Value(tok).Px(time.Hour).Build()).Error()
			}
			if err == nil {
				continue // somebody was: see what they have
			}
		}
		if err != nil {
			return "", err
		}
		select {
		case <-a.woken:
		case <-time.After(time.Second):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (a *aside) close() { a.rdb.Close() }
