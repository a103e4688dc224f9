package demo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/tokencache"
)

// A ReplicaConfig is what a replica needs to know.
type ReplicaConfig struct {
	Name        string
	Redis       *redis.UniversalOptions
	Credentials tokencache.Credentials
	APIURL      string

	// Options are the cache's. The replica brings its own Transport and Trace.
	Options tokencache.Options

	// Roots sign the certificates of the token endpoint and the API. Nil means
	// the system's.
	Roots *x509.CertPool
}

// A replica is one process of the fleet, as an application would be: a Redis
// client, a tokencache.Cache, and an HTTP client that carries the fleet's token.
// It does what commands tell it, and tells what happens.
type replica struct {
	name   string
	tell   func(Event)
	dead   atomic.Bool
	redis  cable // its way to Redis
	web    cable // its way to the token endpoint and the API
	meter  *meter
	rdb    redis.UniversalClient
	cache  *tokencache.Cache
	source *tokencache.Source
	load   *load

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	stopLoad func() // nil: there is no load
}

// newReplica makes a replica. It does no I/O until it is told to.
func newReplica(cfg ReplicaConfig, tell func(Event)) (*replica, error) {
	r := &replica{name: cfg.Name, meter: newMeter(cmp.Or(cfg.Options.Prefix, tokencache.DefaultPrefix))}
	r.tell = func(e Event) {
		if !r.dead.Load() { // the dead tell nothing
			tell(e)
		}
	}
	r.rdb = tokencache.NewRedisClient(r.wired(cfg.Redis))
	r.rdb.AddHook(r.meter)
	options := cfg.Options
	options.Replica, options.Hooks = cfg.Name, r.trace()
	options.Transport = announced{r.transport(cfg.Roots, false), r.tell}
	var err error
	if r.cache, err = tokencache.New(r.rdb, &options); err == nil {
		r.source, err = r.cache.Source(cfg.Credentials)
	}
	if err != nil {
		return nil, errors.Join(err, r.rdb.Close())
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	base := context.WithValue(r.ctx, oauth2.HTTPClient, &http.Client{Transport: r.transport(cfg.Roots, true)})
	r.load = &load{client: r.source.Client(base), url: cfg.APIURL + "payments"}
	return r, nil
}

// wired returns the options of a Redis client whose connections run through the
// replica's cable.
func (r *replica) wired(opts *redis.UniversalOptions) *redis.UniversalOptions {
	wired := *opts
	next := dialer(opts.Dialer)
	if next == nil { // what go-redis would do by itself
		next = redis.NewDialer(&redis.Options{DialTimeout: time.Second, TLSConfig: opts.TLSConfig})
	}
	wired.Dialer = r.redis.through(next)
	return &wired
}

// transport returns an HTTP transport through the replica's cable. Without
// keeping connections it is one for token requests, as the library's own is.
func (r *replica) transport(roots *x509.CertPool, keep bool) *http.Transport {
	return &http.Transport{
		DialContext:       r.web.through((&net.Dialer{Timeout: 10 * time.Second}).DialContext),
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DisableKeepAlives: !keep,
	}
}

// announced tells of a token request when it is sent: the cache's own trace
// tells when it is over.
type announced struct {
	base http.RoundTripper
	tell func(Event)
}

func (a announced) RoundTrip(req *http.Request) (*http.Response, error) {
	a.tell(Event{Event: EventAsking})
	return a.base.RoundTrip(req)
}

// trace turns what the cache does into events.
func (r *replica) trace() *tokencache.Hooks {
	return &tokencache.Hooks{
		Requested: func(i tokencache.RequestedInfo) {
			r.tell(Event{
				Event: EventRequested, Why: i.Reason, Status: i.Status, Quota: i.Limits.String(), Error: text(i.Err),
				TookMS: milliseconds(i.Took), LifeMS: i.Lifetime.Milliseconds(),
			})
		},
		Adopted: func(i tokencache.AdoptedInfo) {
			r.tell(Event{Event: EventAdopted, Token: r.digest(), By: i.By, LeftMS: i.Remaining.Milliseconds()})
		},
		Denied: func(i tokencache.DeniedInfo) {
			r.tell(Event{Event: EventDenied, Why: string(i.Err.Reason), LeftMS: i.Err.RetryIn.Milliseconds(), Error: i.Err.Error()})
		},
		Redis: func(i tokencache.RedisInfo) { r.tell(Event{Event: EventRedis, Error: text(i.Err)}) },
	}
}

// digest names the token in memory without giving it away.
func (r *replica) digest() string {
	token, err := r.source.Token(r.ctx)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(token.AccessToken))
	return hex.EncodeToString(sum[:4])
}

