package tokencache

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// This file is about a renewer that dies, or is stopped for longer than its lease
// lasts. Then it must not send what it was about to.

// diesAndIsMissed lets a replica die that holds the lease and has given the fleet
// nothing. Nobody asks in its place before the lease has ended.
func diesAndIsMissed(tr *trial, m *member) {
	dies(tr, m)
	before := tr.requests()
	go func() {
		time.Sleep(18 * time.Second) // the lease is 20 s, and was taken a moment ago
		if n := tr.requests() - before; n > 0 {
			tr.violates("P2", "%s died with the lease, and others sent %d requests before it ended", m.name, n)
		}
	}()
}

// diesAndIsNotMissed lets a replica die that has given the fleet a token, and not
// yet the lease. All others have the token at once, whoever holds the lease.
func diesAndIsNotMissed(tr *trial, m *member) {
	dies(tr, m)
	others := tr.all()
	if left := tr.m.TTL(m.source.client.names.Lock); left <= 0 || left > 20*time.Second {
		tr.violates("P7", "the lease has %v left, want up to 20 s", left)
	}
	newest := m.asked()
	go func() {
		for _, other := range others {
			if other.source.held.Load() != nil && other.asked().Before(newest) { // it looks within minutes; why not now
				other.lookNow()
			}
		}
		time.Sleep(time.Second)
		for _, other := range others {
			if other != m && other.asked().Before(newest) {
				tr.violates("P7", "%s has the token of %v a second after there was one of %v", other.name, other.asked(), newest)
			}
		}
	}()
}

// A holder is stopped just before it sends its request, for longer than its lease
// lasts. When it wakes, it is too late to send.
func TestHolderStoppedBeforeItSends(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		stopped := f.start(1)[0]
		base := f.tenant.Transport()
		stopped.cache.rt = tripper(func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Minute)
			return base.RoundTrip(req)
		})
		go func() { _, _ = stopped.source.Token(f.t.Context()) }()
		time.Sleep(time.Second)
		f.together(f.start(5))
		time.Sleep(2 * time.Minute)
		f.want(1)
		f.token(stopped)
		f.want(1)
	})
}

// A holder is stopped when it has the lease and has sent nothing: here in a logger,
// which it tells of a damaged record.
func TestHolderStoppedWithTheLease(t *testing.T) {
	var holder atomic.Pointer[testReplica]
	var stopped atomic.Bool
	opts := Options{Logger: slog.New(handler(func(r slog.Record) {
		if h := holder.Load(); h != nil && strings.Contains(r.Message, "damaged") && h.renews() && !stopped.Swap(true) {
			time.Sleep(time.Minute)
		}
	}))}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, opts, func(f *fleet) {
		first := f.start(1)[0]
		f.token(first)
		synctest.Wait()
		f.m.HSet(first.source.token.Key(), "sealed", "garbage")
		r := f.start(1)[0]
		holder.Store(r)
		go func() { _, _ = r.source.Token(f.t.Context()) }()
		time.Sleep(time.Second)
		if !stopped.Load() || !r.renews() {
			f.t.Fatal("it was not stopped with the lease")
		}
		time.Sleep(25 * time.Second) // the lease has ended
		f.together(f.start(3))
		f.want(2)
		time.Sleep(2 * time.Minute)
		f.token(r)
		f.want(2)
	})
}

// renews reports whether r holds the lease.
func (r *testReplica) renews() bool {
	value, _ := r.net.m.Get(r.source.client.names.Lock)
	return strings.Contains(value, r.cache.locker.ID())
}
