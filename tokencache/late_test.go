package tokencache

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// This file is about tokens that come late: when a rotation is over already, or
// somebody has a newer one. Package model found all of it.

// A token that was asked for past Redis before a rotation must not come back,
// whether lives have become shorter or the record is gone.
func TestTokenFromPastRedisDoesNotOutliveARotation(t *testing.T) {
	for _, row := range []struct {
		name    string
		shorter bool
	}{{"lives become shorter", true}, {"Redis evicts the record", false}} {
		t.Run(row.name, func(t *testing.T) {
			opts := Options{RedisDownBudget: &RedisDownBudget{Requests: 1, Spread: time.Second}}
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, opts, func(f *fleet) {
				replicas := f.start(2)
				operator, lone := replicas[0], replicas[1]
				f.token(operator)
				lone.net.cut()
				_, _ = lone.source.Token(f.t.Context())
				time.Sleep(10 * time.Second)
				before := f.token(lone)
				time.Sleep(time.Minute)
				if row.shorter {
					f.tenant.Update(func(c *auth0test.Config) { c.TTL = 5 * time.Hour })
				}
				if err := operator.source.Rotate(f.t.Context()); err != nil {
					f.t.Fatal(err)
				}
				if !row.shorter {
					f.m.Del(operator.source.token.Key())
				}
				lone.net.mend()
				time.Sleep(time.Minute)
				if f.token(f.start(1)[0]) == before {
					f.t.Error("a newcomer has a token from before the rotation")
				}
			})
		})
	}
}

// Redis has lost the record, and a replica gives it back while somebody rotates.
func TestRotateIsNotOverWithTheOldToken(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 100 * time.Millisecond}, Options{}, func(f *fleet) {
		replicas := f.start(2)
		holder, operator := replicas[0], replicas[1]
		old := f.token(holder)
		synctest.Wait()
		f.m.FlushAll()
		f.tenant.Inject(1, auth0test.Status(503)) // the operator has to wait a second
		done := make(chan error)
		go func() { done <- operator.source.Rotate(f.t.Context()) }()
		time.Sleep(150 * time.Millisecond)
		holder.lookNow()
		if err := <-done; err == nil && f.token(operator) == old {
			f.t.Error("Rotate returned nil, and the fleet's token is the old one")
		}
	})
}

// A rotation that finds somebody's ordinary renewal must last as long as any.
func TestRotationByARenewalLasts(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 2 * time.Second}, Options{}, func(f *fleet) {
		began := time.Now()
		renewer := f.start(1)[0]
		old := f.token(renewer)
		synctest.Wait()
		operator, lone := f.start(1)[0], f.start(1)[0]
		f.together(f.replicas)
		f.serve(8*time.Hour, 10*time.Minute)
		lone.net.cut()

		// The operator looks just before the renewer has the lease, and hears of it
		// just after that.
		time.Sleep(time.Until(began.Add(9*time.Hour - 50*time.Millisecond)))
		operator.net.set(func() { operator.net.delay = 200 * time.Millisecond })
		if err := operator.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.want(2)
		f.m.Del(operator.source.token.Key())
		operator.net.cut()
		renewer.net.cut()
		lone.net.mend()
		lone.lookNow()
		time.Sleep(time.Second)
		if f.token(f.start(1)[0]) == old {
			f.t.Error("a newcomer has the token that was rotated away")
		}
	})
}

// The lease is lost, and the answer of the one who had it comes after a rotation.
func TestLateAnswerDoesNotOutrankARotation(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 10 * time.Millisecond}, Options{Subscribe: true}, func(f *fleet) {
		replicas := f.start(2)
		slow, operator := replicas[0], replicas[1]
		f.tenant.Inject(1, auth0test.Slow(6*time.Second))
		go func() { _, _ = slow.source.Token(f.t.Context()) }()
		time.Sleep(time.Second)
		f.m.Del(slow.source.client.names.Lock)
		f.token(operator)
		if err := operator.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		want := f.token(operator)
		time.Sleep(10 * time.Second)
		if f.token(f.start(1)[0]) != want {
			f.t.Error("a newcomer has a token that was asked for before the rotation")
		}
	})
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

// lookNow lets a replica look, as it may at any time.
func (r *testReplica) lookNow() {
	s := r.source
	s.fetchNow()
}

// A replica that looks, and sees that its token was rotated away, replaces it, also
// if what it was replaced by is lost.
func TestLookShowsARotation(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		replicas := f.start(2)
		operator, other := replicas[0], replicas[1]
		f.token(operator)
		old := f.token(other)
		time.Sleep(time.Minute)
		if err := operator.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.m.Del(operator.source.token.Key())
		other.lookNow()
		time.Sleep(time.Minute)
		if f.token(other) == old {
			f.t.Error("it still serves the token that was rotated away")
		}
		f.want(3)
	})
}

// A floor that a replica has seen is one, though Redis has lost it.
func TestFloorOutlivesRedis(t *testing.T) {
	t.Parallel()
	story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
		replicas := f.start(3)
		operator, other, lone := replicas[0], replicas[1], replicas[2]
		f.token(operator)
		old := f.token(lone)
		lone.net.cut()
		time.Sleep(time.Minute)
		f.tenant.Update(func(c *auth0test.Config) { c.TTL = time.Hour })
		if err := operator.source.Rotate(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.token(other)
		operator.close()
		time.Sleep(2 * time.Hour) // nobody uses the others', and it expires
		f.m.FlushAll()
		lone.net.mend()
		lone.lookNow()
		time.Sleep(time.Second) // so that it gives its own back
		if f.token(other) == old {
			f.t.Error("it has adopted a token from before the rotation")
		}
	})
}
