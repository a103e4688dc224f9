package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/redistest"
	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// TestFault has the faults that need real servers; see TestFault in package
// tokencache for the others. The numbers are the same.
func TestFault(t *testing.T) {
	t.Run("05 no processor is left", func(t *testing.T) { // and so not beside others
		// Redis and the endpoint are as starved as the replicas: they have more time.
		starved := func(g *guard) {
			g.life, g.options.RenewBefore, g.haste = 30*time.Second, 15*time.Second, 10*time.Second
			g.options.RequestTimeout, g.options.RedisTimeout = 5*time.Second, 5*time.Second
		}
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{redistest.Start(t).Addr}, ReadTimeout: 5 * time.Second, DialTimeout: 5 * time.Second}, starved)
		var idle atomic.Bool
		var turns [8]atomic.Int64
		for i := range turns {
			go func() {
				for !idle.Load() {
					turns[i].Add(1)
				}
			}()
		}
		others := spin(t, 4) // and the machine's other processes want it, too
		g.first()
		g.renewed(1)
		idle.Store(true)
		others()
		for i := range turns {
			if turns[i].Load() == 0 {
				t.Errorf("the spinning goroutine %d has had no turn", i)
			}
		}
		if sure, slow := g.sure.Load(), g.slow.Load(); slow*100 > sure {
			t.Errorf("%d of %d calls with a token in memory took more than a millisecond, want one in a hundred, at most", slow, sure)
		}
		g.extra(0)
	})

	t.Parallel() // from here on, with the other tests that wait

	t.Run("20 21 half the fleet is cut off", func(t *testing.T) {
		t.Parallel()
		partitioned(t, &redis.UniversalOptions{Addrs: []string{redistest.Start(t).Addr}})
	})

	t.Run("20 21 half the fleet is cut off from Sentinels and servers", func(t *testing.T) {
		t.Parallel()
		partitioned(t, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: redistest.StartSentinels(t).Addrs()})
	})

	t.Run("20 21 half the fleet is cut off from a Cluster", func(t *testing.T) {
		t.Parallel()
		partitioned(t, &redis.UniversalOptions{Addrs: redistest.StartCluster(t, 6).Addrs()})
	})

	t.Run("27 other traffic evicts token and block", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{server.Addr}}, brisk)
		g.first()
		crowd(t, server)
		g.renewed(1) // each gives the token back, and one renews it
		g.agreed()

		// The endpoint refuses. Once each replica knows, Redis may forget it.
		refusal := auth0test.QuotaExceeded(3 * time.Second)
		refusal.SkipQuotaHeader = true
		g.tenant.Inject(1, refusal)
		g.until("a refusal", func() bool { return g.tenant.Requests().Answered(429) == 1 })
		refused := g.tenant.Requests()
		g.heard(4) // the fifth is the one that was refused
		crowd(t, server)
		g.renewed(1)
		if pause := g.tenant.Requests()[len(refused)].Arrived.Sub(refused[len(refused)-1].Arrived); pause < 3*time.Second {
			t.Errorf("the fleet asked again %v after the refusal, want three seconds or more", pause)
		}
		g.agreed()
		g.served()
		g.extra(1) // the refused one
	})

	t.Run("28 Redis has no memory left", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{server.Addr}}, brisk)
		g.first()
		rdb := server.Client()
		set(t, rdb, "maxmemory", "4mb")
		if err := flood(t, rdb, 0, 1<<16); err == nil || !strings.HasPrefix(err.Error(), "OOM ") {
			t.Fatalf("filling the memory ends with %v", err)
		}
		set(t, rdb, "maxmemory", "1mb") // what clients give back when they leave is not enough now
		g.served()                      // to read takes no memory
		g.noticed(0)
		if n := len(g.tenant.Requests()); n != 1 {
			t.Errorf("got %d token requests while no lease could be taken, want only the one before", n)
		}
		set(t, rdb, "maxmemory", "0")
		g.renewed(1)
		g.agreed()
		g.served()
		g.extra(0)
	})

	t.Run("29 a script spins", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, "--lua-time-limit", "100")
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{server.Addr}}, brisk)
		g.first()
		opts := *server.Client().Options()
		opts.ReadTimeout, opts.MaxRetries = -1, -1 // once, however long it takes
		rdb := redis.NewClient(&opts)
		defer rdb.Close()
		spun := make(chan error, 1)
		go func() { spun <- rdb.Eval(context.Background(), "while true do end", nil).Err() }()
		other := server.Client()
		g.until("Redis is busy", func() bool {
			err := other.Ping(t.Context()).Err()
			return err != nil && strings.HasPrefix(err.Error(), "BUSY ")
		})
		g.refused()
		g.noticed(1) // the newcomer is one
		if err := other.ScriptKill(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if err := <-spun; err == nil || !strings.Contains(err.Error(), "SCRIPT KILL") {
			t.Errorf("the script ended with %v", err)
		}
		g.renewed(1)
		g.agreed()
		g.served()
		g.extra(1)
	})

	t.Run("30 Redis is loading", func(t *testing.T) {
		t.Parallel()
		// A millisecond for each key, and a look at clients for each kilobyte:
		// as long as a large dump takes.
		server := redistest.Start(t, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: []string{server.Addr}}, brisk)
		g.first()
		rdb := server.Client()
		if err := flood(t, rdb, 0, 5000); err != nil {
			t.Fatal(err)
		}
		if err := rdb.Save(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		server.Kill()
		server.Run()
		g.until("Redis loads", func() bool {
			err := rdb.Ping(t.Context()).Err()
			return err != nil && strings.HasPrefix(err.Error(), "LOADING ")
		})
		g.refused()
		g.renewed(1)
		g.agreed()
		g.served()
		g.extra(1)
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
		old, start := s.Nodes[0], time.Now()
		old.Pause()
		g.renewed(1)
		old.Continue()
		g.renewed(1)
		g.agreed()
		g.served()
		g.extra(2)
		// Whoever asks a server that is no master any more looks for the new one, and
		// does not ask it again and again.
		if n := stat(t, old, "errorstats", "errorstat_READONLY:count="); n > 10 {
			t.Errorf("the old master refused %d commands, want one for each replica, at most", n)
		}
		scripts := 0
		for _, server := range s.Nodes {
			for _, name := range []string{"eval", "evalsha"} {
				scripts += stat(t, server, "commandstats", "cmdstat_"+name+":calls=")
			}
		}
		if most := 10 * int(time.Since(start).Seconds()); scripts > most {
			t.Errorf("ten replicas ran %d scripts, want one in a second each, at most: %d", scripts, most)
		}
	})

	t.Run("33 a failover that loses the lease", func(t *testing.T) {
		t.Parallel()
		grantTwice(t)
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

	// Who is connected to the master goes on. Who comes now cannot find it, nor who
	// has lost a connection on a busy machine.
	t.Run("34 all Sentinels are gone", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinels(t)
		g := newGuard(t, 5, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()}, brisk)
		g.first()
		for _, server := range s.Sentinels {
			server.Kill()
		}
		g.refused()
		g.renewed(1)
		g.refused()
		for _, server := range s.Sentinels {
			server.Run()
		}
		g.served()
		g.renewed(1)
		g.agreed()
		g.extra(0)
	})

	t.Run("35 a node of a Cluster is killed", func(t *testing.T) {
		t.Parallel()
		c := redistest.StartCluster(t, 6)
		g := newGuard(t, 10, &redis.UniversalOptions{Addrs: c.Addrs()})
		g.first()
		idle := g.join() // nothing but an operator makes it ask Redis
		g.insist("a status", func() error { _, err := idle.Status(t.Context()); return err })
		owner(t, c).Kill()
		g.renewed(2)
		g.served()
		var err error
		for range 20 { // a try or two tell it that the node is gone, and where its heir is
			if _, err = idle.Status(t.Context()); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("an operator is told, long after the failover: %v", err)
		}
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

	t.Run("37 a slot is moved", func(t *testing.T) {
		t.Parallel()
		c := redistest.StartCluster(t, 3)
		g := newGuard(t, 5, &redis.UniversalOptions{Addrs: c.Addrs()}, brisk)
		g.first()
		// Redis itself does not run a script of which it finds some keys here and some
		// there, or yet to be asked for, or nowhere. The client tries again while it may,
		// and callers who hold a token notice nothing; but a newcomer is told that Redis
		// does not answer for now, as it would be in an outage. It has its token later.
		passing := func() {
			if err := g.answered(); err != nil {
				if known, ok := errors.AsType[*tokencache.RedisError](err); !ok || known.Kind != tokencache.RedisTransient {
					t.Errorf("a newcomer was told %v, want to be told of what passes", err)
				}
			}
		}
		move := startMove(t, c)
		g.noticed(0)
		passing()
		move.rest()
		passing()
		move.finish()
		g.renewed(1)
		g.agreed()
		for _, newcomer := range g.sources[g.callers:] {
			g.tokenOf(newcomer)
		}
		g.served()
		if owner(t, c) != move.to {
			t.Error("the fleet's keys are not where the slot is")
		}
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

	t.Run("23 the certificate of Redis expires", func(t *testing.T) {
		t.Parallel()
		certificateExpires(t)
	})

	t.Run("23 24 40 TLS and an account of least privilege", func(t *testing.T) {
		t.Parallel()
		privilege(t)
	})

	t.Run("40 the account for another version", func(t *testing.T) {
		t.Parallel()
		newerAccount(t)
	})

	t.Run("40 an account of least privilege under Sentinels", func(t *testing.T) {
		t.Parallel()
		privilegeUnderSentinels(t)
	})

	t.Run("40 an account of least privilege in a Cluster", func(t *testing.T) {
		t.Parallel()
		privilegeInCluster(t)
	})
}

// spin starts processes that do nothing but take the processors. What it returns
// ends them, and checks that they had their share.
func spin(t *testing.T, n int) (end func()) {
	t.Helper()
	all := make([]*exec.Cmd, n)
	kill := sync.OnceFunc(func() {
		for _, cmd := range all {
			if cmd != nil {
				_ = cmd.Process.Kill() // gone already is as good
				_ = cmd.Wait()
			}
		}
	})
	t.Cleanup(kill)
	for i := range all {
		cmd := exec.Command("sh", "-c", "ulimit -t 60; while :; do :; done") // and a minute of it is enough, whatever becomes of this test
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all[i] = cmd
	}
	return func() {
		t.Helper()
		kill()
		for _, cmd := range all {
			if cmd.ProcessState.UserTime() == 0 {
				t.Error("a spinning process has had no processor")
			}
		}
	}
}

// stat returns a number of what INFO tells of a server, and zero if it does not.
func stat(t *testing.T, server *redistest.Server, section, name string) (n int) {
	t.Helper()
	info, err := server.Client().Info(t.Context(), section).Result()
	if err != nil {
		t.Fatal(err)
	}
	if _, after, ok := strings.Cut(info, name); ok {
		if _, err := fmt.Sscanf(after, "%d", &n); err != nil {
			t.Fatalf("%s in %q: %v", name, info, err)
		}
	}
	return n
}

// set changes a setting of a server.
func set(t *testing.T, rdb *redis.Client, name, value string) {
	t.Helper()
	if err := rdb.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

// flood writes keys of other people, a kilobyte each, from one number to another.
func flood(t *testing.T, rdb *redis.Client, from, to int) error {
	t.Helper()
	value := strings.Repeat("x", 1000)
	for from < to {
		_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for range min(500, to-from) {
				p.Set(t.Context(), fmt.Sprintf("other:%d", from), value, 0)
				from++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// crowd gives a server little memory, and writes to it until none of the
// fleet's keys is left.
func crowd(t *testing.T, server *redistest.Server) {
	t.Helper()
	rdb := server.Client()
	set(t, rdb, "maxmemory", "4mb")
	for n := 0; n < 1<<20; n += 1000 {
		if err := flood(t, rdb, n, n+1000); err != nil {
			t.Fatal(err)
		}
		keys, err := rdb.Keys(t.Context(), tokencache.DefaultPrefix+":*").Result()
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) == 0 {
			return
		}
	}
	t.Fatal("a million keys of others have not evicted those of the fleet")
}

// role returns whether a server is a "master" or a "slave"; one that is dead is
// neither.
func role(t *testing.T, server *redistest.Server) string {
	t.Helper()
	reply, err := server.Client().Do(t.Context(), "role").Slice()
	if err != nil || len(reply) == 0 {
		return ""
	}
	return fmt.Sprint(reply[0])
}

// owner returns the node that has the fleet's keys.
func owner(t *testing.T, c *redistest.Cluster) *redistest.Server {
	t.Helper()
	for _, node := range c.Nodes {
		if role(t, node) != "master" {
			continue
		}
		if n, err := node.Client().DBSize(t.Context()).Result(); err == nil && n > 0 {
			return node
		}
	}
	t.Fatal("no node of the Cluster has the keys")
	return nil
}

// grantTwice grants one lease to two replicas: the first has it from a master
// that dies before its replicas hear of it, the second from the new master.
func grantTwice(t *testing.T) {
	s := redistest.StartSentinels(t)
	answered := make(chan struct{}) // the first one's answer has time until then
	hold := func(g *guard) {
		g.life, g.options.RenewBefore, g.options.RequestTimeout = 2*time.Minute, time.Minute, 30*time.Second
	}
	g := newGuard(t, 5, &redis.UniversalOptions{MasterName: redistest.MasterName, Addrs: s.Addrs()}, hold)
	answer := sync.OnceFunc(func() { close(answered) })
	t.Cleanup(answer) // or a test that fails could not end
	late := g.tenant.Transport()
	g.options.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := late.RoundTrip(r)
		<-answered
		return resp, err
	})
	first := g.join() // without callers; the others have them
	g.first()
	refused := g.tokenOf(first)

	// The lease of the first token must be over for all, or it would hold up the
	// second one.
	master, replicas := s.Nodes[0].Client(), []*redis.Client{s.Nodes[1].Client(), s.Nodes[2].Client()}
	g.until("the first lease to be given back", func() bool { return locks(t, master) == 0 })
	if err := flood(t, master, 0, 1); err != nil {
		t.Fatal(err)
	}
	for _, rdb := range replicas {
		g.until("a replica to hear of it", func() bool { return rdb.Exists(t.Context(), "other:0").Val() == 1 })
	}

	// With a password that their master does not know, they cannot come back.
	for _, rdb := range replicas {
		set(t, rdb, "masterauth", "wrong")
	}
	if err := master.ClientKillByFilter(t.Context(), "type", "replica").Err(); err != nil {
		t.Fatal(err)
	}
	g.until("a master without replicas", func() bool {
		info, err := master.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "connected_slaves:0")
	})

	// The API has refused the token: everybody wants another one.
	rejected := make(chan error, 2)
	go func() { rejected <- first.Invalidate(context.Background(), refused) }()
	g.until("the first one's request", func() bool { return g.tenant.Issued() == 2 })
	if n := locks(t, master); n != 1 {
		t.Fatalf("the master has %d leases, want that of the first one", n)
	}
	s.Nodes[0].Kill()
	for _, rdb := range replicas {
		if n := locks(t, rdb); n != 0 {
			t.Errorf("a replica has heard of the lease")
		}
		set(t, rdb, "masterauth", "")
	}
	second := g.sources[0]
	g.insist("a lease of the second one", func() error { return second.Invalidate(t.Context(), refused) })
	ledger := g.tenant.Requests()
	if len(ledger) != 3 {
		t.Fatalf("got %d token requests, want the first token, and one of each holder of the lease", len(ledger))
	}
	newer := g.tokenOf(second)
	if newer.AccessToken == refused.AccessToken {
		t.Fatal("the second one has no other token")
	}
	answer()
	if err := <-rejected; err != nil {
		t.Errorf("the first one: %v", err)
	}

	// Both have asked, and the newer token is the fleet's. Those who hold the
	// one of before hear of it when the API refuses it to them, too.
	for _, source := range g.sources {
		g.insist("another token for one that holds the refused one", func() error { return source.Invalidate(t.Context(), refused) })
	}
	g.until("the newer token for all", func() bool {
		for _, source := range g.sources {
			if token, err := source.Token(t.Context()); err != nil || token.AccessToken != newer.AccessToken {
				return false
			}
		}
		return true
	})
	g.served()
	g.extra(2) // one that was asked for, and one for the fault
	if n := len(g.tenant.Requests()); n != 3 {
		t.Errorf("got %d token requests, want 3", n)
	}
}

// roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// locks returns how many leases a server knows of.
func locks(t *testing.T, rdb *redis.Client) int {
	t.Helper()
	keys, err := rdb.Keys(t.Context(), tokencache.DefaultPrefix+":*:lock").Result()
	if err != nil {
		t.Fatal(err)
	}
	return len(keys)
}

// A move of the slot that has the fleet's keys, from one node to another.
type move struct {
	t        *testing.T
	c        *redistest.Cluster
	slot     int64
	from, to *redistest.Server
}

// startMove moves half of the keys.
func startMove(t *testing.T, c *redistest.Cluster) *move {
	t.Helper()
	m := &move{t: t, c: c, from: owner(t, c)}
	for _, node := range c.Nodes {
		if node != m.from && role(t, node) == "master" {
			m.to = node
		}
	}
	from, to := m.from.Client(), m.to.Client()
	key, err := from.RandomKey(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if m.slot, err = from.ClusterKeySlot(t.Context(), key).Result(); err != nil {
		t.Fatal(err)
	}
	m.do(to, "cluster", "setslot", m.slot, "importing", m.id(from))
	m.do(from, "cluster", "setslot", m.slot, "migrating", m.id(to))
	m.migrate(1)
	return m
}

// rest moves the other half. Until finish, clients are told to ASK for them.
func (m *move) rest() {
	m.t.Helper()
	from := m.from.Client()
	for {
		left, err := from.ClusterCountKeysInSlot(m.t.Context(), int(m.slot)).Result()
		if err != nil {
			m.t.Fatal(err)
		}
		if left == 0 {
			return
		}
		m.migrate(int(left))
	}
}

// finish gives the slot to its new owner, which is told first, so that there is
// one at any moment.
func (m *move) finish() {
	m.t.Helper()
	m.rest() // what was written meanwhile
	to := m.to.Client()
	for _, rdb := range []*redis.Client{to, m.from.Client()} {
		m.do(rdb, "cluster", "setslot", m.slot, "node", m.id(to))
	}
}

func (m *move) migrate(n int) {
	m.t.Helper()
	from := m.from.Client()
	keys, err := from.ClusterGetKeysInSlot(m.t.Context(), int(m.slot), n).Result()
	if err != nil {
		m.t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(m.to.Addr)
	args := []any{"migrate", host, port, "", 0, 5000}
	if opts := from.Options(); opts.Username != "" {
		args = append(args, "auth2", opts.Username, opts.Password)
	}
	args = append(args, "keys")
	for _, key := range keys {
		args = append(args, key)
	}
	m.do(from, args...)
}

func (m *move) id(rdb *redis.Client) string {
	m.t.Helper()
	id, err := rdb.Do(m.t.Context(), "cluster", "myid").Text()
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

func (m *move) do(rdb *redis.Client, args ...any) {
	m.t.Helper()
	if err := rdb.Do(m.t.Context(), args...).Err(); err != nil {
		m.t.Fatalf("%v: %v", args, err)
	}
}
