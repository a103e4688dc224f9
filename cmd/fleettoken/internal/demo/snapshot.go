package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// look returns what there is to see now.
func (r *run) look() view.Snapshot {
	r.mu.Lock()
	v, shown := r.snapshot, r.shown
	v.Scenarios = slices.Clone(v.Scenarios)
	v.Events = slices.Clone(v.Events[max(len(v.Events)-100, 0):])
	r.mu.Unlock()
	v.Bad = r.env.down.Load()
	v.Status = map[bool]string{true: "Redis is down", false: "Redis is up"}[v.Bad] + fmt.Sprintf("  %.1f s", time.Since(r.began).Seconds())
	shown.show(&v)
	return v
}

// show adds the fleet to a snapshot.
func (f *fleet) show(v *view.Snapshot) {
	now, ledger, calls, token := time.Now(), f.endpoint.Requests(), f.endpoint.APICalls(), f.current()
	sums, adoptions, _ := f.sums()
	asking, blocked, out := "", time.Duration(0), time.Duration(0)
	f.look(func() {
		for _, s := range f.slots {
			detail := fmt.Sprintf("#%-2d %5s calls", s.token, view.Grouped(s.past.plus(s.replica).calls))
			v.Replicas = append(v.Replicas, view.Replica{Name: s.name, State: s.state(now, token), Detail: detail})
			if s.asking {
				asking = s.name
			}
			blocked, out = max(blocked, s.blocked.Sub(now)), max(out, s.lockedOut())
		}
	})
	due, left := dueAt(token).Sub(now), max(token.Expires.Sub(now), 0)
	switch {
	case out > 0:
		v.Note = "no token is left: the endpoint answers 429 for the next " + view.Span(out)
	case f.config.redis == nil:
		v.Note = "each replica has a token of its own"
	case token.Number == 0:
		v.Note = "no replica has a token yet"
	case asking != "":
		v.Note = asking + " asks for the next token; the others serve this one"
	case due > 0:
		v.Note = "the token is fresh; due in " + view.Span(due)
	case v.Bad:
		v.Note = "the token is due, and Redis is down; all replicas serve it"
	case blocked > 0:
		v.Note = "the token is due; the endpoint may be asked again in " + view.Span(blocked)
	default:
		v.Note = "the token is due; all replicas serve it"
	}
	if token.Number > 0 {
		v.Bars = []view.Bar{{Name: fmt.Sprintf("token #%d from %s", token.Number, token.UserAgent), Value: view.Span(left) + " left", Share: 1 - left.Seconds()/lifeOf(token).Seconds(), Warn: due <= 0}}
	}
	v.Bars = append(v.Bars, bars(ledger)...)
	v.Totals = []string{view.Plural(len(ledger), "token request"), view.Plural(calls[auth0test.TokenValid], "call"), fmt.Sprintf("%d failed", sums.failed)}
	if f.config.redis != nil {
		v.Totals = append(v.Totals, fmt.Sprintf("%d requests if not shared", adoptions), view.Plural(sums.commands, "Redis command"))
	}
}

// state is what a replica does, given the newest token.
func (s *slot) state(now time.Time, newest auth0test.Request) view.State {
	switch {
	case s.replica == nil:
		return view.Dead
	case s.lockedOut() > 0:
		return view.LockedOut
	case s.replica.rdb == nil && s.replica.calls.Load() > 0:
		return view.Serving
	case s.asking:
		return view.Asking
	case s.token == 0:
		return view.Starting
	case s.token == newest.Number && now.Before(dueAt(newest)):
		return view.Serving
	case now.Before(s.blocked):
		return view.Waiting
	}
	return view.Due
}

// quotaOf is the quota as the endpoint reported it last.
func quotaOf(ledger auth0test.Ledger) map[string]Bucket {
	buckets := make(map[string]Bucket)
	for _, row := range ledger {
		if limits, _ := quota.ParseLimits(row.ClientQuota); answered(row) {
			for _, l := range limits {
				used, _ := l.Used()
				buckets[l.Bucket] = Bucket{Quota: l.Quota, Used: used, Remaining: l.Remaining}
			}
		}
	}
	return buckets
}

// bars shows how much of the quota is used.
func bars(ledger auth0test.Ledger) (list []view.Bar) {
	reported := quotaOf(ledger)
	for _, b := range []struct {
		bucket, name string
		quota        int
	}{{quota.PerHour, "tokens this hour", perHour}, {quota.PerDay, "tokens today", perDay}} {
		share := float64(reported[b.bucket].Used) / float64(b.quota)
		list = append(list, view.Bar{Name: b.name, Value: fmt.Sprintf("%d of %d", reported[b.bucket].Used, b.quota), Share: share, Warn: share > 0.9})
	}
	return list
}
