package model

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// month returns the plan of a fleet that starts in one instant, runs for thirty days, and is
// restarted within an hour in the middle. The rest is as by default.
func month(replicas int, lifetime time.Duration) fleetPlan {
	return fleetPlan{
		replicas: replicas, duration: 30 * 24 * time.Hour, lifetime: lifetime,
		terms:     replica.Terms{RequestTimeout: 10 * time.Second, Lease: 20 * time.Second},
		roundTrip: time.Millisecond, endpoint: 100 * time.Millisecond, restarting: time.Hour,
	}
}

// simulate runs a plan. One in sample transitions and one in sample replicas are checked.
func simulate(p fleetPlan, sample int) *fleetCost {
	s := newSimulation(p, sample)
	fleet := make([]*simReplica, p.replicas)
	share := func(d time.Duration, i int) time.Duration { return d * time.Duration(i) / time.Duration(p.replicas) }
	for i := range fleet {
		s.after(share(p.starting, i), func() { fleet[i] = newSimReplica(s, i%sample == 0) })
		if p.restarting > 0 {
			s.after(p.duration/2+share(p.restarting, i), func() {
				fleet[i].close()
				fleet[i] = newSimReplica(s, i%sample == 0)
			})
		}
	}
	s.run()
	for _, r := range fleet {
		r.inspect(s.instant())
	}
	return &s.cost
}

// A month of a fleet costs as many token requests as package tokencache promises, and
// little more than one command to Redis for each replica and token.
func TestPlan(t *testing.T) {
	for _, row := range []struct {
		lifetime, window time.Duration
		replicas         int // with -large, a hundred thousand
	}{
		{time.Hour, 15 * time.Minute, 100},
		{10 * time.Hour, time.Hour, 1000},
		{24 * time.Hour, time.Hour, 1000},
	} {
		t.Run(fmt.Sprint(row.lifetime), func(t *testing.T) {
			p, sample := month(row.replicas, row.lifetime), 16
			if *large {
				p.replicas, sample = 100_000, 1024
			}
			began := time.Now()
			c := simulate(p, sample)
			c.log(t, p, began)
			c.verify(t, p, row.window)
		})
	}
}

// However fast a fleet starts, it makes one token request. The commands of a cold start
// depend on how many replicas start before the first token is there.
func TestPlanColdStart(t *testing.T) {
	for _, starting := range []time.Duration{0, time.Second, time.Minute} {
		p := month(1000, 10*time.Hour)
		p.starting, p.duration, p.restarting = starting, time.Hour, 0
		if *large {
			p.replicas = 100_000
		}
		c := simulate(p, 16)
		if len(c.requests) != 1 || c.without > 0 || c.broken != nil || c.cold(p) > 7 {
			t.Errorf("starting within %v: got %d token requests, %.2f commands a replica, %d without a token, %v, want one request and 7 commands at most",
				starting, len(c.requests), c.cold(p), c.without, c.broken)
		}
		t.Logf("%d replicas start within %v: %.2f commands a replica, %d in a second, the slowest replica has its token after %v",
			p.replicas, starting, c.cold(p), c.peak(0, p.duration), c.slowest)
	}
}

// verify holds what was counted to the guarantees of package tokencache, given how long
// before its expiry a token is renewed.
func (c *fleetCost) verify(t *testing.T, p fleetPlan, window time.Duration) {
	life := p.lifetime - window
	if got, want := len(c.requests), int((p.duration+life-1)/life); got != want {
		t.Errorf("got %d token requests, want %d", got, want)
	}
	if c.without > 0 {
		t.Errorf("replicas had no valid token %d times, want none after their first", c.without)
	}
	if c.broken != nil || c.checked == 0 {
		t.Errorf("%d transitions were checked: %v", c.checked, c.broken)
	}
	if cold := c.cold(p); cold > 7 {
		t.Errorf("got %.2f commands a replica at the cold start, want 7 at most", cold)
	}
	if steady := c.steady(p); steady < 1 || steady > 1.1 {
		t.Errorf("got %.3f commands for each replica and token, want 1 to 1.1", steady)
	}
	// Replicas fetch evenly in the first tenth of the window, beside the lease holder.
	most := 20 + 2*int(float64(p.replicas)/(window/10).Seconds())
	if peak := c.peak(p.starting+coldStart, p.duration/2); peak > most {
		t.Errorf("got %d commands in a second of a renewal, want %d at most", peak, most)
	}
}

// coldStart is how long the start of a fleet takes, with much to spare.
const coldStart = time.Minute

// cold returns the number of commands that each replica sent at the cold start.
func (c *fleetCost) cold(p fleetPlan) float64 {
	return float64(c.total(0, p.starting+coldStart)) / float64(p.replicas)
}

// steady returns the number of commands that each replica sent for each token between the
// cold start and the restart.
func (c *fleetCost) steady(p fleetPlan) float64 {
	from, to := p.starting+coldStart, p.duration/2
	return float64(c.total(from, to)) / float64(p.replicas) / float64(c.requested(from, to))
}

// log logs what was counted.
func (c *fleetCost) log(t *testing.T, p fleetPlan, began time.Time) {
	took := time.Since(began)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	restart := p.duration / 2
	t.Logf("%d replicas, tokens of %v, %v: %d token requests, %d commands", p.replicas, p.lifetime, p.duration, len(c.requests), c.total(0, p.duration))
	t.Logf("cold start: %.2f commands a replica, %d in a second, the slowest replica has its token after %v", c.cold(p), c.peak(0, p.starting+coldStart), c.slowest)
	t.Logf("steady: %.4f commands for each replica and token, %d in a second", c.steady(p), c.peak(p.starting+coldStart, restart))
	after := restart + p.restarting + coldStart
	t.Logf("rolling restart: %.2f commands a replica, %d in a second", float64(c.total(restart, after))/float64(p.replicas), c.peak(restart, after))
	t.Logf("notifications delivered: %d", c.delivered)
	t.Logf("%d transitions checked; took %v and %d MB", c.checked, took.Round(time.Millisecond), memory.Sys>>20)
}

// A simulation that finds nothing shows nothing: here the token endpoint takes longer than
// what is left of a token when it is renewed.
func TestPlanSlowEndpoint(t *testing.T) {
	p := month(10, 10*time.Minute)
	p.duration, p.terms.RenewBefore, p.endpoint = time.Hour, 20*time.Second, 15*time.Second
	if c := simulate(p, 1); c.without == 0 || c.broken != nil {
		t.Errorf("replicas had no valid token %d times, and %v, want some and no broken invariant", c.without, c.broken)
	}
}
