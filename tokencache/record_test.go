package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
	"github.com/redis/go-redis/v9"
)

// Redis goes away between a renewal and its commit, and nobody asks this replica any
// more. What it has paid for is the fleet's all the same.
func TestTokenThatTheFleetDoesNotHave(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.serve(8*time.Hour, time.Hour)
		r.web.set(func() { r.web.answered = r.net.cut })
		time.Sleep(2 * time.Hour)
		f.want(2)
		r.net.mend()
		time.Sleep(time.Minute)
		r.close()
		f.token(f.start(1)[0])
		f.want(2)
	})
}

// Somebody writes into the key of the floor.
func TestGarbageFloor(t *testing.T) {
	for _, garbage := range []string{"1e30", "0x7fffffff", "99999999999999999999", "9223372036854775807"} {
		t.Run(garbage, func(t *testing.T) {
			story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
				f.start(20)
				_ = f.m.Set(f.replicas[0].source.token.MinIssuedKey(), garbage)
				f.together(f.replicas)
				f.want(1)
			})
		})
	}
}

// Somebody writes into our keys, and the type is wrong. That is as good as
// nothing there.
func TestKeysOfAnotherType(t *testing.T) {
	for name, spoil := range map[string]func(f *fleet){
		"quota": func(f *fleet) {
			f.m.Del(f.replicas[0].source.client.names.Quota)
			_ = f.m.Set(f.replicas[0].source.client.names.Quota, "x")
		},
		"journal": func(f *fleet) {
			f.m.Del(f.replicas[0].source.client.names.Journal)
			_ = f.m.Set(f.replicas[0].source.client.names.Journal, "x")
		},
		"lock": func(f *fleet) { f.m.HSet(f.replicas[0].source.client.names.Lock, "x", "y") },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
				r := f.start(1)[0]
				// The quota is known already.
				f.token(r)
				synctest.Wait()
				f.m.Del(r.source.token.Key())
				r.close()
				*r = *f.boot("again")
				spoil(f)
				var err error
				for range 120 {
					if _, err = r.source.Token(f.t.Context()); err == nil {
						break
					}
					time.Sleep(30 * time.Second)
				}
				if err != nil {
					f.t.Errorf("an hour later: %v", err)
				}
				synctest.Wait() // until the ledger is told
				status, err := r.source.Status(f.t.Context())
				if err != nil {
					f.t.Fatal(err)
				}
				if w, _ := status.Quota.Find(quota.Client, quota.PerDay); int(w.Used) != f.requests() {
					f.t.Errorf("the ledger has %d used, and %d requests were sent", w.Used, f.requests())
				}
			})
		})
	}
}

// What is too large for a replica to have written does not reach others, and is
// replaced.
func TestLookTransfersLittle(t *testing.T) {
	for _, row := range []struct {
		name string
		put  func(f *fleet, s *Source, big string)
	}{
		{"sealed", func(f *fleet, s *Source, big string) { f.m.HSet(s.token.Key(), "sealed", big) }},
		{"issued", func(f *fleet, s *Source, big string) { f.m.HSet(s.token.Key(), "issued", big) }},
		{"expires", func(f *fleet, s *Source, big string) { f.m.HSet(s.token.Key(), "expires", big) }},
		{"floor", func(f *fleet, s *Source, big string) { _ = f.m.Set(s.token.MinIssuedKey(), big) }},
		{"block", func(f *fleet, s *Source, big string) { f.m.HSet(s.client.names.Quota, "b:client", big) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
				holder := f.start(1)[0]
				f.token(holder)
				synctest.Wait()
				row.put(f, holder.source, strings.Repeat("1", 1<<20))
				newcomer := f.start(1)[0]
				var received atomic.Int64
				newcomer.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
					err := next(ctx, cmd)
					if c, ok := cmd.(*redis.Cmd); ok {
						received.Add(int64(len(fmt.Sprint(c.Val()))))
					}
					return err
				}))
				token := f.token(newcomer)
				if n := received.Load(); n == 0 || n > 2*store.MaxRecordSize {
					f.t.Errorf("%d bytes came from Redis, want some, and %d at most", n, 2*store.MaxRecordSize)
				}
				if f.token(f.start(1)[0]) != token {
					f.t.Error("the record was not replaced")
				}
				if n := f.requests(); n > 2 {
					f.t.Errorf("got %d token requests, want one, and one for the damage", n)
				}
			})
		})
	}
}

// For a while there are replicas of a newer version, whose record this one cannot
// read. To this one it is damage: whoever holds a token serves it, and the record
// is written over, for a tenth of the quota at most. So a version that brings
// another record has to read both, and to write the old one until all read both.
func TestNewerVersionOfTheRecord(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
		f.together(f.start(5))
		key := f.replicas[0].source.token.Key()
		newer := func() {
			if sealed := []byte(f.m.HGet(key, "sealed")); len(sealed) > 0 {
				sealed[0]++
				f.m.HSet(key, "sealed", string(sealed))
			}
		}
		for range 30 {
			newer()
			newcomer := f.boot("newcomer")
			if _, err := newcomer.source.Token(f.t.Context()); err != nil && !errors.Is(err, quota.ErrDenied) {
				f.t.Errorf("a newcomer got %v, want a token or a denial", err)
			}
			newcomer.close()
			f.serve(time.Minute, 10*time.Second)
		}
		if got := f.requests() - 1; got < 1 || got > 5 {
			f.t.Errorf("half an hour of two versions cost %d token requests, want one at least, and a tenth of 42", got)
		}
		newer()
		before := f.requests()
		f.replicas[0].lookNow()
		time.Sleep(time.Second)
		f.together(f.start(3))
		if got := f.requests() - before; got > 0 {
			f.t.Errorf("when the newer version is gone: got %d token requests, want none: who had the token gave it back", got)
		}
		f.serve(9*time.Hour, 10*time.Minute)
	})
}

