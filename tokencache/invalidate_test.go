package tokencache

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/redis/go-redis/v9"
)

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
	long(t)
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

// Whoever rejects a token that is given out again is told so, and does not ask
// again and again.
func TestSameTokenAfterARejection(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		p := &repeatServer{life: 10 * time.Hour, reuse: time.Hour, constant: true}
		for _, r := range f.start(10) {
			r.cache.rt = p
		}
		reject := func(r *testReplica) (string, error) {
			tok, err := r.source.Token(f.t.Context())
			if err != nil {
				f.t.Fatal(err)
			}
			return tok.AccessToken, r.source.Invalidate(f.t.Context(), tok)
		}
		first, err := reject(f.replicas[0])
		if !errors.Is(err, replica.ErrSameToken) {
			f.t.Errorf("got %v, want %v", err, replica.ErrSameToken)
		}
		for range 10 {
			for _, r := range f.replicas {
				if _, err := reject(r); err == nil {
					f.t.Error("a token was replaced by itself")
				}
			}
			time.Sleep(time.Minute)
		}
		if n := p.requests.Load(); n > 2 {
			f.t.Errorf("got %d token requests for a hundred rejections, want the first and one more", n)
		}
		time.Sleep(time.Hour)
		if _, err := reject(f.replicas[0]); err != nil {
			f.t.Errorf("there is another one, and Reject returned %v", err)
		}
		if tok, err := f.replicas[0].source.Token(f.t.Context()); err != nil || tok.AccessToken == first {
			f.t.Errorf("the token was not replaced: %v", err)
		}
	})
}
