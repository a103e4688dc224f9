package e2e

import (
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
)

// TestFault has the faults that need real servers; see TestFault in package
// tokencache for the others. The numbers are the same.
func TestFault(t *testing.T) {
	t.Run("05 no processor is left", func(t *testing.T) {
		t.Parallel()
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{redistest.Start(t).Addr}})
		var idle atomic.Bool
		var turns atomic.Int64
		for range 8 {
			go func() {
				for !idle.Load() {
					turns.Add(1)
				}
			}()
		}
		g.first()
		g.renewed(1)
		idle.Store(true)
		g.extra(0)
	})

	t.Run("31 a Sentinel failover", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinels(t)
		g := newGuard(t, 10, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()})
		g.first()
		s.Nodes[0].Kill()
		g.renewed(2)
		g.served()
		g.extra(1)
	})

	t.Run("32 a master that hangs and comes back", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinels(t)
		g := newGuard(t, 10, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()})
		g.first()
		s.Nodes[0].Pause()
		g.renewed(1)
		s.Nodes[0].Continue()
		g.renewed(1)
		g.served()
		g.extra(2)
	})

	t.Run("34 all Sentinels and the master are gone", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinels(t)
		g := newGuard(t, 5, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()})
		g.first()
		for _, server := range append(s.Sentinels, s.Nodes[0]) {
			server.Kill()
		}
		g.refused()
		for _, server := range append(s.Sentinels, s.Nodes[0]) {
			server.Run()
		}
		g.renewed(1)
		g.served()
		g.extra(1)
	})

	t.Run("35 a node of a Cluster is killed", func(t *testing.T) {
		t.Parallel()
		c := redistest.StartCluster(t, 6)
		g := newGuard(t, 10, &redis.UniversalOptions{Addrs: c.Addrs()})
		g.first()
		owner(t, c).Kill()
		g.renewed(2)
		g.served()
		g.extra(1)
	})

	t.Run("36 a Cluster is down", func(t *testing.T) {
		t.Parallel()
		c := redistest.StartCluster(t, 3)
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: c.Addrs()})
		g.first()
		lost := owner(t, c)
		lost.Kill()
		g.refused()
		lost.Run()
		g.renewed(1)
		g.served()
		g.extra(1)
	})

	t.Run("39 scripts are lost", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{server.Addr}})
		g.first()
		if err := server.Client().ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		g.renewed(1)
		g.extra(0)
	})

	t.Run("23 24 40 TLS and an account of least privilege", func(t *testing.T) {
		t.Parallel()
		privilege(t)
	})
}

// owner returns the node that has the fleet's keys.
func owner(t *testing.T, c *redistest.Cluster) *redistest.Server {
	t.Helper()
	for _, node := range c.Nodes {
		rdb := node.Client()
		if role, _ := rdb.Do(t.Context(), "role").Slice(); len(role) > 0 && role[0] == "slave" {
			continue
		}
		if n, err := rdb.DBSize(t.Context()).Result(); err == nil && n > 0 {
			return node
		}
	}
	t.Fatal("no node of the Cluster has the keys")
	return nil
}
