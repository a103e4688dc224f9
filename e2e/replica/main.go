// Command replica is one process of a fleet, for the tests of package e2e, which
// start it and kill it. It reads commands from its standard input and writes
// events to its standard output, one JSON object a line:
//
//	{"do":"token","id":1,"within_ms":500}  get a token; answered by token
//	{"do":"load","id":2,"rate":25}         get a token, answered by token, and call the API from then on
//	{"do":"stop","id":3}                   stop the calls; answered by counters
//	{"do":"count","id":4}                  answered by counters
//	{"do":"quit","id":5}                   end; answered by bye, the last event
//
// An answer has the id of its command. The replica also reports ready, its first
// event, and asking before each token request. An event names a token by a
// digest; it holds neither a token nor a secret. The replica ends with its input.
//
// Its settings are some of those of the fleettoken command.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/tokencache"
)

func main() {
	if err := run(os.Getenv, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "replica:", err)
		os.Exit(1)
	}
}

type command struct {
	Do       string  `json:"do"`
	ID       int     `json:"id"`
	Rate     float64 `json:"rate"`      // calls a second; zero means 25
	WithinMS int64   `json:"within_ms"` // bounds the wait for a token; zero means 30 s
}

type event struct {
	Event    string    `json:"event"`
	ID       int       `json:"id,omitempty"`
	Error    string    `json:"error,omitempty"`
	Token    string    `json:"token,omitempty"`
	Counters *counters `json:"counters,omitempty"`
}

type counters struct {
	Calls     int    `json:"calls"`
	Failed    int    `json:"failed"`
	LastError string `json:"last_error,omitempty"`
}

// run serves commands until one says quit, or the input ends.
func run(getenv func(string) string, in io.Reader, out io.Writer) error {
	r, err := newReplica(getenv, out)
	if err != nil {
		return err
	}
	defer r.close()
	r.report(event{Event: "ready"})
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("not a command: %w", err)
		}
		switch c.Do {
		case "token":
			r.work.Go(func() { r.token(c) })
		case "load":
			r.load(c)
		case "stop":
			r.stop()
			r.count(c)
		case "count":
			r.count(c)
		case "quit":
			r.close()
			r.report(event{Event: "bye", ID: c.ID})
			return nil
		default:
			return fmt.Errorf("unknown command %q", c.Do)
		}
	}
	return lines.Err()
}

// A replica is a Redis client, a tokencache.Cache and an HTTP client.
type replica struct {
	mu     sync.Mutex // keeps events apart
	out    *json.Encoder
	rdb    redis.UniversalClient
	cache  *tokencache.Cache
	source *tokencache.Source
	client *http.Client
	api    string

	ctx           context.Context
	cancel        context.CancelFunc
	work          sync.WaitGroup
	stop          func() // ends the load
	calls, failed atomic.Int64
	last          atomic.Pointer[string]
}

func newReplica(getenv func(string) string, out io.Writer) (*replica, error) {
	setting := func(name string) string { return getenv("FLEETTOKEN_" + name) }
	opts, err := redis.ParseURL(setting("REDIS_URL"))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(setting("CA_FILE"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	options := tokencache.Options{Replica: setting("REPLICA"), Subscribe: true}
	for name, field := range map[string]*time.Duration{"RENEW_BEFORE": &options.RenewBefore, "REQUEST_TIMEOUT": &options.RequestTimeout} {
		if text := setting(name); text != "" {
			if *field, err = time.ParseDuration(text); err != nil {
				return nil, err
			}
		}
	}
	if options.EncryptionKeys, err = keys(setting("ENCRYPTION_KEYS_FILE")); err != nil {
		return nil, err
	}
	r := &replica{out: json.NewEncoder(out), api: getenv("REPLICA_API_URL"), stop: func() {}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, DisableKeepAlives: true}
	options.Transport = announced{transport, r}
	r.rdb = tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{opts.Addr}, Username: opts.Username, Password: opts.Password, DB: opts.DB})
	if r.cache, err = tokencache.New(r.rdb, &options); err == nil {
		r.source, err = r.cache.Source(tokencache.Credentials{
			TokenURL: setting("TOKEN_URL"), ClientID: setting("CLIENT_ID"), ClientSecret: setting("CLIENT_SECRET"), Audience: setting("AUDIENCE"),
		})
	}
	if err != nil {
		return nil, errors.Join(err, r.rdb.Close())
	}
	base := &http.Client{Transport: &http.Transport{TLSClientConfig: transport.TLSClientConfig}}
	r.client = r.source.Client(context.WithValue(r.ctx, oauth2.HTTPClient, base))
	return r, nil
}

// keys reads the file of keys that tokens in Redis are encrypted with.
func keys(path string) (list [][]byte, err error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	for line := range strings.FieldsSeq(string(text)) {
		key, wrong := base64.StdEncoding.DecodeString(line)
		list, err = append(list, key), errors.Join(err, wrong)
	}
	return list, err
}

// announced reports a token request before it is sent.
type announced struct {
	base    http.RoundTripper
	replica *replica
}

func (a announced) RoundTrip(req *http.Request) (*http.Response, error) {
	a.replica.report(event{Event: "asking"})
	return a.base.RoundTrip(req)
}

func (r *replica) report(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.out.Encode(e) // a parent that is gone has closed the input, too
}

// token gets a token and reports it.
func (r *replica) token(c command) {
	within := 30 * time.Second
	if c.WithinMS > 0 {
		within = time.Duration(c.WithinMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(r.ctx, within)
	defer cancel()
	e := event{Event: "token", ID: c.ID}
	if token, err := r.source.Token(ctx); err != nil {
		e.Error = err.Error()
	} else {
		sum := sha256.Sum256([]byte(token.AccessToken))
		e.Token = hex.EncodeToString(sum[:4])
	}
	r.report(e)
}

// load gets a token, and calls the API from then on.
func (r *replica) load(c command) {
	r.stop()
	rate := 25.0
	if c.Rate > 0 {
		rate = c.Rate
	}
	ctx, cancel := context.WithCancel(r.ctx)
	var calling sync.WaitGroup
	r.stop = func() { cancel(); calling.Wait() }
	calling.Go(func() {
		r.token(c)
		ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			if err := r.call(ctx); err == nil {
				r.calls.Add(1)
			} else if ctx.Err() == nil {
				r.failed.Add(1)
				text := err.Error()
				r.last.Store(&text)
			}
		}
	})
}

func (r *replica) call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.api+"payments", nil)
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
		return fmt.Errorf("the API answered %d", resp.StatusCode)
	}
	return nil
}

func (r *replica) count(c command) {
	n := &counters{Calls: int(r.calls.Load()), Failed: int(r.failed.Load())}
	if last := r.last.Load(); last != nil {
		n.LastError = *last
	}
	r.report(event{Event: "counters", ID: c.ID, Counters: n})
}

func (r *replica) close() {
	r.stop()
	r.cancel()
	r.work.Wait()
	_ = r.cache.Close()
	_ = r.rdb.Close()
}
