package redistest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A Cluster is three masters, with a replica each if it has six nodes.
type Cluster struct{ Nodes []*Server }

// StartCluster starts one of three or six nodes, and waits until every node
// serves. It needs redis-cli, which comes with redis-server.
func StartCluster(t testing.TB, nodes int, args ...string) *Cluster {
	t.Helper()
	return StartClusterWith(t, &redis.Options{}, nodes, args...)
}

// StartClusterWith starts one whose nodes ask who comes: opts say who the test
// is.
func StartClusterWith(t testing.TB, opts *redis.Options, nodes int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range nodes {
		c.Nodes = append(c.Nodes, StartWith(t, opts, append([]string{"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"}, args...)...))
	}
	argv := append([]string{"--cluster", "create"}, c.Addrs()...)
	argv = append(argv, "--cluster-replicas", strconv.Itoa(nodes/3-1), "--cluster-yes")
	create := exec.Command("redis-cli", argv...)
	if opts.TLSConfig != nil {
		create.Args = append(create.Args, "--tls", "--insecure") // it shows no secret to whom it does not know
	}
	if opts.Username != "" {
		create.Args = append(create.Args, "--user", opts.Username)
		create.Env = append(os.Environ(), "REDISCLI_AUTH="+opts.Password)
	}
	out, err := create.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	for _, node := range c.Nodes {
		node.await(func(ctx context.Context, rdb *redis.Client) error {
			info, err := rdb.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(nodes))) {
				err = errNotYet
			}
			return err
		})
	}
	return c
}

// Addrs returns the addresses of the nodes.
func (c *Cluster) Addrs() []string { return addrs(c.Nodes) }

func addrs(servers []*Server) []string {
	out := make([]string, len(servers))
	for i, s := range servers {
		out[i] = s.Addr
	}
	return out
}

func split(addr string) (host, port string) {
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}