// ready tells that the replica stands, and under which name.
func (r *replica) ready() Event {
	return Event{Event: EventReady, Replica: strings.TrimPrefix(r.cache.String(), "cache of replica ")}
}

// do carries out a command. It does not wait for it.
func (r *replica) do(c Command) {
	if r.dead.Load() {
		return
	}
	switch c.Do {
	case DoToken:
		r.work.Go(func() { r.first(r.ctx, c) })
	case DoLoad:
		r.begin(c)
	case DoStop:
		r.end()
		r.tell(r.counters(c.ID))
	case DoCount:
		r.tell(r.counters(c.ID))
	case DoRotate:
		r.work.Go(func() { r.rotate(c) })
	case DoStatus:
		r.work.Go(func() {
			status, err := r.source.Status(r.ctx)
			r.tell(Event{Event: EventStatus, ID: c.ID, Info: status, Error: text(err)})
		})
	case DoCut:
		r.redis.cut()
		r.tell(Event{Event: EventCut, ID: c.ID})
	case DoMend:
		r.redis.mend()
		r.tell(Event{Event: EventMended, ID: c.ID})
	default:
		r.tell(Event{Event: EventUnknown, ID: c.ID, Error: fmt.Sprintf("no replica knows the command %q", c.Do)})
	}
}

// first gets a token and tells how long that took.
func (r *replica) first(ctx context.Context, c Command) {
	ctx, cancel := context.WithTimeout(ctx, c.within())
	defer cancel()
	start := time.Now()
	_, err := r.source.Token(ctx)
	e := Event{Event: EventToken, ID: c.ID, TookMS: milliseconds(time.Since(start)), Error: text(err)}
	if err == nil {
		e.Token = r.digest()
	}
	r.tell(e)
}

// begin gets a token and starts the load.
func (r *replica) begin(c Command) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopLoad != nil {
		return
	}
	rate := c.Rate
	if rate <= 0 {
		rate = 25
	}
	r.load.every = time.Duration(float64(time.Second) / rate)
	ctx, cancel := context.WithCancel(r.ctx)
	var running sync.WaitGroup
	r.stopLoad = func() { cancel(); running.Wait() }
	running.Go(func() {
		r.first(ctx, c)
		r.load.run(ctx)
	})
	running.Go(func() { r.report(ctx) })
}

// report tells the counters now and then.
func (r *replica) report(ctx context.Context) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.tell(r.counters(0))
		case <-ctx.Done():
			return
		}
	}
}

func (r *replica) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopLoad != nil {
		r.stopLoad()
		r.stopLoad = nil
	}
}

func (r *replica) rotate(c Command) {
	ctx, cancel := context.WithTimeout(r.ctx, c.within())
	defer cancel()
	start := time.Now()
	err := r.source.Rotate(ctx)
	r.tell(Event{Event: EventRotated, ID: c.ID, TookMS: milliseconds(time.Since(start)), Error: text(err)})
}

func (r *replica) counters(id int) Event {
	c := r.load.counters()
	c.Commands = r.meter.count()
	return Event{Event: EventCounters, ID: id, Counters: &c}
}

// sever is the death of a replica, as far as anybody else can tell: it says no
// more, and its connections break. Redis goes first, so that it cannot report
// the request that it was in the middle of, nor give back its lease.
func (r *replica) sever() {
	r.dead.Store(true)
	r.cancel()
	r.redis.cut()
	r.web.cut()
}

// close ends the replica politely, and waits for it.
func (r *replica) close() {
	r.end()
	r.cancel()
	r.work.Wait()
	_ = r.cache.Close() // it has no error to tell
	_ = r.rdb.Close()   // the connections are gone either way
	r.web.cut()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
