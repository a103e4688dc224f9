package tokencache

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// The renewer dies in the middle of its request: the others take over when its
// lease ends, and the request it sent is not sent again before.
func TestRenewerDies(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{}, Options{}, func(f *fleet) {
		f.tenant.Inject(1, auth0test.Hang())
		victim := f.start(1)[0]
		go func() { _, _ = victim.source.Token(f.t.Context()) }()
		time.Sleep(time.Second)
		victim.net.cut() // as far as anybody can tell, it is dead
		f.replicas = nil
		slowest := f.together(f.start(10))
		if slowest < 18*time.Second || slowest > 21*time.Second {
			t.Errorf("the others had a token after %v, want about 19 s: when the lease of 20 s ends", slowest)
		}
		f.want(2)
		victim.net.mend()
		f.replicas = append(f.replicas, victim)
	})
}

// The same in steady state: nobody notices.
func TestRenewerDiesInSteadyState(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		f.together(f.start(10))
		f.serve(9*time.Hour-time.Minute, time.Hour)
		f.tenant.Inject(3, auth0test.Hang()) // three renewers in a row
		f.serve(59*time.Minute, time.Minute)
		if got := f.requests(); got != 5 {
			t.Errorf("got %d token requests, want 5: the first, three lost, and one", got)
		}
	})
}

// A holder is stopped, with its request on the way, for longer than its lease
// lasts. Another one renews. When the first wakes, what it brings must not
// replace what is newer.
func TestHolderPaused(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		stopped := f.start(1)[0]
		pause := &pausing{base: f.tenant.Transport(), after: time.Minute}
		stopped.cache.rt = pause
		done := make(chan struct{})
		go func() { f.token(stopped); close(done) }()
		time.Sleep(time.Second)
		others := f.start(5)
		f.together(others)
		time.Sleep(10 * time.Second)
		newest := f.token(others[0])
		<-done
		f.want(2)
		time.Sleep(10 * time.Hour / 10)
		fresh := f.start(1)[0]
		if got := f.token(fresh); got != newest {
			t.Error("the fleet's token was replaced by an older one")
		}
		f.want(2)
	})
}

// pausing is a transport whose process is stopped when the answer is there.
type pausing struct {
	base  http.RoundTripper
	after time.Duration
}

func (p *pausing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.base.RoundTrip(req.WithContext(context.WithoutCancel(req.Context())))
	time.Sleep(p.after)
	return resp, err
}

// diesAndIsMissed lets a replica die that holds the lease and has given the fleet
// nothing. Nobody asks in its place before the lease has ended.
func diesAndIsMissed(tr *simulation, m *member) {
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
func diesAndIsNotMissed(tr *simulation, m *member) {
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

// A tripper is a transport made of a function.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A handler is a function that takes in what is logged.
type handler func(slog.Record)

func (h handler) Enabled(context.Context, slog.Level) bool      { return true }
func (h handler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handler) WithGroup(string) slog.Handler                 { return h }

// lookNow lets a replica look, as it may at any time.
func (r *testReplica) lookNow() {
	s := r.source
	s.fetchNow()
}
