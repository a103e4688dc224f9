package tokencache

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// This file is about somebody who may write to Redis, and whose writing looks
// like ours. What does not is in hostile_test.go.

// read returns the record of s as it lies in Redis.
func (f *fleet) read(s *Source) map[string]string {
	record := map[string]string{}
	for _, field := range []string{"issued", "expires", "sealed"} {
		record[field] = f.m.HGet(s.token.Key(), field)
	}
	return record
}

// write puts a record where that of s belongs.
func (f *fleet) write(s *Source, record map[string]string) {
	for field, value := range record {
		f.m.HSet(s.token.Key(), field, value)
	}
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
