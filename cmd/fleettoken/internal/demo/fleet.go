package demo

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"golang.org/x/oauth2"
)

// A fleet is the replicas that share a token, and what the demo has seen of
// them. A token is named by the number of the request that brought it.
type fleet struct {
	config   config
	endpoint *auth0test.Server
	say      func(kind view.Kind, format string, args ...any) time.Time
	closing  sync.WaitGroup // of replicas that were ended

	mu      sync.Mutex
	slots   []*slot
	adopted map[int]adoption // by token
	lost    time.Time        // when a replica found Redis unreachable; the demo resets it
}

// A slot is the place of one replica, which is restarted now and then.
type slot struct {
	name      string
	replica   *replica // nil: not running
	started   time.Time
	token     int // that the replica serves; 0 if none
	asking    bool
	blocked   time.Time     // when it may ask the endpoint again
	first     time.Duration // the longest wait for a first token
	adoptions int
	past      totals // of the replicas before this one
}

// An adoption is when the first and the last replica got a token.
type adoption struct{ first, last time.Time }

// totals is what replicas have done.
type totals struct {
	calls, failed, commands int
	failure                 string // why a call failed
}

func (t totals) plus(r *replica) totals {
	if r == nil {
		return t
	}
	t.calls += int(r.calls.Load())
	t.failed += int(r.failed.Load())
	t.commands += int(r.meter.commands.Load())
	if f := r.failure.Load(); f != nil {
		t.failure = f.err.Error()
	}
	return t
}

func newFleet(n int, cfg config, endpoint *auth0test.Server, say func(view.Kind, string, ...any) time.Time) *fleet {
	f := &fleet{config: cfg, endpoint: endpoint, say: say, adopted: make(map[int]adoption)}
	for i := range n {
		f.slots = append(f.slots, &slot{name: replicaName(i, n)})
	}
	return f
}

// replicaName is the name of the i-th of n replicas.
func replicaName(i, n int) string { return fmt.Sprintf("r%0*d", max(len(strconv.Itoa(n)), 2), i+1) }

// deploy ends all replicas, and starts them again at once.
func (f *fleet) deploy() error {
	f.stop()
	for _, s := range f.slots {
		if err := f.start(s); err != nil {
			return err
		}
	}
	return nil
}

// stop ends all replicas and waits for them.
func (f *fleet) stop() {
	for _, s := range f.slots {
		f.end(s, func(r *replica) { r.cancel() })
	}
	f.closing.Wait()
}

// start starts the replica of a slot. No replica runs there.
func (f *fleet) start(s *slot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	started := time.Now()
	hooks, asking := f.observe(s, started)
	r, err := newReplica(s.name, f.config, hooks, asking)
	if err == nil {
		s.replica, s.started = r, started
		r.run()
	}
	return err
}

// end ends the replica of a slot, and closes it in the background. What it does
// from then on is not recorded.
func (f *fleet) end(s *slot, how func(*replica)) {
	f.mu.Lock()
	r := s.replica
	s.replica, s.token, s.asking, s.blocked = nil, 0, false, time.Time{}
	f.mu.Unlock()
	if r != nil {
		how(r)
		f.closing.Go(func() {
			r.close()
			f.look(func() { s.past = s.past.plus(r) })
		})
	}
}

