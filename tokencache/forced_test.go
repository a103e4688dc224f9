package tokencache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// get calls the API once through the replica's own client and returns the
// status.
func (f *fleet) get(client *http.Client) int {
	f.t.Helper()
	resp, err := client.Get(f.tenant.APIURL())
	if err != nil {
		f.t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (f *fleet) client(r *testReplica) *http.Client {
	return &http.Client{Transport: r.source.Transport(f.tenant.Transport())}
}

// The API refuses the token all at once, to everybody. It is replaced once, and
// no caller notices.
func TestBurstOf401s(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100, Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
		f.together(f.start(20))
		synctest.Wait()
		f.tenant.RevokeAll()
		revoked := time.Now().Truncate(time.Millisecond)
		var wg sync.WaitGroup
		for _, r := range f.replicas {
			client := f.client(r)
			for range 10 {
				wg.Go(func() {
					if got := f.get(client); got != http.StatusOK {
						f.t.Errorf("%s: got status %d, want 200 after a replay", r.name, got)
					}
				})
			}
		}
		wg.Wait()
		f.want(2)
		status, err := f.replicas[3].source.Status(f.t.Context())
		if err != nil || status.Fleet == nil || status.Fleet.Issued.Before(revoked) {
			f.t.Errorf("got %+v, %v, want one issued since %v", status.Fleet, err, revoked)
		}
	})
}

// An API that refuses every token: the quota is not burnt, whatever the callers
// do, and they get the API's own answer.
func TestAPIRefusesEveryToken(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		var clients []*http.Client
		for _, r := range f.start(10) {
			clients = append(clients, f.client(r))
		}
		f.tenant.RejectAll(true)
		for range 60 {
			for i, r := range f.replicas {
				if got := f.get(clients[i]); got != http.StatusUnauthorized {
					f.t.Errorf("%s: got status %d, want the API's 401", r.name, got)
				}
			}
			time.Sleep(30 * time.Second)
		}
		// One to begin with, and a tenth of 42.
		if got := f.requests(); got != 5 {
			f.t.Errorf("got %d token requests in half an hour of 401s, want 5", got)
		}
		for range 47 * 2 {
			for _, client := range clients {
				f.get(client)
			}
			time.Sleep(30 * time.Minute)
		}
		if got := f.requests(); got > 2+3*10 {
			f.t.Errorf("got %d token requests in two days of 401s, want a tenth of each day's hundred at most", got)
		}
		f.tenant.RejectAll(false)
		if got := f.get(clients[0]); got != http.StatusOK {
			f.t.Errorf("when the API is well again: got status %d", got)
		}
	})
}

// Reject compares: who rejects a token that was replaced already, changes
// nothing.
func TestRejectComparesTheToken(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		old, err := r.source.Token(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		if err := r.source.Invalidate(f.t.Context(), old); err != nil {
			f.t.Fatal(err)
		}
		f.want(2)
		for range 10 {
			if err := r.source.Invalidate(f.t.Context(), old); err != nil {
				f.t.Error(err)
			}
		}
		if err := r.source.Invalidate(f.t.Context(), nil); err != nil {
			f.t.Error(err)
		}
		f.want(2)
		if f.token(r) == old.AccessToken {
			f.t.Error("the rejected token is served on")
		}
		for range 3 {
			tok, _ := r.source.Token(f.t.Context())
			if err := r.source.Invalidate(f.t.Context(), tok); err != nil {
				f.t.Error(err)
			}
		}
		tok, _ := r.source.Token(f.t.Context())
		err = r.source.Invalidate(f.t.Context(), tok)
		failed, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, quota.ErrDenied) || errors.Is(err, ErrNoToken) || failed.ValidUntil.IsZero() {
			f.t.Errorf("beyond the budget: got %v, want a denial that names until when the token is valid", err)
		}
		if f.token(r) != tok.AccessToken {
			f.t.Error("the token that could not be replaced is not served any more")
		}
		f.want(5)
	})
}

