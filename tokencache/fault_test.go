package tokencache

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A fault is one thing that the fleet must survive. Each has a number, so that
//
//	go test ./... -run 'Fault/31'
//
// runs one, here or in e2e, where those are that need real processes and servers.
type fault struct {
	number int
	name   string
	story  func(t *testing.T) // tells it
	strike func(tr *simulation) (end func())
	lasts  time.Duration
	told   error // what a newcomer is told while it lasts; nil: nothing, it is served
	costs  int   // token requests that it may cost
	leases int   // that may be lost by it
	losses int   // of what Redis knew
}

// TestFault tells each fault by its story, or lets it strike a fleet of five
// three times: at a cold start, at a renewal and in between. The fleet is held
// against its promises by judge.
func TestFault(t *testing.T) {
	for _, f := range faults {
		t.Run(fmt.Sprintf("%02d %s", f.number, f.name), func(t *testing.T) {
			if f.strike == nil {
				f.story(t)
				return
			}
			t.Parallel()
			if f.story != nil {
				t.Run("story", f.story)
			}
			const ttl = 10 * time.Hour
			renewal := ttl - usual.Window(ttl)
			moments := []struct {
				name string
				at   time.Duration
			}{{"cold start", 0}, {"renewal", renewal - 10*time.Millisecond}, {"in between", 4 * time.Hour}}
			if testing.Short() {
				moments = moments[f.number%3:][:1]
			}
			for _, moment := range moments {
				t.Run(moment.name, func(t *testing.T) {
					story(t, &auth0test.Config{TTL: ttl, PerHour: 42, PerDay: 100, Latency: 150 * time.Millisecond}, Options{}, func(fl *fleet) {
						fl.try(5, ttl/100, func(tr *simulation) {
							time.Sleep(moment.at)
							tr.cost(f.costs, f.leases)
							tr.losses += f.losses
							tr.note("%s", f.name)
							over := time.Now().Add(f.lasts)
							cold := tr.add()
							end := f.strike(tr)
							if f.told != nil {
								tr.isTold(cold, f.told)
							}
							if end != nil {
								time.Sleep(time.Until(over))
								tr.note("over")
								end()
							}
							tr.isWell(cold, dead)
							tr.renews()
							time.Sleep(ttl - time.Since(tr.began))
						})
					})
				})
			}
		})
	}
}

// after lets something happen to the replica that gets a reply of Redis which
// begins with a word: when it has got it, before it acts on it.
func after(word string, happens func(tr *simulation, m *member)) func(*simulation) func() {
	return func(tr *simulation) func() {
		b := tr.awaits("what comes after " + word)
		for _, m := range tr.all() {
			m.rdb.AddHook(commandHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
				err := next(ctx, cmd)
				if c, ok := cmd.(*redis.Cmd); ok && err == nil && strings.HasPrefix(strings.Trim(fmt.Sprint(c.Val()), "["), word) && b.falls() {
					happens(tr, m)
				}
				return err
			}))
		}
		return nil
	}
}

// dies lets a replica break off here and now, and another one come in its place.
func dies(tr *simulation, m *member) {
	tr.note("%s dies", m.name)
	m.net.cut()
	m.web.set(func() { m.web.shut = errUnplugged })
	go func() {
		tr.kill(m)
		tr.join()
	}()
}

// struck returns the strike of one of the injections of TestChaos.
func struck(name string) func(*simulation) func() {
	for _, m := range injections {
		if m.name == name {
			return func(tr *simulation) func() {
				return m.strike(tr, rand.New(rand.NewPCG(1, 2)), 0)
			}
		}
	}
	panic("there is no injection " + name)
}

// everywhere does something to the way to Redis of all replicas, and takes it
// back.
func everywhere(do func(l *link)) func(*simulation) func() {
	return func(tr *simulation) func() {
		crew := tr.all()
		for _, m := range crew {
			do(m.net)
		}
		return func() {
			for _, m := range crew {
				m.net.mend()
			}
		}
	}
}

