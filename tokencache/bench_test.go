package tokencache

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"
)

// The peers are what a service uses that moves here: golang.org/x/oauth2, with
// the same token and the same request, in the same run.

// warm returns a Source that holds a token with an hour to live, and the peer's
// source of the same one.
func warm(tb testing.TB) (*Source, oauth2.TokenSource) {
	tb.Helper()
	rdb := redis.NewClient(&redis.Options{})
	tb.Cleanup(func() { _ = rdb.Close() })
	s := newTestSource(tb, rdb)
	s.give(strings.Repeat("x", 900)) // as long as Auth0's are
	tok, err := s.Token(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return s, oauth2.ReuseTokenSource(nil, oauth2.StaticTokenSource(tok))
}

func BenchmarkToken(b *testing.B) {
	s, peer := warm(b)
	ctx := b.Context()
	b.Run("fleettoken", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Token(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("oauth2", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := peer.Token(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTokenParallel(b *testing.B) {
	s, peer := warm(b)
	ctx := b.Context()
	b.Run("fleettoken", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Token(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("oauth2", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := peer.Token(); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// nothing is a transport that answers at once.
type nothing struct{ resp *http.Response }

func (n nothing) RoundTrip(*http.Request) (*http.Response, error) { return n.resp, nil }

func BenchmarkTransport(b *testing.B) {
	s, peer := warm(b)
	base := nothing{&http.Response{StatusCode: http.StatusOK, Body: http.NoBody}}
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://api.test/v1/things", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	for name, rt := range map[string]http.RoundTripper{
		"fleettoken": s.Transport(base), "oauth2": &oauth2.Transport{Source: peer, Base: base},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rt.RoundTrip(req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSourceAtRest tells what a Source costs that holds a token and does
// nothing: bytes and goroutines each.
func BenchmarkSourceAtRest(b *testing.B) {
	first, _ := warm(b)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	const n = 1000
	var bytes, goroutines float64
	for b.Loop() {
		before, running := heap(), runtime.NumGoroutine()
		cache, err := New(first.client.host.rdb, nil)
		if err != nil {
			b.Fatal(err)
		}
		for i := range n {
			cred := first.cred
			cred.Audience = strings.Repeat("a", i+1)
			s, err := cache.Source(cred)
			if err != nil {
				b.Fatal(err)
			}
			s.give(strings.Repeat("x", 900))
		}
		bytes = float64(heap()-before) / n
		goroutines = float64(runtime.NumGoroutine()-running) / n
		cache.Close()
	}
	b.ReportMetric(bytes, "B/source")
	b.ReportMetric(goroutines, "goroutines/source")
	b.ReportMetric(0, "ns/op")
}

func TestTokenDoesNotAllocate(t *testing.T) {
	s, _ := warm(t)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Token(ctx) }); n != 0 {
		t.Errorf("Token from memory allocates %v times, want 0", n)
	}
}