func TestRotate(t *testing.T) {
	for _, listen := range []bool{false, true} {
		story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 100 * time.Millisecond}, Options{Subscribe: listen}, func(f *fleet) {
			f.together(f.start(20))
			old := f.token(f.replicas[0])
			time.Sleep(time.Hour)
			operator := f.start(1)[0] // who has not even looked yet
			if err := operator.source.Rotate(f.t.Context()); err != nil {
				f.t.Fatal(err)
			}
			f.want(2)
			if status, err := f.replicas[0].source.Status(f.t.Context()); err != nil || status.Fleet == nil || status.Fleet.Age >= time.Minute {
				f.t.Errorf("when Rotate returns, the fleet has %+v, %v, want a new token", status.Fleet, err)
			}
			time.Sleep(time.Second)
			if newcomer := f.start(1)[0]; f.token(newcomer) == old {
				f.t.Error("a newcomer adopted the token that was rotated away")
			}
			holding := 0
			for _, r := range f.replicas {
				if f.token(r) == old {
					holding++
				}
			}
			if listen && holding != 0 {
				f.t.Errorf("%d replicas that listen hold the old token a second later", holding)
			}
			f.serve(9*time.Hour, 10*time.Minute) // the window of the new one has begun an hour ago
			for _, r := range f.replicas {
				if f.token(r) == old {
					f.t.Errorf("%s holds the token that was rotated away hours ago", r.name)
				}
			}
		})
	}
}

// A token from before a rotation does not come back, by no way; nor does one that
// the API has refused.
func TestRotatedTokenDoesNotComeBack(t *testing.T) {
	t.Run("rotate", func(t *testing.T) {
		doesNotComeBack(t, func(ctx context.Context, s *Source) error { return s.Rotate(ctx) })
	})
	t.Run("reject", func(t *testing.T) {
		doesNotComeBack(t, func(ctx context.Context, s *Source) error {
			tok, err := s.Token(ctx)
			if err != nil {
				return err
			}
			return s.Invalidate(ctx, tok)
		})
	})
}

func doesNotComeBack(t *testing.T, replace func(ctx context.Context, s *Source) error) {
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(3))
		synctest.Wait()
		old := f.token(f.replicas[0])
		key := f.replicas[0].source.token.Key()
		issued, expires, sealed := f.m.HGet(key, "issued"), f.m.HGet(key, "expires"), f.m.HGet(key, "sealed")
		time.Sleep(time.Minute)
		if err := replace(f.t.Context(), f.replicas[1].source); err != nil {
			f.t.Fatal(err)
		}
		synctest.Wait()

		// Redis loses the record, and a replica that has not heard of the
		// rotation would give back what it has.
		f.m.Del(key)
		s := f.replicas[0].source
		s.fetchNow()
		synctest.Wait()
		if f.m.Exists(key) {
			f.t.Error("a token from before the rotation was given back to the fleet")
		}
		// Somebody puts it back by hand.
		f.m.HSet(key, "issued", issued, "expires", expires, "sealed", sealed)
		if status, err := f.replicas[1].source.Status(f.t.Context()); err != nil || status.Fleet != nil {
			f.t.Errorf("got %+v, %v, want that the fleet has no token", status.Fleet, err)
		}
		if newcomer := f.start(1)[0]; f.token(newcomer) == old {
			f.t.Error("a newcomer adopted a token from before the rotation")
		}
	})
}

func TestRotateWhileDenied(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		f.tenant.Inject(-1, auth0test.Status(503))
		start := time.Now()
		err := r.source.Rotate(f.t.Context())
		failed, ok := errors.AsType[*RequestError](err)
		if !ok || failed.Class != ClassUnavailable || failed.RetryAt.IsZero() {
			f.t.Errorf("got %v, want the failed request and when the next one is", err)
		}
		if took := time.Since(start); took > DefaultMaxWait {
			f.t.Errorf("took %v, want to give up within %v", took, DefaultMaxWait)
		}
		f.token(r) // the old one goes on
		f.tenant.ClearFaults()
		time.Sleep(time.Minute)
		if err := r.source.Rotate(f.t.Context()); err != nil {
			f.t.Error(err)
		}
	})
}

func TestTransport(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		client := f.client(r)
		body := strings.Repeat("x", 1<<16)
		post := func(body io.Reader) *http.Response {
			f.t.Helper()
			resp, err := client.Post(f.tenant.APIURL(), "text/plain", body)
			if err != nil {
				f.t.Fatal(err)
			}
			resp.Body.Close()
			return resp
		}
		if resp := post(strings.NewReader(body)); resp.StatusCode != http.StatusOK {
			f.t.Errorf("got %s", resp.Status)
		}
		f.tenant.RevokeAll()
		if resp := post(strings.NewReader(body)); resp.StatusCode != http.StatusOK {
			f.t.Errorf("with a body that can be replayed: got %s", resp.Status)
		}
		calls := f.tenant.RecentAPICalls()
		for _, call := range calls {
			if !bytes.Equal(call.Body, []byte(body)) && call.Length != int64(len(body)) {
				f.t.Errorf("call %+v did not carry the whole body", call)
			}
		}
		if len(calls) != 3 {
			f.t.Errorf("got %d API calls, want 3: one, one refused, and its replay", len(calls))
		}
		f.tenant.RevokeAll()
		if resp := post(io.MultiReader(strings.NewReader(body))); resp.StatusCode != http.StatusUnauthorized {
			f.t.Errorf("with a body that cannot be replayed: got %s, want the API's 401", resp.Status)
		}
		synctest.Wait()
		if resp := post(io.MultiReader(strings.NewReader(body))); resp.StatusCode != http.StatusOK {
			f.t.Errorf("the next one: got %s, want the refused token to have been replaced", resp.Status)
		}
		f.want(3)
	})
}

