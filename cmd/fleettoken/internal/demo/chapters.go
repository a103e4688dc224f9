package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// The chapters. Each waits for what is to happen, measures it, and prepares what
// befalls the next token while that is still fresh. None of them waits for a
// time that has to be enough: on a slow machine, a chapter takes longer.

// coldStart starts all replicas at once. One token request serves them all.
func (s *story) coldStart(ctx context.Context) (string, error) {
	everybody := s.fleet.all()
	if err := s.fleet.enter(everybody...); err != nil {
		return "", err
	}
	if err := s.await(ctx, promiseToken, "all replicas were to start", func() bool {
		return s.fleet.everybody(func(m *member) bool { return m.ready })
	}); err != nil {
		return "", err
	}
	s.fleet.serve(everybody...)
	if err := s.arrival(ctx, promiseToken, 1, s.plan.second); err != nil {
		return "", err
	}
	if err := s.await(ctx, promiseToken, "all replicas were to have a token", func() bool {
		return s.fleet.everybody(func(m *member) bool { return len(m.firsts)+len(m.problems) > 0 })
	}); err != nil {
		return "", err
	}
	if troubles := s.fleet.troubles(); len(troubles) > 0 {
		s.breaks(promiseToken, "%d of %d did not, such as %s", len(troubles), len(everybody), troubles[0])
		return "", errStop
	}
	n := len(everybody)
	return fmt.Sprintf("%s after %s at the latest, with %s",
		plural(n, "replica had its token", "replicas had their token"), span(s.fleet.slowest()),
		plural(len(s.ledger()), "token request", "token requests")), nil
}

// steadyState lets the replicas serve, and counts what that costs Redis.
func (s *story) steadyState(ctx context.Context) (string, error) {
	end := s.due(1).Add(-s.plan.beat - 300*time.Millisecond) // so that the next chapter is open when it is due
	before, err := s.calm(ctx, end)
	if err != nil {
		return "", err
	}
	since := time.Now()
	if !until(ctx, end) {
		return "", ctx.Err()
	}
	if err := s.fleet.ask(ctx, DoCount); err != nil {
		return "", err
	}
	took := time.Since(since)
	after := s.fleet.totals()
	if time.Now().After(s.due(1)) { // it is being renewed, so this is no steady state
		return "the machine was too slow to tell: the token was due already", nil
	}
	calls, commands := after.Calls-before.Calls, after.Commands-before.Commands
	// On a slow machine somebody may still be busy with the start, or look for
	// the next token already. A cache that asked Redis would do so at every call.
	if commands > max(2*len(s.fleet.members), calls/4) {
		s.breaks(promiseMemory, "%d calls cost %d Redis commands", calls, commands)
	}
	return fmt.Sprintf("%s served in %s, with %s and no token request",
		plural(calls, "call", "calls"), span(took), plural(commands, "Redis command", "Redis commands")), nil
}

// calm waits until the start is over: no replica has anything to do with Redis.
// It returns what was counted then.
func (s *story) calm(ctx context.Context, end time.Time) (Counters, error) {
	for last := -1; ; {
		if err := s.fleet.ask(ctx, DoCount); err != nil {
			return Counters{}, err
		}
		now := s.fleet.totals()
		if now.Commands == last || time.Now().After(end) {
			return now, nil
		}
		last = now.Commands
		if !pause(ctx, 150*time.Millisecond) {
			return Counters{}, ctx.Err()
		}
	}
}

// renewal waits for the token to be renewed.
func (s *story) renewal(ctx context.Context) (string, error) {
	before := s.served()
	if err := s.arrival(ctx, promiseRenewal, 2, s.plan.third, auth0test.Hang()); err != nil {
		return "", err
	}
	r, _ := s.issued(2)
	return fmt.Sprintf("%s renewed it in %s; everybody had the new one %s later, and %s served meanwhile",
		s.who(2), span(r.InFlight()), span(s.spread(2)), plural(s.served()-before, "call was", "calls were")), nil
}

// death kills the renewer while the endpoint lets it wait. Nothing is tidied up:
// its lease has to end by itself.
func (s *story) death(ctx context.Context) (string, error) {
	victim := -1
	if err := s.await(ctx, promiseRenewal, "the third token was to be asked for", func() bool {
		if r := s.hung(); r != nil {
			victim = s.fleet.asker(r.Number)
		}
		return victim >= 0
	}); err != nil {
		return "", err
	}
	name := s.fleet.members[victim].name
	s.fault("the endpoint does not answer, and %s is killed while it waits", name)
	s.fleet.kill(victim)
	alone := len(s.fleet.members) == 1
	if alone {
		if err := s.revive(ctx, victim); err != nil {
			return "", err
		}
	}
	if err := s.arrival(ctx, promiseTakes, 3, s.plan.calm, auth0test.ApplicationLimit(s.plan.retry)); err != nil {
		return "", err
	}
	r, _ := s.issued(3)
	took := r.Arrived.Sub(s.hung().Arrived)
	if !alone {
		if err := s.revive(ctx, victim); err != nil {
			return "", err
		}
	}
	if n := s.coldRequests(); n != 1 {
		s.breaks(promiseRestart, "%d tokens were asked for by replicas that found none, and not only the first", n)
	}
	var first time.Duration
	s.fleet.look(func() { first = s.fleet.members[victim].firsts[1] })
	return fmt.Sprintf("%s took over %s after %s had asked; %s was restarted, and had the fleet's token after %s, without a token request",
		s.who(3), span(took), name, name, span(first)), nil
}

