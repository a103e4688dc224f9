package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// MasterName is what the Sentinels call the master.
const MasterName = "fleet"

// A Sentinels is a master with two replicas, and three Sentinels that watch
// them and fail over about two seconds after the master is gone.
type Sentinels struct {
	Nodes     []*Server // the master, then the replicas, as they started
	Sentinels []*Server
}

// StartSentinels starts one, and waits until a failover would work.
func StartSentinels(t testing.TB, args ...string) *Sentinels {
	t.Helper()
	return StartSentinelsWith(t, &redis.Options{}, nil, args...)
}

// StartSentinelsWith starts one whose servers and Sentinels ask who comes: opts
// say who the test is. More lines are added to the Sentinels' configuration, and
// more arguments to the command line of the servers.
func StartSentinelsWith(t testing.TB, opts *redis.Options, lines []string, args ...string) *Sentinels {
	t.Helper()
	master := StartWith(t, opts, args...)
	s := &Sentinels{Nodes: []*Server{master}}
	_, port := split(master.Addr)
	for range 2 {
		replica := newServer(t, opts, append([]string{"--replicaof", "127.0.0.1", port, "--repl-diskless-sync-delay", "0"}, args...)...)
		replica.Run()
		s.Nodes = append(s.Nodes, replica)
	}
	// Sentinels ask a master for its replicas every ten seconds: be ready first.
	master.await(func(ctx context.Context, rdb *redis.Client) error {
		info, err := rdb.Info(ctx, "replication").Result()
		if err == nil && strings.Count(info, "state=online") != 2 {
			err = errNotYet
		}
		return err
	})
	for range 3 {
		sentinel := newServer(t, opts)
		_, own := split(sentinel.Addr)
		conf := filepath.Join(sentinel.Dir, "sentinel.conf")
		text := strings.Join(listening(opts, own), "\n") + fmt.Sprintf("\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %s 2\n"+
			"sentinel down-after-milliseconds %[2]s 1000\nsentinel failover-timeout %[2]s 3000\nsentinel parallel-syncs %[2]s 1\n",
			sentinel.Dir, MasterName, port) + strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinel.argv = []string{sentinel.argv[0], conf, "--sentinel"}
		sentinel.Run()
		s.Sentinels = append(s.Sentinels, sentinel)
	}
	for _, sentinel := range s.Sentinels {
		sentinel.await(func(ctx context.Context, rdb *redis.Client) error {
			client := redis.NewSentinelClient(rdb.Options())
			defer client.Close()
			info, err := client.Master(ctx, MasterName).Result()
			if err == nil && (info["num-slaves"] != "2" || info["num-other-sentinels"] != "2") {
				err = errNotYet
			}
			return err
		})
	}
	return s
}

// Addrs returns the addresses of the Sentinels.
func (s *Sentinels) Addrs() []string { return addrs(s.Sentinels) }

// Master returns the server that the Sentinels have for the master, and nil if
// none of them says.
func (s *Sentinels) Master() *Server {
	for _, sentinel := range s.Sentinels {
		reply, err := sentinel.Client().Do(sentinel.t.Context(), "sentinel", "get-master-addr-by-name", MasterName).StringSlice()
		if err != nil || len(reply) != 2 {
			continue
		}
		for _, node := range s.Nodes {
			if node.Addr == net.JoinHostPort(reply[0], reply[1]) {
				return node
			}
		}
	}
	return nil
}