// says lets Redis answer every command with an error.
func says(errors ...string) func(t *testing.T) {
	return func(t *testing.T) {
		for _, text := range errors {
			t.Run(strings.Fields(text)[0], func(t *testing.T) {
				for _, at := range []time.Duration{0, 9*time.Hour - 10*time.Millisecond} {
					story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
						f.try(5, 6*time.Minute, func(tr *simulation) {
							time.Sleep(at)
							tr.cost(1, 1)
							tr.note("Redis says %s", text)
							over := time.Now().Add(5 * time.Minute)
							cold := tr.add()
							tr.m.SetError(text)
							tr.isTold(cold, ErrRedis)
							time.Sleep(time.Until(over))
							tr.m.SetError("")
							tr.isWell(cold, dead)
							tr.renews()
							time.Sleep(10*time.Hour - time.Since(tr.began))
						})
					})
				}
			})
		}
	}
}

// answers lets the endpoint answer three requests in a row with each of some
// faults. None of the answers is a token, so all three are met, one after another.
func answers(faults ...auth0test.Fault) func(t *testing.T) {
	return func(t *testing.T) {
		for _, fault := range faults {
			t.Run(fault.Name, func(t *testing.T) {
				for _, at := range []time.Duration{0, 8 * time.Hour} {
					story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
						if at == 0 {
							f.tenant.Inject(3, fault)
						}
						f.try(5, 6*time.Minute, func(tr *simulation) {
							tr.cost(3, 0)
							time.Sleep(at)
							tr.note("the endpoint: %s", fault.Name)
							if at > 0 {
								tr.tenant.Inject(3, fault)
							}
							time.Sleep(10*time.Hour - time.Since(tr.began))
						})
						met := 0
						for _, r := range f.tenant.Requests() {
							if r.Fault == fault.Name {
								met++
							}
						}
						if met != 3 {
							f.t.Errorf("%s: %d of three answers were met: the others would have been, had each been refused", fault.Name, met)
						}
					})
				}
			})
		}
	}
}

// believed lets the endpoint answer with something odd that is a token all the
// same.
func believed(ttl time.Duration, requests int, faults ...auth0test.Fault) func(t *testing.T) {
	return func(t *testing.T) {
		for _, fault := range faults {
			t.Run(fault.Name, func(t *testing.T) {
				story(t, &auth0test.Config{TTL: ttl}, Options{}, func(f *fleet) {
					f.tenant.Inject(-1, fault)
					f.together(f.start(3))
					f.serve(ttl-time.Second, ttl/20)
					f.want(requests)
				})
			})
		}
	}
}

func named(name string, f auth0test.Fault) auth0test.Fault {
	f.Name = name
	return f
}

// again tells a story that has a name of its own, for those who ask for it by its
// number. A run of everything tells it once.
func again(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) {
		if flag.Lookup("test.run").Value.String() == "" {
			t.Skip("told by its own name")
		}
		test(t)
	}
}

func notHere(why string) func(t *testing.T) {
	return func(t *testing.T) { t.Skip(why) }
}

