package e2e

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache"
)

var failovers = flag.Int("failovers", 3, "how many failovers TestFailovers goes through")

// TestFailovers fails over again and again: a Sentinel master is killed, or hangs
// and comes back; a node of a Cluster is killed. Callers in twelve replicas of each
// hold a valid token, and notice nothing. After each failover the token is renewed.
//
//	go test ./e2e -v -run Failovers -timeout 2h -args -failovers 100
//
// tells of a hundred, which takes about twenty minutes. Without -v, go test shows
// nothing of a test that passes.
func TestFailovers(t *testing.T) {
	t.Parallel()
	const replicas = 12
	s, c := redistest.StartSentinels(t), redistest.StartCluster(t, 6)
	sentinels := newPost(t, replicas, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()}, s.Nodes)
	cluster := newPost(t, replicas, &redis.UniversalOptions{Addrs: c.Addrs()}, c.Nodes)

	kinds := []struct {
		name         string
		post         *post
		strike, mend func(*redistest.Server)
		taken        []time.Duration // until the first write, then until the renewal, by turns
	}{
		{name: "the Sentinels' master is killed", post: sentinels, strike: (*redistest.Server).Kill, mend: (*redistest.Server).Run},
		{name: "a node of the Cluster is killed", post: cluster, strike: (*redistest.Server).Kill, mend: (*redistest.Server).Run},
		{name: "the Sentinels' master hangs", post: sentinels, strike: (*redistest.Server).Pause, mend: (*redistest.Server).Continue},
	}
	for i := range *failovers {
		kind := &kinds[i%len(kinds)]
		p := kind.post
		p.whole()
		due := p.due()
		victim := p.master()
		struck := time.Now()
		kind.strike(victim)
		p.struck++
		written := p.written(struck)
		renewed := p.renewed(struck)
		kind.mend(victim)
		p.slowest = max(p.slowest, written)
		kind.taken = append(kind.taken, written, renewed)

		// When the failover is over and the token is due, the lease may yet be with
		// nobody, and whoever has asked Redis in vain waits a little.
		late := renewed - max(written, due.Sub(struck))
		t.Logf("%3d  %-32s first write after %5.2f s, renewed after %5.2f s, %5.2f s after it could be", i+1, kind.name, written.Seconds(), renewed.Seconds(), late.Seconds())
		if limit := 2*p.guard.options.RequestTimeout + 10*time.Second; late > limit { // the lease, and a wide berth for a machine that is busy
			t.Errorf("failover %d: the token was renewed %v after it could be, want it within %v", i+1, late, limit)
		}
		p.guard.agreed()
		p.guard.served()
		if t.Failed() {
			break // the rest would bury why
		}
	}

	for _, kind := range kinds {
		if n := len(kind.taken) / 2; n > 0 {
			t.Logf("%-32s %3d times: first write after %s; renewed after %s", kind.name, n, spread(kind.taken, 0), spread(kind.taken, 1))
		}
	}
	for _, p := range []*post{sentinels, cluster} {
		p.guard.rest()
		ledger := p.guard.tenant.Requests()
		early := 0
		for i := 1; i < len(ledger); i++ {
			if ledger[i].Arrived.Sub(ledger[i-1].Arrived) < p.guard.life-p.guard.options.RenewBefore-p.guard.haste {
				early++
			}
		}
		t.Logf("%s: %d failovers, %d calls, of which %d found no valid token; %d token requests, %d of them before their time; the bound is %d and %d",
			p, p.struck, p.guard.calls.Load(), p.guard.without.Load(), len(ledger), early, p.guard.due(ledger), p.struck)
		if early > p.struck+int(p.guard.lost.Load()) {
			t.Errorf("%s: %d token requests came before their time, want one for each of %d failovers, at most", p, early, p.struck)
		}
		// A failover that takes half of the window leaves too little of it to promise
		// that all have the next token before this one expires.
		if n := p.guard.without.Load(); n > 0 && p.slowest < p.guard.options.RenewBefore/2 {
			t.Errorf("%s: %d calls found no valid token, though no failover took longer than %v", p, n, p.slowest)
		}
		p.guard.extra(p.struck)
	}
}