// A recorder notes what reaches it, and answers as told.
type recorder struct {
	answers map[string]*http.Response // by URL
	seen    []*http.Request
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.seen = append(r.seen, req)
	if req.Body != nil {
		_ = req.Body.Close()
	}
	resp, ok := r.answers[req.URL.String()]
	if !ok {
		resp = &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	}
	resp.Request = req
	return resp, nil
}

func redirect(to string) *http.Response {
	return &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {to}}, Body: http.NoBody}
}

// A closing body tells that it was closed, as RoundTrip must do also when it
// fails.
type closingBody struct {
	io.Reader
	closed atomic.Bool
}

func (b *closingBody) Close() error { b.closed.Store(true); return nil }

// Without a token nothing is sent, and the caller hears why.
func TestTransportWithoutToken(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		f.tenant.Inject(-1, auth0test.OAuthError(401, "access_denied", "Unauthorized"))
		base := &recorder{}
		body := &closingBody{Reader: strings.NewReader("x")}
		req, _ := http.NewRequestWithContext(f.t.Context(), "POST", "https://api.test/", body)
		_, err := f.start(1)[0].source.Transport(base).RoundTrip(req)
		failed, ok := errors.AsType[*RequestError](err)
		if !ok || failed.Class != ClassCredentials || !errors.Is(err, ErrNoToken) {
			f.t.Errorf("got %v, want that the credentials are wrong", err)
		}
		if len(base.seen) != 0 || !body.closed.Load() {
			f.t.Errorf("got %d requests, body closed: %v, want none, and the body closed", len(base.seen), body.closed.Load())
		}
	})
}

// The API refuses a token in its last second, and the request for another one
// fails when it has expired. Whoever waits for that is told so, and does not ask
// for it again at once, all the while.
func TestRejectWhileTheTokenExpires(t *testing.T) {
	for name, fails := range map[string]func(f *fleet){
		"the endpoint": func(f *fleet) {
			f.tenant.Inject(-1, auth0test.Fault{Name: "late", Status: http.StatusServiceUnavailable, Latency: 3 * time.Second})
		},
		"Redis": func(f *fleet) {
			for _, r := range f.replicas {
				r.net.set(func() { r.net.delay = 2 * time.Second })
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Minute}, Options{MaxWait: time.Hour}, func(f *fleet) {
				r := f.start(1)[0]
				var commands atomic.Int64
				r.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
					commands.Add(1)
					return next(ctx, cmd)
				}))
				old, err := r.source.Token(f.t.Context())
				if err != nil {
					f.t.Fatal(err)
				}
				h := r.source.held.Load()
				r.source.putOff(h.Plan.Expire) // it would have been renewed long before
				time.Sleep(h.Plan.Expire - time.Second)
				fails(f)
				ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Minute)
				defer cancel()
				if err := r.source.Invalidate(ctx, old); err == nil {
					f.t.Error("got no error, and there is no other token")
				}
				if n := commands.Load(); n > 2000 {
					f.t.Errorf("got %d Redis commands in ten minutes of waiting", n)
				}
			})
		})
	}
}

// A transport need not say which request a response is to. Then nobody knows where
// a redirect comes from, and the token stays here.
func TestRedirectFromNobodyKnowsWhere(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		leaked := false
		client := &http.Client{Transport: f.start(1)[0].source.Transport(tripper(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "elsewhere.test" {
				leaked = leaked || req.Header.Get("Authorization") != ""
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
			}
			return redirect("https://elsewhere.test/"), nil
		}))}
		resp, err := client.Get("https://api.test/")
		if err != nil {
			f.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if leaked {
			f.t.Error("the token went elsewhere")
		}
	})
}