var faults = []fault{
	// Processes.
	{number: 1, name: "the renewer is killed before it asks", costs: 0, leases: 1, strike: after("admitted", diesAndIsMissed)},
	{number: 2, name: "the renewer is killed after the endpoint has answered", costs: 1, leases: 1, strike: func(tr *simulation) func() {
		b := tr.awaits("the answer of the endpoint")
		for _, m := range tr.all() {
			m.web.set(func() {
				m.web.answered = func() {
					if b.falls() {
						diesAndIsMissed(tr, m)
					}
				}
			})
		}
		return nil
	}},
	{number: 3, name: "the renewer is killed before it gives the lease back", leases: 1, strike: after("stored", diesAndIsNotMissed)},
	{number: 4, name: "the renewer is stopped for longer than its lease", story: func(t *testing.T) {
		t.Run("with its request on the way", again(TestHolderPaused))
		t.Run("before it sends", again(TestHolderStoppedBeforeItSends))
		t.Run("with the lease alone", again(TestHolderStoppedWithTheLease))
	}},
	{number: 5, name: "no processor is left", story: notHere("in e2e: it needs processes")},
	{number: 6, name: "a hook of the user panics", story: again(TestHooksMayPanic)},
	{number: 7, name: "a process is told to end while it renews", story: again(TestClose)},
	{number: 8, name: "two hundred start at once", story: again(TestColdStart)},
	{number: 9, name: "a rolling restart across a renewal", strike: func(tr *simulation) func() {
		for _, m := range tr.all() {
			tr.leave(m)
			tr.isServedAtOnce(tr.join())
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	}},
	{number: 10, name: "two versions of the record", story: again(TestNewerVersionOfTheRecord)},
	{number: 11, name: "no file descriptor is left", told: syscall.EMFILE, costs: 1, leases: 1, lasts: time.Minute, strike: func(tr *simulation) func() {
		crew := tr.all()
		for _, m := range crew {
			m.net.set(func() { m.net.down = syscall.EMFILE })
			m.net.drop()
			m.web.set(func() { m.web.shut = syscall.EMFILE })
		}
		return func() {
			for _, m := range crew {
				m.net.mend()
				m.web.set(func() { m.web.shut = nil })
			}
		}
	}},
	{number: 12, name: "the disk is full", story: notHere("the library writes no file")},

	// The network to Redis.
	{number: 13, name: "Redis refuses connections", told: errUnplugged, costs: 1, leases: 1, lasts: 5 * time.Minute, strike: struck("all lose Redis")},
	{number: 14, name: "Redis is silent", told: ErrRedis, costs: 1, leases: 1, lasts: 5 * time.Minute, strike: struck("Redis swallows what it is sent")},
	{number: 15, name: "Redis is in a black hole", story: again(TestStuckRedisClient)},
	{number: 16, name: "connections are reset in the middle of a reply", costs: 1, leases: 1, story: again(TestReplyOfObtainIsLost), strike: func(tr *simulation) func() {
		for _, m := range tr.all() {
			m.net.set(func() { m.net.tear = 2 })
		}
		return nil
	}},
	{number: 17, name: "the reply to giving the lease back is lost", story: again(TestReplyOfReleaseIsLost)},
	{number: 18, name: "Redis takes 200 ms", story: slowly(func(l *link) { l.delay = 200 * time.Millisecond })},
	{number: 19, name: "replies come one byte at a time", lasts: 30 * time.Minute, costs: 1, leases: 1,
		story: slowly(func(l *link) { l.bytewise, l.delay = true, 300*time.Microsecond }),
		// A token's thousand bytes take longer than a reply may.
		strike: everywhere(func(l *link) { l.set(func() { l.bytewise, l.delay = true, time.Millisecond }) }),
	},
	{number: 20, name: "one replica is cut off from Redis", story: partitioned(1)},
	{number: 21, name: "half the fleet is cut off from Redis", story: partitioned(5)},
	{number: 22, name: "the name of Redis does not resolve", told: ErrRedis, costs: 1, leases: 1, losses: 1, lasts: 5 * time.Minute, story: again(TestRedisHasNoName), strike: unresolved},
	{number: 23, name: "the certificate of Redis is not to be trusted", story: notHere("in e2e: it needs TLS")},
	{number: 24, name: "no TLS where Redis wants it", story: notHere("in e2e: it needs TLS")},
	{number: 25, name: "a reply belongs to another question", story: again(TestRepliesOfOtherQuestions)},

	// Redis itself.
	{number: 26, name: "Redis loses all", losses: 1, story: again(TestRedisLosesAll), strike: func(tr *simulation) func() {
		tr.m.FlushAll()
		for _, m := range tr.all() { // whoever looks and has the token gives it back
			if m.source.held.Load() != nil {
				m.lookNow()
			}
		}
		time.Sleep(time.Millisecond)
		return nil
	}},
	{number: 27, name: "Redis evicts token and block", story: again(TestBlockIsKeptByEachReplica)},
	{number: 28, name: "Redis has no memory left", story: says("OOM command not allowed when used memory > 'maxmemory'.")},
	{number: 29, name: "Redis is busy", story: says("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")},
	{number: 30, name: "Redis refuses", story: func(t *testing.T) {
		t.Run("kinds", again(TestRedisErrors))
		says("LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down", "READONLY You can't write against a read only replica.",
			"NOREPLICAS Not enough good replicas to write.", "CLUSTERDOWN The cluster is down", "ERR max number of clients reached", "NOAUTH Authentication required.",
			"WRONGPASS invalid username-password pair", "NOPERM this user has no permissions", "TRYAGAIN Multiple keys request during rehashing of slot",
			"NOSCRIPT No matching script. Please use EVAL.", "WRONGTYPE Operation against a key holding the wrong kind of value")(t)
	}},
	{number: 38, name: "Redis stands still", told: ErrRedis, costs: 1, leases: 1, lasts: 1500 * time.Millisecond, strike: struck("Redis swallows what it is sent")},

	// Clocks.
	{number: 41, name: "clocks are off", story: again(TestClocksAreOff)},
	{number: 42, name: "a clock is set back during a lease", story: again(TestClockIsSetBack)},
	{number: 43, name: "clocks run at different rates", story: func(t *testing.T) {
		story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
			for i, r := range f.start(5) {
				began := time.Now()
				r.cache.wall = func() time.Time {
					return began.Add(time.Duration(float64(time.Since(began)) * (0.5 + 0.25*float64(i))))
				}
			}
			f.together(f.replicas)
			f.serve(20*time.Hour, 5*time.Minute)
			if got := f.requests(); got > 4 {
				f.t.Errorf("got %d token requests in 20 hours, want 3 or 4", got)
			}
		})
	}},
	{number: 44, name: "a machine sleeps", story: func(t *testing.T) {
		t.Run("past the expiry", again(TestSuspend))
		t.Run("during the request", again(TestSleepDuringRequest))
		t.Run("after a request past Redis", again(TestSleepAfterDirect))
	}},
	{number: 45, name: "the clock of Redis jumps", story: func(t *testing.T) {
		t.Run("back", again(TestRedisClockIsSetBack))
		t.Run("during a lease", again(TestRedisClockJumpsDuringALease))
	}},
	{number: 46, name: "expires_in disagrees with the token", story: again(TestTokenSaysWhenItEnds)},

	// The token endpoint.
	{number: 47, name: "429 with the header of the quota", story: func(t *testing.T) {
		t.Run("Retry-After says when", again(TestQuotaExceeded))
		t.Run("the header says when", again(TestBothBucketsAreSpent))
	}},
	{number: 48, name: "429 with all kinds of Retry-After", story: again(TestRetryAfter)},
	{number: 49, name: "the last token of the quota", story: func(t *testing.T) {
		story(t, &auth0test.Config{PerHour: 1, PerDay: 100, TTL: 30 * time.Minute}, Options{EnforcedQuota: true}, func(f *fleet) {
			f.together(f.start(5))
			time.Sleep(29 * time.Minute) // renewal is due, and there is nothing to renew with
			f.serve(30*time.Second, time.Second)
			f.want(1)
			time.Sleep(32 * time.Minute)
			f.together(f.replicas)
			f.want(2)
			if n := f.tenant.Requests().Answered(429); n > 0 {
				f.t.Errorf("got %d refusals, want none: the header had said that nothing is left", n)
			}
		})
	}},
	{number: 50, name: "the header of the quota is malformed", story: func(t *testing.T) {
		for _, value := range []string{"", ",,,;;;===", "b=per_hour;q=-1;r=-1;t=-1", "b=per_hour;q=99999999999999999999;r=0;t=0", "b=per_hour;q=42;r=12;t=99999999999", strings.Repeat("b=per_hour;q=1;r=0;t=1,", 1000), "q=0;r=0;t=0"} {
			t.Run(value[:min(len(value), 20)], func(t *testing.T) {
				story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
					f.tenant.Inject(-1, auth0test.Fault{Name: "header", Header: http.Header{"Auth0-Client-Quota-Limit": {value}}})
					f.together(f.start(3))
					f.serve(20*time.Hour, 10*time.Minute)
					f.want(3)
				})
			})
		}
	}},
	{number: 51, name: "the endpoint is out of order", story: func(t *testing.T) {
		t.Run("for an hour", again(TestEndpointIsOutOfOrderForAnHour))
		answers(auth0test.Status(500), auth0test.Status(502), auth0test.Status(503), auth0test.Status(504),
			auth0test.Fault{Name: "a page", Status: 500, Body: "<html>Internal Server Error</html>", Header: http.Header{"Content-Type": {"text/html"}}})(t)
	}},
	{number: 52, name: "the endpoint refuses for good", story: again(TestEndpointRefusesForGood)},
	{number: 53, name: "the endpoint hangs or trickles", story: answers(auth0test.Hang(), auth0test.Fault{Name: "trickle", Trickle: time.Second})},
	{number: 54, name: "the connection is closed when the request is sent", story: func(t *testing.T) {
		t.Run("it is sent once", again(TestSpoiltAnswers))
		answers(auth0test.Cut(), auth0test.LostAnswer(), auth0test.Fault{Name: "half a body", CutBody: true})(t)
	}},
	{number: 55, name: "the endpoint redirects", story: func(t *testing.T) {
		t.Run("all", again(redirectsAreErrors))
		answers(auth0test.Redirect(301, "https://elsewhere.test/"), auth0test.Redirect(302, "https://elsewhere.test/"), auth0test.Redirect(303, "https://elsewhere.test/"),
			auth0test.Redirect(307, "https://elsewhere.test/"), auth0test.Redirect(308, "https://elsewhere.test/"))(t)
	}},
	{number: 56, name: "the answer is no token", story: func(t *testing.T) {
		answers(named("no access_token", auth0test.Field("access_token", "")), named("an empty one", auth0test.Field("access_token", `""`)), named("mac", auth0test.Field("token_type", `"mac"`)),
			auth0test.Fault{Name: "no JSON", Body: "OK"})(t)
		believed(10*time.Hour, 2, named("bearer", auth0test.Field("token_type", `"bearer"`)))(t)
	}},
	{number: 57, name: "expires_in is odd", story: func(t *testing.T) {
		answers(named("zero", auth0test.Field("expires_in", "0")), named("negative", auth0test.Field("expires_in", "-5")), named("words", auth0test.Field("expires_in", `"soon"`)),
			named("none", auth0test.Field("expires_in", "")), named("twice, the last is zero", auth0test.Field("expires_in", `36000,"expires_in":0`)))(t)
		believed(10*time.Hour, 2, named("a string", auth0test.Field("expires_in", `"36000"`)), named("a fraction", auth0test.Field("expires_in", "36000.5")),
			named("twice, the last counts", auth0test.Field("expires_in", `5,"expires_in":36000`)))(t)
		for _, huge := range []string{"10000000000", "9223372036854775807", "1e300"} {
			t.Run(huge, func(t *testing.T) {
				story(t, &auth0test.Config{TTL: 40 * 24 * time.Hour}, Options{}, func(f *fleet) {
					f.tenant.Inject(-1, auth0test.Field("expires_in", huge))
					f.together(f.start(2))
					f.serve(39*24*time.Hour, time.Hour)
					f.want(2) // nothing is believed to live for more than thirty days
				})
			})
		}
	}},
	{number: 58, name: "tokens live for half a minute", story: func(t *testing.T) {
		story(t, &auth0test.Config{TTL: 30 * time.Second}, Options{}, func(f *fleet) {
			f.together(f.start(5))
			f.serve(10*time.Minute-time.Second, time.Second)
			f.want(27) // every 22.5 seconds
		})
	}},
	{number: 59, name: "the token is revoked early", story: again(TestBurstOf401s)},
	{number: 60, name: "the secret is rotated", story: func(t *testing.T) {
		t.Run("the new one first", again(TestSecretRollsOut))
		t.Run("the old one first", again(TestNewSecretIsNotHeldBack))
		t.Run("but for one replica", again(wrongSecret))
	}},
	{number: 61, name: "an answer of megabytes", story: again(TestAnswerIsTooLarge)},
	{number: 62, name: "a token for another audience", story: notHere("tokens are opaque to the fleet; the API refuses such a one, which is 59")},

	// What lies in the store.
	{number: 63, name: "the record is garbage", story: func(t *testing.T) {
		t.Run("record", again(TestDamagedRecord))
		t.Run("type", again(TestKeysOfAnotherType))
	}},
	{number: 64, name: "somebody writes a token of their own", story: spoiltRecord(func(f *fleet, s *Source) {
		f.m.HSet(s.token.Key(), "issued", "0", "expires", fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()), "sealed", `{"token":"theirs","type":"Bearer"}`)
	})},
	{number: 65, name: "somebody copies a record to another place", story: again(TestRecordIsCopied)},
	{number: 66, name: "somebody puts an older record back", story: again(TestRecordIsRolledBack)},
	{number: 67, name: "somebody blocks for ever", story: again(TestBlockWithoutAnEnd)},
	{number: 68, name: "somebody takes the lease for ever", strike: struck("somebody takes the lease for ever")},
	{number: 69, name: "somebody deletes the keys in a loop", story: func(t *testing.T) {
		t.Run("every second", again(TestKeysAreDeletedEverySecond))
		t.Run("every minute", again(lossEveryMinute))
	}},
	{number: 70, name: "a script of theirs blocks Redis", story: says("BUSY Redis is busy running a script.")},
	{number: 71, name: "a value of hundreds of megabytes", story: func(t *testing.T) {
		t.Run("reaches nobody", again(TestLookTransfersLittle))
		t.Run("is replaced", spoiltRecord(func(f *fleet, s *Source) {
			f.m.HSet(s.token.Key(), "issued", "0", "expires", fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()), "sealed", strings.Repeat("x", 1<<20))
		}))
	}},
	{number: 72, name: "a token with bytes that no header may have", story: func(t *testing.T) {
		answers(named("a line", auth0test.Field("access_token", `"a\r\nX-Evil: 1"`)), named("nothing", auth0test.Field("access_token", `"a\u0000b"`)), named("an accent", auth0test.Field("access_token", `"caf\u00e9"`)),
			named("a tab", auth0test.Field("access_token", `"a\tb"`)), named("a blank", auth0test.Field("access_token", `"a b"`)))(t)
	}},
}

