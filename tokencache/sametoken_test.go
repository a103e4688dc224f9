package tokencache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file is about endpoints that give out a token again as long as it is valid,
// as some gateways do. Whoever asks because it is to be replaced gets the same.

// A parrot is such an endpoint.
type parrot struct {
	life, reuse time.Duration // of a token; and for so long it gives out the same
	constant    bool          // it says the whole life each time, and not what is left
	issued      time.Time
	requests    atomic.Int64
	tokens      int
}

func (p *parrot) RoundTrip(*http.Request) (*http.Response, error) {
	p.requests.Add(1)
	time.Sleep(10 * time.Millisecond)
	now := time.Now()
	if p.tokens == 0 || now.Sub(p.issued) >= p.reuse {
		p.tokens, p.issued = p.tokens+1, now
	}
	left := p.life
	if !p.constant {
		left -= now.Sub(p.issued)
	}
	body := fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, p.tokens, int(left.Seconds()))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func TestSameTokenAgain(t *testing.T) {
	const life = 10 * time.Hour
	for _, row := range []struct {
		name string
		p    *parrot
		most int64 // requests in two lives
	}{
		// What is left of it becomes less and less, and with it the window.
		{"until it expires", &parrot{life: life, reuse: life}, 20},
		{"until shortly before", &parrot{life: life, reuse: life - 5*time.Minute}, 12},
		// The endpoint says that the token lives longer than it has said before.
		{"for longer and longer", &parrot{life: life, reuse: 30 * life, constant: true}, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			story(t, nil, Options{}, func(f *fleet) {
				for _, r := range f.start(10) {
					r.cache.rt = row.p
				}
				for range 2 * life / time.Minute {
					for _, r := range f.replicas {
						if _, err := r.source.Token(f.t.Context()); err != nil {
							f.t.Fatal(err)
						}
					}
					time.Sleep(time.Minute)
				}
				if n := row.p.requests.Load(); n > row.most {
					f.t.Errorf("got %d token requests in two lives, want %d at most", n, row.most)
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
		p := &parrot{life: 10 * time.Hour, reuse: time.Hour, constant: true}
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