// observe returns hooks that record what the replica of a slot does while it runs.
func (f *fleet) observe(s *slot, started time.Time) (hooks *tokencache.Hooks, asking func() string) {
	record := func(do func(now time.Time)) (runs bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if runs = s.replica != nil && s.started.Equal(started); runs {
			do(time.Now())
		}
		return runs
	}
	asking = func() string {
		if record(func(time.Time) { s.asking = true }) {
			f.say(view.Info, "%s sends a token request", s.name)
		}
		return s.name
	}
	return &tokencache.Hooks{
		Requested: func(i tokencache.RequestedInfo) {
			if !record(func(time.Time) { s.asking = false }) {
				return
			}
			switch {
			case i.Err == nil:
				f.say(view.Info, "%s got a token for %s, in %s", s.name, view.Span(i.Lifetime), view.Span(i.Took))
			case i.Status == 0:
				f.say(view.Fault, "%s got no answer in %s", s.name, view.Span(i.Took))
			default:
				f.say(view.Fault, "%s got no token: the endpoint answered %d", s.name, i.Status)
			}
		},
		Adopted: func(tokencache.AdoptedInfo) {
			var r *replica
			if !record(func(time.Time) { r = s.replica }) {
				return
			}
			token, err := r.source.Token(r.ctx) // from memory
			if err != nil {
				return
			}
			record(func(now time.Time) {
				if s.token == 0 {
					s.first = max(s.first, now.Sub(started))
				}
				n := auth0test.RequestNumber(token.AccessToken)
				s.token, s.adoptions = n, s.adoptions+1
				if f.adopted[n].first.IsZero() {
					f.adopted[n] = adoption{first: now}
				}
				f.adopted[n] = adoption{f.adopted[n].first, now}
			})
		},
		Denied: func(i tokencache.DeniedInfo) { record(func(now time.Time) { s.blocked = now.Add(i.Err.RetryIn) }) },
		Redis: func(i tokencache.RedisInfo) {
			first := false
			record(func(now time.Time) {
				if first = i.Err != nil && f.lost.IsZero(); first {
					f.lost = now
				}
			})
			if first {
				f.say(view.Info, "%s cannot reach Redis, and serves its token from memory", s.name)
			}
		},
	}, asking
}

// look calls see while nothing changes.
func (f *fleet) look(see func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	see()
}

// newest is the newest token that a replica has had; 0 if none.
func (f *fleet) newest() (newest int) {
	f.look(func() {
		for n := range f.adopted {
			newest = max(newest, n)
		}
	})
	return newest
}

// settled reports whether all replicas serve the newest token, and none waits for
// the endpoint.
func (f *fleet) settled() bool {
	newest, is := f.newest(), true
	f.look(func() {
		for _, s := range f.slots {
			is = is && s.replica != nil && s.token == newest && !s.asking
		}
	})
	return is && newest > 0
}

// sums returns what all replicas have done, how often a token came into the
// memory of one, and how long the slowest waited for its first one.
func (f *fleet) sums() (all totals, adoptions int, first time.Duration) {
	f.look(func() {
		for _, s := range f.slots {
			t := s.past.plus(s.replica)
			all.calls, all.failed, all.commands = all.calls+t.calls, all.failed+t.failed, all.commands+t.commands
			if t.failure != "" {
				all.failure = t.failure
			}
			adoptions, first = adoptions+s.adoptions, max(first, s.first)
		}
	})
	return all, adoptions, first
}

// current is the request that brought the newest token. Its user agent is the
// name of the replica that sent it.
func (f *fleet) current() auth0test.Request {
	if n, list := f.newest(), f.endpoint.Requests(); n >= 1 && n <= len(list) {
		return list[n-1]
	}
	return auth0test.Request{}
}

// lifeOf is how long the token of a request lives, and dueAt when it is to be
// renewed.
func lifeOf(r auth0test.Request) time.Duration { return r.Expires.Sub(r.Arrived) }

func dueAt(r auth0test.Request) time.Time { return r.Expires.Add(-min(renewBefore, lifeOf(r)/2)) }

// wire cuts or mends the connections of all replicas to Redis.
func (f *fleet) wire(do func(*connCutter)) {
	f.look(func() {
		for _, s := range f.slots {
			if s.replica != nil {
				do(&s.replica.redisConns)
			}
		}
	})
}

// lockedOut is for how long the endpoint refuses a token to a replica on its
// own; zero if it does not.
func (s *slot) lockedOut() time.Duration {
	var refused *oauth2.RetrieveError
	if s.replica == nil {
		return 0
	}
	if f := s.replica.failure.Load(); f == nil || !errors.As(f.err, &refused) || refused.Response.StatusCode != http.StatusTooManyRequests {
		return 0
	}
	seconds, _ := strconv.Atoi(refused.Response.Header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second
}
