package demo

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// An act is one chapter of the story, and how it is played. What it returns is
// what came of it.
type act struct {
	title, watch string
	play         func(context.Context) (string, error)
}

// The promises, by the names under which they are reported as broken.
const (
	promiseToken   = "every replica gets a token"
	promiseMemory  = "a valid token is served from memory"
	promiseRenewal = "a token is renewed before it expires"
	promiseTakes   = "a renewer that dies is replaced"
	promiseRestart = "a restart costs no token request"
	promiseBackOff = "one refusal stops everybody for as long as the endpoint asks"
	promiseRotate  = "a rotation reaches everybody at once"
	promiseAway    = "a fleet outlives its Redis"
	promiseCalls   = "no call fails"
	promiseExpired = "no expired token is served"
	promiseAtOnce  = "one replica at a time asks the endpoint"
	promiseQuota   = "no token request is wasted"
)

// script is the whole story. The tokens are numbered as they are issued: each
// chapter but the second brings one.
func (s *story) script() []act {
	n := s.options.Replicas
	alone := n == 1
	pick := func(many, one string) string {
		if alone {
			return one
		}
		return many
	}
	away := "Redis dies, and comes back with nothing in it"
	if s.stage.store.embedded == nil {
		away = "The fleet is cut off from Redis"
	}
	return []act{
		{pick(fmt.Sprintf("%d replicas start at once, and nobody has a token", n), "A replica starts without a token"),
			pick("one asks the endpoint, and the others wait for its answer", "it asks the endpoint"), s.coldStart},
		{"They call an API with the token they share",
			"no call asks Redis or the endpoint for anything", s.steadyState},
		{"The token is renewed",
			"the calls go on with the old one meanwhile", s.renewal},
		{"The renewer dies in the middle of its request",
			pick(fmt.Sprintf("its lease ends after %s, and another one takes over", span(s.plan.lease)),
				fmt.Sprintf("its lease ends after %s, and it takes over from itself", span(s.plan.lease))), s.death},
		{"The endpoint answers 429: too many requests",
			fmt.Sprintf("one is refused, and all of them heed its Retry-After of %s", span(s.plan.retry)), s.backOff},
		{"An operator rotates the token",
			"everybody has the new one a moment later", s.rotate},
		{away,
			"the calls go on, and the token is renewed when Redis is back", s.outage},
	}
}

// ledger is what the endpoint has seen.
func (s *story) ledger() auth0test.Ledger { return s.stage.tenant.Requests() }

// issued returns the request that brought the n-th token, if there was one.
func (s *story) issued(n int) (auth0test.Request, bool) {
	for _, r := range s.ledger() {
		if answered(r) {
			if n--; n == 0 {
				return r, true
			}
		}
	}
	return auth0test.Request{}, false
}

// answered reports whether a request brought a token. A token whose answer came
// too late for whoever asked was issued, and brought nothing.
func answered(r auth0test.Request) bool { return r.Issued && r.Status == 200 }

// served is how many calls the API has answered with 200.
func (s *story) served() int { return s.stage.tenant.APICalls()[auth0test.TokenValid] }

// due is when the n-th token is to be renewed.
func (s *story) due(n int) time.Time {
	r, _ := s.issued(n)
	return r.Expires.Add(-s.plan.window)
}

// arrival waits until the n-th token is issued, prepares what befalls the next
// one, and waits until everybody serves the n-th. The next one is to be fresh for
// so long, when the faults are over that come before it.
func (s *story) arrival(ctx context.Context, promise string, n int, fresh time.Duration, faults ...auth0test.Fault) error {
	if err := s.await(ctx, promise, fmt.Sprintf("token %d was to be issued", n), func() bool {
		_, ok := s.issued(n)
		return ok
	}); err != nil {
		return err
	}
	s.stage.next(s.plan.life(fresh), faults...)
	return s.await(ctx, promise, fmt.Sprintf("token %d was to be everybody's", n), func() bool { return s.fleet.everybody(has(n)) })
}

// spread is how long it took from the n-th token's issue until the last replica
// had it.
func (s *story) spread(n int) time.Duration {
	r, _ := s.issued(n)
	var last time.Time
	s.fleet.look(func() { last = s.fleet.tokens[n-1].last })
	return max(last.Sub(r.Ended), 0)
}

// who asked for the n-th token.
func (s *story) who(n int) string {
	var by string
	s.fleet.look(func() { by, _, _ = strings.Cut(s.fleet.tokens[n-1].by, "/") })
	return by
}

// until waits for a moment, and reports whether ctx let it.
func until(ctx context.Context, at time.Time) bool { return pause(ctx, time.Until(at)) }

// span writes a duration for people.
func span(d time.Duration) string {
	if d < 995*time.Millisecond {
		return strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10) + " ms"
	}
	return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + " s"
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return view.Grouped(n) + " " + many
}
