package demo

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

const (
	clientID = "demo-client"
	audience = "https://api.example.com/"
)

// An env is what a fleet runs on: a token endpoint with an API, and a Redis.
type env struct {
	endpoint *auth0test.Server
	embedded *miniredis.Miniredis // nil: Redis is the user's
	down     atomic.Bool          // the demo has made Redis unreachable
	config   config
}

// newEndpoint starts a token endpoint with the provider's quota.
func newEndpoint(secret string, latency time.Duration) (*auth0test.Server, *x509.CertPool) {
	s := auth0test.NewServer(&auth0test.Config{
		ClientID: clientID, ClientSecret: secret, Audiences: []string{audience},
		TTL: longLife, PerHour: perHour, PerDay: perDay, Latency: latency,
		ErrorLog: log.New(io.Discard, "", 0), // it reports the connections that the demo cuts
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CAPEM())
	return s, roots
}

// newEnv starts an env. It fails if the user's Redis does not answer.
func newEnv(ctx context.Context, o Options, p plan) (*env, error) {
	secret := rand.Text()
	endpoint, roots := newEndpoint(secret, p.latency)
	e := &env{endpoint: endpoint, config: config{
		redis: o.Redis,
		credentials: tokencache.Credentials{
			TokenURL: endpoint.TokenURL(), ClientID: clientID, ClientSecret: secret, Audience: audience,
		},
		options: tokencache.Options{
			Prefix: "fleettoken-demo-" + strings.ToLower(rand.Text()[:10]), Subscribe: true,
			RenewBefore: renewBefore, RequestTimeout: p.timeout, RedisTimeout: p.redis,
		},
		apiURL: endpoint.APIURL(), roots: roots, every: p.every, keys: new(sync.Map),
	}}
	if o.adjust != nil {
		o.adjust(&e.config.options)
	}
	if o.Redis == nil {
		e.embedded = miniredis.NewMiniRedis()
		e.embedded.ClockTTL(true) // leases expire by the clock
		if err := e.embedded.Start(); err != nil {
			endpoint.Close()
			return nil, fmt.Errorf("start a Redis in this process: %w", err)
		}
		e.config.redis = &redis.UniversalOptions{Addrs: []string{e.embedded.Addr()}}
	}
	if err := e.operate(func(operator *replica) error { _, err := operator.source.Status(ctx); return err }); err != nil {
		_ = e.close(ctx)
		return nil, fmt.Errorf("%s: %w", e.name(), err)
	}
	return e, nil
}

// operate calls do with a process that is not of the fleet, as an operator's is.
func (e *env) operate(do func(operator *replica) error) error {
	cfg := e.config
	cfg.options.Subscribe = false
	operator, err := newReplica("operator", cfg, nil, func() string { return "operator" })
	if err != nil {
		return err
	}
	defer operator.close()
	return do(operator)
}

// name says which Redis it is.
func (e *env) name() string {
	if e.embedded != nil {
		return "an embedded Redis"
	}
	return "the Redis at " + strings.Join(e.config.redis.Addrs, ", ")
}

// next sets the life of the next tokens, and the faults of the next requests.
func (e *env) next(life time.Duration, faults ...auth0test.Fault) {
	e.endpoint.Update(func(c *auth0test.Config) { c.TTL = life })
	for _, f := range faults {
		e.endpoint.Inject(1, f)
	}
}

// takeRedisDown makes Redis unreachable for the fleet. The embedded one loses
// all that it holds; a user's own is only cut off.
func (e *env) takeRedisDown(f *fleet) {
	e.down.Store(true)
	if e.embedded == nil {
		f.wire((*connCutter).cut)
		return
	}
	e.embedded.Close()
	e.embedded.FlushAll()
}

// bringRedisBack makes Redis reachable again. Another connection of this machine
// may have taken its port for a while.
func (e *env) bringRedisBack(ctx context.Context, f *fleet) error {
	defer e.down.Store(false)
	if e.embedded == nil {
		f.wire((*connCutter).mend)
		return nil
	}
	for tries := 0; ; tries++ {
		err := e.embedded.Restart()
		if err == nil || tries == 100 || !pause(ctx, 20*time.Millisecond) {
			return err
		}
	}
}

// close stops everything, and deletes the demo's keys from a user's Redis. They
// have one hash tag, so that a Cluster deletes them at once, too.
func (e *env) close(ctx context.Context) error {
	defer e.endpoint.Close()
	if e.embedded != nil {
		e.embedded.Close()
		return nil
	}
	var keys []string
	e.config.keys.Range(func(key, _ any) bool { keys = append(keys, key.(string)); return true })
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := e.operate(func(o *replica) error { return o.rdb.Del(ctx, keys...).Err() }); err != nil {
		return fmt.Errorf("the keys %q could not be removed from Redis: %w", keys, err)
	}
	return nil
}