// partitioned tells of a fleet of ten, some of which cannot reach Redis at a cold
// start, and may ask past it.
func partitioned(n int) func(t *testing.T) {
	return func(t *testing.T) {
		story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{RedisDownBudget: &RedisDownBudget{Requests: 1}}, func(f *fleet) {
			f.start(10)
			for _, r := range f.replicas[:n] {
				r.net.cut()
			}
			f.together(f.replicas)
			if got := f.requests(); got != 1+n {
				f.t.Errorf("got %d token requests, want one for the fleet, and one for each of %d", got, n)
			}
			f.serve(5*time.Hour, 10*time.Minute)
			for _, r := range f.replicas[:n] {
				r.net.mend()
			}
			f.serve(time.Minute, time.Second)
			if got := f.requests(); got != 1+n {
				f.t.Errorf("when they could reach Redis again: got %d token requests, want none", got-1-n)
			}
			f.together(f.start(5))
			if got := f.requests(); got != 1+n {
				f.t.Errorf("newcomers made %d more, want none", got-1-n)
			}
			f.newestWins()
		})
	}
}

// spoiltRecord tells of a fleet whose record somebody replaces, and of a newcomer
// who finds it. It is not served what is there, and the fleet goes on with one
// more token at most.
func spoiltRecord(spoil func(f *fleet, s *Source)) func(t *testing.T) {
	return func(t *testing.T) {
		story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
			f.token(f.start(1)[0])
			before := f.requests()
			spoil(f, f.replicas[0].source)
			before = max(before, f.requests())
			f.together(f.start(5))
			if got := f.requests() - before; got > 1 {
				f.t.Errorf("got %d more token requests, want one at most", got)
			}
			f.serve(5*time.Hour, 10*time.Minute)
		})
	}
}

