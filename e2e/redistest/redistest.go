// Package redistest runs real Redis servers for tests: one alone, one watched
// by Sentinels, a Cluster. They listen on free loopback ports, keep their files
// in the test's own folder, and end with the test.
//
// miniredis and a virtual clock tell most stories faster. These servers are for
// what it cannot show: the real Lua, slots, failover, persistence, eviction.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ready is how long a server may take until it serves.
const ready = 30 * time.Second

// Find returns the path of redis-server. Without one, and with -short, the test is
// skipped. If the environment says CI=true, a test without redis-server fails: there, one
// that silently did not run would be a lie.
func Find(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out real servers")
	}
	path, err := exec.LookPath("redis-server")
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("redis-server is not on this machine, and CI=true: install it (Debian: apt-get install redis-server)")
	}
	t.Skip("redis-server is not on this machine; install it to run this test")
	return ""
}

// A Server is one redis-server process.
type Server struct {
	Addr string
	Dir  string

	t    testing.TB
	argv []string

	opts    *redis.Options
	connect sync.Once
	client  *redis.Client
	cmd     *exec.Cmd
	done    chan struct{}
}

// Start starts a server without persistence. More arguments are added to its
// command line, and win over the ones given here.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return StartWith(t, &redis.Options{}, args...)
}

// StartWith starts a server that asks who comes: opts say who the test is. If they
// have a TLSConfig, the server speaks nothing but TLS, and args say with which
// certificate.
func StartWith(t testing.TB, opts *redis.Options, args ...string) *Server {
	t.Helper()
	s := newServer(t, opts, args...)
	s.Run()
	s.await(func(ctx context.Context, rdb *redis.Client) error { return rdb.Ping(ctx).Err() })
	return s
}

func newServer(t testing.TB, opts *redis.Options, args ...string) *Server {
	t.Helper()
	port := strconv.Itoa(FreePort(t))
	s := &Server{Addr: "127.0.0.1:" + port, Dir: t.TempDir(), t: t, opts: opts}
	s.argv = []string{Find(t), "--bind", "127.0.0.1", "--dir", s.Dir, "--save", "", "--appendonly", "no", "--daemonize", "no"}
	for _, line := range listening(opts, port) {
		name, value, _ := strings.Cut(line, " ")
		s.argv = append(s.argv, "--"+name, value)
	}
	s.argv = append(s.argv, args...)
	t.Cleanup(s.Kill)
	return s
}

// listening returns the lines of configuration that say how a server is reached.
func listening(opts *redis.Options, port string) []string {
	if opts.TLSConfig == nil {
		return []string{"port " + port}
	}
	return []string{"port 0", "tls-port " + port, "tls-replication yes"}
}

// Run starts the process again, on the same port and folder. It does not wait.
func (s *Server) Run() {
	s.t.Helper()
	logs, err := os.OpenFile(filepath.Join(s.Dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer logs.Close()
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the reason is in the log
		close(done)
	}()
	s.cmd, s.done = cmd, done
}

// Restart ends the process if it runs, starts it again and waits until it
// serves.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.Run()
	s.await(func(ctx context.Context, rdb *redis.Client) error { return rdb.Ping(ctx).Err() })
}

// Kill ends the process as a crash would, and waits until it is gone.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Kill() // gone already is as good
	<-s.done
	s.cmd = nil
}

// Pause stops the process in its tracks, and Continue wakes it: a hung host.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Continue is described with Pause.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Client returns a client of this one server, the same each time. It is closed
// with the test.
func (s *Server) Client() *redis.Client {
	s.connect.Do(func() {
		s.client = redis.NewClient(&redis.Options{
			Addr: s.Addr, Username: s.opts.Username, Password: s.opts.Password, TLSConfig: s.opts.TLSConfig,
			ContextTimeoutEnabled: true, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		s.t.Cleanup(func() { _ = s.client.Close() })
	})
	return s.client
}

// await tries f until it succeeds. The wait between two tries is no
// synchronisation: the loop ends when f says so.
func (s *Server) await(f func(context.Context, *redis.Client) error) {
	s.t.Helper()
	rdb := s.Client()
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		if err = f(ctx, rdb); err == nil {
			return
		}
		select {
		case <-s.done:
			log, _ := os.ReadFile(filepath.Join(s.Dir, "server.log"))
			s.t.Fatalf("%s ended:\n%s", strings.Join(s.argv, " "), log)
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.t.Fatalf("redis-server at %s is not ready after %v: %v", s.Addr, ready, err)
}

// FreePort finds a port that nobody listens on, with room for the bus port of a
// Cluster node beside it. Both are below those that systems give to clients, so
// that no connection of a test takes one before the server does; and no port is
// given twice.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 12000 + rand.IntN(10000)
		if _, given := ports.LoadOrStore(port, true); given || !free(port) || !free(port+10000) {
			continue
		}
		return port
	}
	t.Fatal("no free port found")
	return 0
}

var ports sync.Map

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

var errNotYet = errors.New("not yet")
