package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/demo"
)

const replicaHelp = `replica is one process of a fleet. It reads commands from its standard input
and tells on its standard output what happens, one JSON object a line. The demo
starts it, and so do tests that need real processes to kill.

The settings are those of all commands. It ends when its input does.`

const replicaExample = `  $ echo '{"do":"token"}' | fleettoken replica --api https://127.0.0.1:8443/api/`

// newReplicaCommand is hidden: it is for the demo and for tests. What it
// understands and what it tells is documented in package demo.
func newReplicaCommand(a *app) *cobra.Command {
	var api string
	var listen bool
	cmd := &cobra.Command{
		Use:     "replica",
		Short:   "Be one process of a fleet, for the demo and for tests",
		Long:    replicaHelp,
		Example: replicaExample,
		Args:    noArguments,
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			s := readSettings(a.env, new(problems)) // config has told what is wrong with them
			trusted, err := roots(settingPrefix+"CA_FILE", s.CAFile)
			if err != nil {
				return err
			}
			options := c.options
			options.Subscribe = listen
			err = demo.Serve(cmd.Context(), demo.ReplicaConfig{
				Name: s.Replica, Redis: c.redis, Credentials: c.credentials, Options: options, APIURL: api, Roots: trusted,
			}, a.stdin, a.stdout)
			if err != nil {
				return c.explain(err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&api, "api", "", "the API to call: an https URL that ends with a slash")
	cmd.Flags().BoolVar(&listen, "listen", true, "hear at once of what other replicas do")
	return cmd
}

// A troupe starts the replicas of a demo as processes of this very program. What
// is secret goes into their environment: a command line can be seen by others.
type troupe struct {
	app      *app
	redisURL string // empty: that of the embedded Redis

	mu  sync.Mutex
	dir string // holds the file of the certificate authority
}

// spawn is a demo.Spawner.
func (t *troupe) spawn(cfg demo.ReplicaConfig, pem []byte) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to start it once more: %w", err)
	}
	ca, err := t.authority(pem)
	if err != nil {
		return nil, err
	}
	redisURL := t.redisURL
	if redisURL == "" {
		redisURL = "redis://" + cfg.Redis.Addrs[0]
	}
	cmd := exec.Command(self, "replica", "--api", cfg.APIURL)
	for name, value := range t.app.env {
		if !strings.HasPrefix(name, settingPrefix) || name == settingPrefix+"REDIS_CA_FILE" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	for name, value := range map[string]string{
		"REPLICA": cfg.Name, "REDIS_URL": redisURL, "CA_FILE": ca,
		"TOKEN_URL": cfg.Credentials.TokenURL, "AUDIENCE": cfg.Credentials.Audience,
		"CLIENT_ID": cfg.Credentials.ClientID, "CLIENT_SECRET": cfg.Credentials.ClientSecret,
		"PREFIX": cfg.Options.Prefix, "RENEW_BEFORE": cfg.Options.RenewBefore.String(),
		"REQUEST_TIMEOUT": cfg.Options.RequestTimeout.String(), "REDIS_TIMEOUT": cfg.Options.RedisTimeout.String(),
	} {
		cmd.Env = append(cmd.Env, settingPrefix+name+"="+value)
	}
	return cmd, nil
}

// authority writes the certificate authority of the endpoint into a file, once,
// and returns its path.
func (t *troupe) authority(pem []byte) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dir == "" {
		dir, err := os.MkdirTemp("", "fleettoken-demo-")
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, "ca.pem"), pem, 0o600); err != nil {
			return "", err
		}
		t.dir = dir
	}
	return filepath.Join(t.dir, "ca.pem"), nil
}

// tidyUp removes the file.
func (t *troupe) tidyUp() {
	if t.dir != "" {
		_ = os.RemoveAll(t.dir) // a file that stays behind in a temporary folder holds no secret
	}
}
