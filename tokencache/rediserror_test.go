package tokencache

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/redis/go-redis/v9"
)

// The errors that Redis gives are told apart, and none of them looks like a held
// lease, or like a fleet without a token.
func TestRedisErrors(t *testing.T) {
	for _, row := range []struct {
		message string
		kind    RedisKind
	}{
		{"LOADING Redis is loading the dataset in memory", RedisTransient},
		{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", RedisTransient},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", RedisTransient},
		{"READONLY You can't write against a read only replica.", RedisTransient},
		{"NOREPLICAS Not enough good replicas to write.", RedisTransient},
		{"CLUSTERDOWN The cluster is down", RedisTransient},
		{"OOM command not allowed when used memory > 'maxmemory'.", RedisTransient},
		{"MISCONF Redis is configured to save RDB snapshots", RedisTransient},
		{"ERR max number of clients reached", RedisTransient},
		{"TRYAGAIN Multiple keys request during rehashing of slot", RedisTransient},
		{"NOSCRIPT No matching script. Please use EVAL.", RedisTransient},
		{"WRONGTYPE Operation against a key holding the wrong kind of value", RedisTransient},
		{"NOAUTH Authentication required.", RedisConfiguration},
		{"WRONGPASS invalid username-password pair or user is disabled.", RedisConfiguration},
		{"NOPERM this user has no permissions to run the 'eval' command", RedisConfiguration},
		{"ERR unknown command 'EVAL'", RedisConfiguration},
		{"ERR unsupported command", RedisConfiguration},
		{"ERR command is not allowed", RedisConfiguration},
		{"ERR This command is not supported by this proxy", RedisConfiguration},
		{"MOVED 3999 127.0.0.1:6381", RedisConfiguration},
		{"DENIED Redis is running in protected mode", RedisConfiguration},
	} {
		t.Run(row.message, func(t *testing.T) {
			story(t, nil, Options{}, func(f *fleet) {
				f.m.SetError(row.message)
				_, err := f.start(1)[0].source.Token(f.t.Context())
				away, ok := errors.AsType[*RedisError](err)
				if !ok || away.Kind != row.kind || errors.Is(err, quota.ErrDenied) {
					f.t.Errorf("got %v, want it to be of kind %s", err, row.kind)
				}
				if row.kind == RedisConfiguration && (away.Advice() == "" || !strings.Contains(err.Error(), away.Advice())) {
					f.t.Errorf("the error does not say what to do: %v", err)
				}
				if !strings.Contains(err.Error(), "Redis refused: "+row.message) {
					f.t.Errorf("got %v, want that Redis refused", err)
				}
				f.want(0)
				f.m.SetError("")
				time.Sleep(time.Minute)
				f.token(f.replicas[0])
			})
		})
	}
}

// Who talks to one node of a Cluster as if it were alone is told MOVED, and has to
// change the configuration. A client that knows the way is told so, and too often,
// while a slot is moved.
func TestMovedSlot(t *testing.T) {
	one := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	defer one.Close()
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:6379"}})
	defer cluster.Close()
	moved := fmt.Errorf("lock: acquire: %w", errors.New("MOVED 3999 127.0.0.1:6381"))
	for _, row := range []struct {
		rdb  redis.UniversalClient
		err  error
		want RedisKind
	}{
		{one, moved, RedisConfiguration},
		{cluster, moved, RedisTransient},
		{cluster, errors.New("NOPERM this user has no permissions to run the 'eval' command"), RedisConfiguration},
	} {
		if got := (&host{rdb: row.rdb}).redisError(row.err); got.Kind != row.want || !errors.Is(got, row.err) {
			t.Errorf("%T told %q: got %q of kind %s, want %s", row.rdb, row.err, got, got.Kind, row.want)
		}
	}
}

// A name that does not resolve is for a person to look at, and who waits for a
// token is told so at once.
func TestRedisHasNoName(t *testing.T) {
	t.Parallel()
	story(t, nil, Options{}, func(f *fleet) {
		r := f.start(1)[0]
		r.net.set(func() { r.net.down = errNoSuchHost })
		for range 3 {
			start := time.Now()
			_, err := r.source.Token(f.t.Context())
			away, ok := errors.AsType[*RedisError](err)
			if !ok || away.Kind != RedisConfiguration || !errors.Is(err, errNoSuchHost) || !errors.Is(err, ErrNoToken) || time.Since(start) > time.Second {
				f.t.Errorf("got %v after %v, want that the name does not resolve", err, time.Since(start))
			}
		}
		f.want(0)
		r.net.mend()
		time.Sleep(2 * time.Second)
		f.token(r)
		f.want(1)
	})
}
