package tokencache

import (
	"errors"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// Close finishes what the fleet has paid for, and leaves nothing behind.
func TestClose(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{Latency: 3 * time.Second}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		errs := make(chan error, 1)
		go func() { _, err := r.source.Token(f.t.Context()); errs <- err }()
		time.Sleep(time.Second)
		start := time.Now()
		if err := r.cache.Close(); err != nil {
			f.t.Error(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			f.t.Errorf("Close took %v, want the two seconds until the answer", took)
		}
		if err := <-errs; err != nil && !errors.Is(err, ErrClosed) {
			f.t.Errorf("the caller got %v", err)
		}
		if f.m.Exists(r.source.client.names.Lock) {
			f.t.Error("the lease was not given back")
		}
		f.token(f.start(1)[0])
		f.want(1)
		if err := r.cache.Close(); err != nil {
			f.t.Errorf("Close again: %v", err)
		}
		if _, err := r.cache.Source(f.credentials()); !errors.Is(err, ErrClosed) {
			f.t.Errorf("Source after Close: got %v", err)
		}
		f.token(r) // it has one, and serves it
		cold := f.boot("cold")
		cold.cache.Close()
		if _, err := cold.source.Token(f.t.Context()); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNoToken) {
			f.t.Errorf("Token after Close: got %v", err)
		}
		cold.close()
	})
}

// Close ends a subscription also when so many calls to Redis are left behind that
// there are to be no more.
func TestCloseWhileCallsAreStuck(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{Subscribe: true}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		time.Sleep(time.Second)
		r.cache.stuck.Store(maxStuck)
		closed := make(chan error, 1)
		go func() { closed <- r.cache.Close() }()
		select {
		case err := <-closed:
			if err != nil {
				f.t.Error(err)
			}
		case <-time.After(time.Hour):
			f.t.Error("Close has not returned in an hour")
			r.net.drop()
			<-closed
		}
	})
}