// A repeatServer is an endpoint that gives out a token again as long as it is valid.
type repeatServer struct {
	life, reuse time.Duration // of a token; and for so long it gives out the same
	constant    bool          // it says the whole life each time, and not what is left
	issued      time.Time
	requests    atomic.Int64
	tokens      int
}

func (p *repeatServer) RoundTrip(*http.Request) (*http.Response, error) {
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
		p    *repeatServer
		most int64 // requests in two lives
	}{
		// What is left of it becomes less and less, and with it the window.
		{"until it expires", &repeatServer{life: life, reuse: life}, 20},
		{"until shortly before", &repeatServer{life: life, reuse: life - 5*time.Minute}, 12},
		// The endpoint says that the token lives longer than it has said before.
		{"for longer and longer", &repeatServer{life: life, reuse: 30 * life, constant: true}, 3},
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

// Redis is back, and there is news, before an answer from past Redis comes.
func TestLateAnswerFromPastRedis(t *testing.T) {
	opts := Options{Subscribe: true, RedisDownBudget: &RedisDownBudget{Requests: 1, Spread: time.Millisecond}}
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 10 * time.Millisecond}, opts, func(f *fleet) {
		replicas := f.start(2)
		lone, other := replicas[0], replicas[1]
		lone.net.cut()
		f.tenant.Inject(1, auth0test.Slow(8*time.Second))
		go func() { _, _ = lone.source.Token(f.t.Context()) }()
		time.Sleep(500 * time.Millisecond)
		lone.net.mend()
		time.Sleep(3 * time.Second)
		newer := f.token(other)
		time.Sleep(time.Second)
		if f.token(lone) != newer {
			f.t.Fatal("there was no news")
		}
		for range 60 {
			if f.token(lone) != newer {
				f.t.Fatal("went back to a token that was asked for earlier")
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// A record of another audience stands where ours belongs. It is well sealed, and
// its token is valid; for the other audience.
func TestRecordIsCopied(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		f.token(r)
		cred := f.credentials()
		cred.Audience = "another"
		other, err := r.cache.Source(cred)
		if err != nil {
			f.t.Fatal(err)
		}
		tok, err := other.Token(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		synctest.Wait() // until the fleet has it
		f.write(r.source, f.read(other))
		for _, r := range f.start(5) {
			if f.token(r) == tok.AccessToken {
				f.t.Errorf("%s serves the token of another audience", r.name)
			}
		}
		f.want(3)
		f.serve(5*time.Hour, 10*time.Minute)
		f.want(3)
	})
}

// A record from before the renewal is put back, and its token has some life left.
// Whoever has the newer one keeps it, and gives it back to the fleet.
func TestRecordIsRolledBack(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
		f.together(f.start(5))
		synctest.Wait()
		s := f.replicas[0].source
		old := f.read(s)
		f.serve(9*time.Hour+20*time.Minute, time.Minute)
		newest := f.token(f.replicas[0])
		f.write(s, old)
		for _, r := range f.replicas {
			r.lookNow()
		}
		synctest.Wait()
		for _, r := range append(f.replicas, f.start(1)...) {
			if f.token(r) != newest {
				f.t.Errorf("%s has the old token", r.name)
			}
		}
		f.serve(5*time.Hour, 10*time.Minute)
		f.want(2)
	})
}

// Somebody writes a block that ends later than any block of ours. It is none.
func TestBlockWithoutAnEnd(t *testing.T) {
	for name, lasts := range map[string]time.Duration{"2 days": 48 * time.Hour, "200 years": 200 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			for _, at := range []time.Duration{0, 8 * time.Hour} {
				story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
					f.start(5)
					if at > 0 {
						f.together(f.replicas)
						f.serve(at, time.Hour)
					}
					f.m.HSet(f.replicas[0].source.client.names.Quota, "b:client", fmt.Sprint(time.Now().Add(lasts).UnixMilli())+" 1 1 quota")
					if slowest := f.together(f.replicas); slowest > time.Second {
						f.t.Errorf("the slowest had a token after %v", slowest)
					}
					f.serve(at+time.Hour+time.Minute*20, time.Minute)
					f.want(int(1 + at/(8*time.Hour)))
				})
			}
		})
	}
}

// Somebody deletes the keys every second. Whoever has a token is not touched by
// it, and at a renewal each replica asks once at the most. So does a newcomer:
// nobody can tell it of the token that is there.
func TestKeysAreDeletedEverySecond(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
		f.together(f.start(5))
		done := make(chan struct{})
		defer close(done)
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Second):
					f.m.FlushAll()
				}
			}
		}()
		f.serve(8*time.Hour, time.Minute)
		f.want(1)
		f.serve(90*time.Minute, time.Minute)
		if got := f.requests() - 1; got < 1 || got > 5 {
			f.t.Errorf("the renewal took %d token requests, want one for each replica at most", got)
		}
		before := f.requests()
		for range 20 {
			newcomer := f.boot("newcomer")
			f.token(newcomer)
			f.serve(90*time.Second, 30*time.Second)
			newcomer.close()
		}
		if got := f.requests() - before; got > 20 {
			f.t.Errorf("20 newcomers took %d token requests, want one for each at most", got)
		}
	})
}