// hung returns the request that the endpoint never answered.
func (s *story) hung() *auth0test.Request {
	for _, r := range s.ledger() {
		if r.Fault == auth0test.Hang().Name {
			return &r
		}
	}
	return nil
}

// revive starts a replica again, and waits until it serves.
func (s *story) revive(ctx context.Context, i int) error {
	if err := s.fleet.enter(i); err != nil {
		return err
	}
	m := s.fleet.members[i]
	ready := func(is func() bool) func() bool {
		return func() (yes bool) {
			s.fleet.look(func() { yes = is() })
			return yes
		}
	}
	if err := s.await(ctx, promiseRestart, m.name+" was to start again", ready(func() bool { return m.ready })); err != nil {
		return err
	}
	s.fleet.serve(i)
	return s.await(ctx, promiseRestart, m.name+" was to have a token again", ready(func() bool { return len(m.firsts) == 2 }))
}

// coldRequests is how many tokens were asked for since there was none.
func (s *story) coldRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.colds
}

// backOff lets the endpoint refuse a request.
func (s *story) backOff(ctx context.Context) (string, error) {
	if err := s.await(ctx, promiseRenewal, "the fourth token was to be asked for", func() bool { return s.ledger().Answered(http.StatusTooManyRequests) > 0 }); err != nil {
		return "", err
	}
	before := s.served()
	if err := s.arrival(ctx, promiseBackOff, 4, s.plan.fifth); err != nil {
		return "", err
	}
	after := s.served()
	r, _ := s.issued(4)
	refused := s.ledger().Answered(http.StatusTooManyRequests)
	var waited time.Duration
	for _, row := range s.ledger() {
		if row.Status == http.StatusTooManyRequests {
			waited = r.Arrived.Sub(row.Ended)
		}
	}
	if refused != 1 || waited < s.plan.retry {
		s.breaks(promiseBackOff, "%d requests were refused, and the next one came after %s", refused, span(waited))
	}
	return fmt.Sprintf("%s refused; the next one came %s later and brought a token; %s served meanwhile with the old one",
		plural(refused, "request was", "requests were"), span(waited), plural(after-before, "call was", "calls were")), nil
}

// rotate lets an operator replace the token, as fleettoken rotate does: by a
// process that is none of the fleet's.
func (s *story) rotate(ctx context.Context) (string, error) {
	s.fault("an operator runs: fleettoken rotate")
	if err := s.operate(ctx); err != nil {
		s.breaks(promiseRotate, "%v", err)
		return "", errStop
	}
	if err := s.arrival(ctx, promiseRotate, 5, s.plan.calm); err != nil {
		return "", err
	}
	s.rotation = s.spread(5)
	if s.rotation > s.plan.lease {
		s.breaks(promiseRotate, "it took %s", span(s.rotation))
	}
	return fmt.Sprintf("everybody had the new token %s after it was issued", span(s.rotation)), nil
}

func (s *story) operate(ctx context.Context) error {
	operator, err := newReplica(s.stage.named("operator"), func(e Event) { s.heard("the operator", e) })
	if err != nil {
		return err
	}
	defer operator.close()
	ctx, cancel := context.WithTimeout(ctx, tokencache.DefaultMaxWait)
	defer cancel()
	return operator.source.Rotate(ctx)
}

// outage takes Redis away while the token becomes due. Nobody can renew it, and
// nobody has to: it is valid for a while.
func (s *story) outage(ctx context.Context) (string, error) {
	due := s.due(5)
	if !until(ctx, due.Add(-s.plan.beat)) {
		return "", ctx.Err()
	}
	vanished, before, requests := time.Now(), s.served(), len(s.ledger())
	s.away[0] = vanished
	if err := s.takeRedisAway(ctx); err != nil {
		return "", err
	}
	// In the first tenth of the window, each looks at a moment of its own. The
	// longer Redis is away, the longer they wait before they look again.
	if !until(ctx, due.Add(min(s.plan.window/10, time.Second))) {
		return "", ctx.Err()
	}
	calls, asked, away := s.served()-before, len(s.ledger())-requests, time.Since(vanished)
	if asked > 1 { // one may have been admitted just before
		s.breaks(promiseAway, "%d token requests were made while Redis was away", asked)
	}
	if err := s.bringRedisBack(ctx); err != nil {
		return "", err
	}
	back := time.Now()
	s.away[1] = back
	if err := s.arrival(ctx, promiseAway, 6, s.plan.calm); err != nil {
		return "", err
	}
	r, _ := s.issued(6)
	return fmt.Sprintf("%s served in the %s without Redis; %s renewed the token %s after it was back, and everybody had it %s later",
		plural(calls, "call was", "calls were"), span(away), s.who(6), span(max(r.Arrived.Sub(back), 0)), span(s.spread(6))), nil
}

func (s *story) takeRedisAway(ctx context.Context) error {
	if s.stage.store.embedded == nil {
		s.fault("the replicas' connections to Redis are cut")
		return s.fleet.ask(ctx, DoCut)
	}
	s.fault("Redis dies")
	s.stage.store.crash()
	return nil
}

func (s *story) bringRedisBack(ctx context.Context) error {
	if s.stage.store.embedded == nil {
		s.fault("the replicas may reach Redis again")
		return s.fleet.ask(ctx, DoMend)
	}
	if err := s.stage.store.restart(ctx); err != nil {
		return err
	}
	s.fault("Redis is back, and empty")
	return nil
}
