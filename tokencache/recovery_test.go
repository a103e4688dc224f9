package tokencache

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// This file is about how a fleet fares while a fault lasts, and how soon it is
// well again. judge holds it against what may never be; this is about what has to
// be, and by when.

// dead is how long whoever died holds up the others, at most: what a lease lasts,
// the five seconds in which somebody looks whom no news reached, a second in which
// each has its own moment to be the next, and a second to ask. It is written out,
// so that a longer lease is noticed.
const dead = 20*time.Second + 5*time.Second + time.Second + time.Second

// A upset is something that strikes when the fleet gets to a certain point. It is
// a mistake of the simulation if it never does.
type upset struct {
	what string
	tr   *simulation
	mu   sync.Mutex
	at   time.Time
}

// awaits announces a upset.
func (tr *simulation) awaits(what string) *upset {
	b := &upset{what: what, tr: tr}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.faults = append(tr.faults, b)
	return b
}

// falls reports whether it falls now: it does so once.
func (b *upset) falls() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.at.IsZero() {
		return false
	}
	b.at = time.Now()
	return true
}

// when returns when it fell, zero if it has not yet.
func (b *upset) when() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// isServed checks that a caller of r who asks again and again gets a valid token
// within a while.
func (tr *simulation) isServed(r *testReplica, within time.Duration) {
	ctx, cancel := context.WithTimeout(tr.ctx, within)
	defer cancel()
	for {
		tok, err := r.source.Token(ctx)
		switch {
		case errors.Is(err, ErrClosed): // it has died meanwhile
		case err == nil:
			if got := tr.tenant.Check(tok.AccessToken); got != auth0test.TokenValid {
				tr.violates("P3", "%s was given a token that is %v", r.name, got)
			}
		case ctx.Err() != nil:
			tr.violates("P7", "%s has no token within %v: %v", r.name, within, err)
		default:
			time.Sleep(100 * time.Millisecond)
			continue
		}
		return
	}
}

// isWell checks that everybody has a token within a while, those who are there
// and one who has none yet.
func (tr *simulation) isWell(newcomer *member, within time.Duration) {
	var all sync.WaitGroup
	for _, m := range tr.all() {
		all.Go(func() { tr.isServed(m.testReplica, within) })
	}
	all.Wait()
	tr.leave(newcomer)
}

// isTold checks that a caller of m, which has no token while Redis is away, is
// told why, and waits for no longer than a call to Redis may take: a second.
func (tr *simulation) isTold(m *member, why error) {
	for range 3 {
		start := time.Now()
		_, err := m.source.Token(tr.ctx)
		if took := time.Since(start); took > time.Second {
			tr.violates("P7", "a caller without a token was told after %v, want within a second: %v", took, err)
		}
		if !errors.Is(err, ErrNoToken) || !errors.Is(err, ErrRedis) || !errors.Is(err, why) {
			tr.violates("P9", "a caller without a token was told %v, want %v", err, why)
		}
	}
}

// renews waits until a renewal has to be over that is due, now or within a life of
// ten hours, and checks that everybody has what it brought. They look for it within
// six minutes, and the renewer may be one that has died.
func (tr *simulation) renews() {
	const life, period = 10 * time.Hour, 9 * time.Hour
	var newest time.Time
	for _, m := range tr.all() {
		if at := m.asked(); at.After(newest) {
			newest = at
		}
	}
	due, want := time.Now(), newest
	if next := newest.Add(period); next.Before(tr.began.Add(life - 6*time.Minute - dead)) {
		want = newest.Add(time.Millisecond)
		if next.After(due) {
			due = next
		}
	}
	time.Sleep(time.Until(due.Add(6*time.Minute + dead)))
	for _, m := range tr.all() {
		if at := m.asked(); at.Before(want) {
			tr.violates("P7", "%s has the token of %v yet, want one of %v or later", m.name, at, want)
		}
	}
}

// asked returns when the token was asked for that m holds.
func (m *member) asked() time.Time {
	if h := m.source.held.Load(); h != nil {
		return issuedAt(h.Record)
	}
	return time.Time{}
}

// isServedAtOnce checks that a replica that has just come gets a token by its
// first call, within a second.
func (tr *simulation) isServedAtOnce(m *member) {
	ctx, cancel := context.WithTimeout(tr.ctx, time.Second)
	defer cancel()
	if _, err := m.source.Token(ctx); err != nil {
		tr.violates("P1", "%s came, and was told %v", m.name, err)
	}
}

// newestWins lets everybody look, and checks that they hold one token: of those
// that the endpoint issued, the last. All of them were asked for in their order, and
// live equally long.
func (f *fleet) newestWins() {
	f.t.Helper()
	for range 2 { // who looked first has not seen what the others brought
		for _, r := range f.replicas {
			r.lookNow()
		}
		time.Sleep(time.Second)
	}
	issued, requests := f.tenant.Tokens(), f.tenant.Requests()
	last := requests[len(requests)-1].Arrived
	held := map[string]bool{}
	for _, r := range f.replicas {
		token := f.token(r)
		held[token] = true
		at := requests[slices.Index(issued, token)].Arrived
		if last.Sub(at) > 10*time.Millisecond { // those of one moment are equally new
			f.t.Errorf("%s holds a token of %v, and there is one of %v", r.name, at, last)
		}
	}
	if len(held) != 1 {
		f.t.Errorf("the fleet holds %d tokens in the end, want one", len(held))
	}
}