// slowly tells of a fleet whose Redis is always slow, and not too slow: it works.
func slowly(slow func(l *link)) func(t *testing.T) {
	return func(t *testing.T) {
		story(t, &auth0test.Config{TTL: 10 * time.Hour, Latency: 150 * time.Millisecond}, Options{}, func(f *fleet) {
			for _, r := range f.start(5) {
				r.net.set(func() { slow(r.net) })
			}
			f.together(f.replicas)
			f.serve(30*time.Hour, 10*time.Minute)
			f.want(4)
		})
	}
}

var errNoSuchHost = &net.DNSError{Err: "no such host", Name: "redis", IsNotFound: true}

// unresolved lets the name of Redis not resolve for a while, which takes the
// resolver three seconds to say. After that the name stands for another Redis,
// which knows nothing.
func unresolved(tr *simulation) func() {
	crew := tr.all()
	for _, m := range crew {
		m.net.set(func() { m.net.down, m.net.slow = errNoSuchHost, 3*time.Second })
		m.net.drop()
	}
	return func() {
		elsewhere := miniredis.NewMiniRedis()
		elsewhere.ClockTTL(true)
		elsewhere.RequireAuth(tr.password)
		tr.t.Cleanup(elsewhere.Close)
		tr.m = elsewhere
		for _, m := range crew {
			m.net.mend()
			m.net.set(func() { m.net.m = elsewhere })
		}
	}
}