// A post is a fleet, and the servers that fail over beneath it.
type post struct {
	t        *testing.T
	guard    *guard
	nodes    []*redistest.Server
	observer *tokencache.Source    // has no callers
	probe    redis.UniversalClient // is not the library's
	key      string                // of the probe, beside the fleet's
	struck   int
	slowest  time.Duration // of the failovers, until the first write
}

func newPost(t *testing.T, replicas int, opts *redis.UniversalOptions, nodes []*redistest.Server) *post {
	t.Helper()
	p := &post{t: t, nodes: nodes, guard: newGuard(t, replicas, opts, func(g *guard) { g.quiet = true })}
	p.guard.first()
	p.observer = p.guard.join()
	var status tokencache.Status
	p.guard.insist("a status", func() (err error) {
		status, err = p.observer.Status(t.Context())
		return err
	})
	p.probe = tokencache.NewRedisClient(opts)
	t.Cleanup(func() { _ = p.probe.Close() })
	// In a Cluster, what has the same tag is on the same node.
	for _, node := range nodes {
		keys, err := node.Client().Keys(t.Context(), tokencache.DefaultPrefix+":*:token:"+status.TokenID).Result()
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) == 1 {
			_, tag, _ := strings.Cut(keys[0], "{")
			tag, _, _ = strings.Cut(tag, "}")
			p.key = "probe:{" + tag + "}"
		}
	}
	if p.key == "" {
		t.Fatal("no server has the fleet's token")
	}
	return p
}

// String returns what it fails over.
func (p *post) String() string {
	if p.guard.redis.MasterName != "" {
		return "Sentinels"
	}
	return "Cluster"
}

// master returns the one server that has the fleet's keys and can be written,
// and nil if there is none, or one too many, as there is before an old one
// follows the new one.
func (p *post) master() *redistest.Server {
	var found []*redistest.Server
	for _, node := range p.nodes {
		if role(p.t, node) != "master" {
			continue
		}
		if p.guard.redis.MasterName == "" {
			if n, err := node.Client().DBSize(p.t.Context()).Result(); err != nil || n == 0 {
				continue // the master of other slots
			}
		}
		found = append(found, node)
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// whole waits until all are as before the last failover, so that there is one to
// take over in the next.
func (p *post) whole() {
	p.t.Helper()
	replicas := 1 // of each master of the Cluster
	if p.guard.redis.MasterName != "" {
		replicas = len(p.nodes) - 1
	}
	p.guard.until("a master with its replicas", func() bool {
		master := p.master()
		if master == nil {
			return false
		}
		info, err := master.Client().Info(p.t.Context(), "replication").Result()
		return err == nil && strings.Count(info, "state=online") == replicas
	})
}

// due returns when the fleet's token is to be renewed.
func (p *post) due() time.Time {
	p.t.Helper()
	var status tokencache.Status
	p.guard.until("a token in Redis", func() bool {
		var err error
		status, err = p.observer.Status(p.t.Context())
		return err == nil && status.Fleet != nil
	})
	return status.Fleet.RenewFrom
}

// written waits until a write is accepted, and returns how long after a moment.
func (p *post) written(since time.Time) time.Duration {
	p.t.Helper()
	p.guard.until("a write that is accepted", func() bool {
		ctx, cancel := context.WithTimeout(p.t.Context(), 200*time.Millisecond)
		defer cancel()
		err := p.probe.Set(ctx, p.key, p.struck, time.Minute).Err()
		if cluster, ok := p.probe.(*redis.ClusterClient); ok && err != nil {
			cluster.ReloadState(ctx)
		}
		return err == nil
	})
	return time.Since(since)
}

// renewed waits until the fleet has a token that was issued after a moment, and
// returns how long after.
func (p *post) renewed(since time.Time) time.Duration {
	p.t.Helper()
	p.guard.until("a renewal after the failover", func() bool {
		status, err := p.observer.Status(p.t.Context())
		return err == nil && status.Fleet != nil && status.Fleet.Issued.After(since)
	})
	return time.Since(since)
}

// spread shows the smallest, the median and the largest of every second time.
func spread(times []time.Duration, from int) string {
	var sorted []time.Duration
	for i := from; i < len(times); i += 2 {
		sorted = append(sorted, times[i])
	}
	slices.Sort(sorted)
	return fmt.Sprintf("%.2f, %.2f, %.2f s (least, median, most)", sorted[0].Seconds(), sorted[len(sorted)/2].Seconds(), sorted[len(sorted)-1].Seconds())
}
