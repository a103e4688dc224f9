package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fleettoken/fleettoken/tokencache"
)

// A config is what all replicas of a fleet have in common.
type config struct {
	redis       *redis.UniversalOptions // nil: each replica has a token of its own
	credentials tokencache.Credentials
	options     tokencache.Options
	roots       *x509.CertPool // of the token endpoint and the API
	apiURL      string
	every       time.Duration // between two API calls
	keys        *sync.Map     // that were used in Redis
}

// A replica is what one process of an application would be: an HTTP client that
// carries a token, and calls an API at a steady rate. The token is the fleet's,
// from a tokencache.Cache, or its own, from golang.org/x/oauth2.
type replica struct {
	redisConns, webConns connCutter
	meter                meter
	rdb                  redis.UniversalClient // nil: it has a token of its own
	cache                *tokencache.Cache
	source               *tokencache.Source
	client               *http.Client
	config               config

	ctx           context.Context
	cancel        context.CancelFunc
	work          sync.WaitGroup
	calls, failed atomic.Int64
	failure       atomic.Pointer[failure]
}

// A failure is the first API call of a replica that failed.
type failure struct {
	at  time.Time
	err error
}

// newReplica makes a replica. It does no I/O yet. Each token request has the
// user agent that asking returns, so that the endpoint's ledger names its sender.
func newReplica(name string, cfg config, hooks *tokencache.Hooks, asking func() string) (*replica, error) {
	r := &replica{config: cfg, meter: meter{prefix: cfg.options.Prefix, keys: cfg.keys}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	transport := func() *http.Transport {
		return &http.Transport{
			DialContext:     r.webConns.through((&net.Dialer{Timeout: 10 * time.Second}).DialContext),
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.roots},
		}
	}
	base := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport()})
	if cfg.redis == nil {
		own := clientcredentials.Config{
			TokenURL: cfg.credentials.TokenURL, ClientID: cfg.credentials.ClientID, ClientSecret: cfg.credentials.ClientSecret,
			EndpointParams: url.Values{"audience": {cfg.credentials.Audience}}, AuthStyle: oauth2.AuthStyleInParams,
		}
		r.client = own.Client(base)
		return r, nil
	}
	opts := *cfg.redis
	next := dialer(opts.Dialer)
	if next == nil {
		next = redis.NewDialer(&redis.Options{DialTimeout: time.Second, TLSConfig: opts.TLSConfig})
	}
	opts.Dialer = r.redisConns.through(next)
	r.rdb = tokencache.NewRedisClient(&opts)
	r.rdb.AddHook(&r.meter)
	once := transport() // as the library's own transport
	once.DisableKeepAlives = true
	options := cfg.options
	options.Replica, options.Hooks, options.Transport = name, hooks, namedRequests{once, asking}
	var err error
	if r.cache, err = tokencache.New(r.rdb, &options); err == nil {
		r.source, err = r.cache.Source(cfg.credentials)
	}
	if err != nil {
		return nil, errors.Join(err, r.rdb.Close())
	}
	r.client = r.source.Client(base)
	return r, nil
}

// namedRequests sends requests with a user agent.
type namedRequests struct {
	base   http.RoundTripper
	asking func() string
}

func (n namedRequests) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", n.asking())
	return n.base.RoundTrip(req)
}

// run starts to call the API. The call that close interrupts is not counted.
func (r *replica) run() {
	r.work.Go(func() {
		next := time.Now().Add(rand.N(r.config.every)) // so that the replicas are not in step
		for pause(r.ctx, time.Until(next)) {
			switch err := r.call(); {
			case err == nil:
				r.calls.Add(1)
			case r.ctx.Err() != nil:
				return
			default:
				r.failure.CompareAndSwap(nil, &failure{time.Now(), err})
				r.failed.Add(1)
			}
			if next = next.Add(r.config.every); time.Until(next) < 0 {
				next = time.Now() // calls that are late are not made up for
			}
		}
	})
}

func (r *replica) call() error {
	const patience = 15 * time.Second // no call may fail because the machine is slow
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.config.apiURL+"payments", nil)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// kill ends the replica as SIGKILL ends a process, as far as Redis and the
// endpoint can see: its connections break, Redis first, so that it neither
// releases its lease nor reports its request. It still has to be closed.
func (r *replica) kill() {
	r.redisConns.cut()
	r.webConns.cut()
	r.cancel()
}

// close ends the replica and waits for it.
func (r *replica) close() {
	r.cancel()
	r.work.Wait()
	if r.rdb != nil {
		_ = r.cache.Close()
		_ = r.rdb.Close()
	}
	r.webConns.cut()
}

// pause waits for d, and reports false if ctx was done first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
