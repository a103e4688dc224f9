package demo

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/quota"
)

// show lets those who look see the fleet, again and again until ctx ends.
func (s *story) show(ctx context.Context) {
	if s.options.Show == nil {
		return
	}
	for pause(ctx, 100*time.Millisecond) {
		s.options.Show(s.snapshot())
	}
}

// snapshot is all there is to see now. What it tells comes from three sides: from
// the replicas, from Redis, and from the endpoint.
func (s *story) snapshot() view.Snapshot {
	now := time.Now()
	status, age, away := s.stage.observer.saw()
	ledger, served := s.ledger(), s.served()
	v := view.Snapshot{
		Title: s.title(), At: now.Sub(s.began), Away: away, Buckets: buckets(quotaOf(ledger)),
		Totals: view.Totals{Requests: len(ledger), Calls: served, Unshared: s.fleet.unshared(), Expired: s.expired()},
	}
	if status.Lease != nil && !away {
		v.Token.Lease = max(status.Lease.Remaining-age, 0)
	}
	for _, b := range status.Quota.Blocks {
		v.Token.Blocked = max(v.Token.Blocked, b.Remaining-age)
	}
	s.fleet.look(func() { s.members(&v, now) })
	totals := s.fleet.totals()
	v.Totals.Failed, v.Totals.Commands = totals.Failed, totals.Commands
	s.mu.Lock()
	defer s.mu.Unlock()
	v.Chapters, v.Events = slices.Clone(s.chapters), slices.Clone(s.events)
	return v
}

func (s *story) title() string {
	if s.options.Spawn != nil {
		return plural(s.options.Replicas, "process", "processes") + ", " + s.stage.store.name()
	}
	return plural(s.options.Replicas, "replica", "replicas") + ", " + s.stage.store.name()
}

// members fills in what is known of the replicas and their token. The fleet does
// not change meanwhile.
func (s *story) members(v *view.Snapshot, now time.Time) {
	window := s.plan.window
	if n := len(s.fleet.tokens); n > 0 {
		t := s.fleet.tokens[n-1]
		by, _, _ := strings.Cut(t.by, "/")
		v.Token.Number, v.Token.By = t.number, by
		v.Token.Life, v.Token.Left, v.Token.Window = t.life, max(t.expires.Sub(now), 0), window
	}
	for _, m := range s.fleet.members {
		r := view.Replica{Name: m.name, State: m.state(now, window, v.Token.Blocked > 0), Rate: m.rate()}
		if m.token != nil {
			r.Token, r.Life, r.Left = m.token.number, m.token.life, max(m.token.expires.Sub(now), 0)
		}
		if m.asking {
			v.Token.Renewer = m.name
		}
		v.Totals.Rate += r.Rate
		v.Replicas = append(v.Replicas, r)
	}
}

// buckets is what the endpoint has said of the quota.
func buckets(said map[string]Bucket) []view.Bucket {
	return []view.Bucket{
		{Name: quota.PerHour, Quota: perHour, Used: said[quota.PerHour].Used},
		{Name: quota.PerDay, Quota: perDay, Used: said[quota.PerDay].Used},
	}
}
