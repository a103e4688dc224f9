package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/demo"
	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache"
)

const demoHelp = `demo shows in about fifteen seconds what happens to a fleet in days.

It starts a token endpoint with an API, a Redis and twenty replicas. First each
replica has a token of its own, as without fleettoken: two deploys, and the quota
of 42 tokens an hour is spent. Then the same deploys follow with fleettoken. After
that the replicas renew the token, lose the one that renews, are refused by the
endpoint, lose Redis, and so on. Meanwhile no call may fail and no token request
may be wasted. It needs no account, and nothing but this command.

Only the configuration compresses time: tokens live for seconds. The rest is
real: the library as a service uses it, HTTPS, and Redis commands over TCP. The
replicas are in one process; one that is killed loses its connections and stops.

On a terminal there is a live view; q ends it. The exit code is 0 if every promise
was kept, 1 if one was broken, and 130 if the demo was interrupted.`

const demoExample = `  $ fleettoken demo
  $ fleettoken demo --replicas 100 --duration 1m
  $ fleettoken demo --redis redis://127.0.0.1:6379
  $ fleettoken demo --json | jq .deploys`

// exitInterrupted is the exit code of an interrupted demo, as of a program that
// SIGINT ended.
const exitInterrupted = 130

// exitUnread is the exit code if the reader of the output is gone, as of a
// program that SIGPIPE ended.
const exitUnread = 141

type demoFlags struct {
	replicas    int
	duration    time.Duration
	json, plain bool
}

func newDemoCommand(a *app) *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Show how a fleet shares a token, on this machine alone",
		Long:    demoHelp,
		Example: demoExample,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), flags) },
	}
	f := cmd.Flags()
	f.IntVar(&flags.replicas, "replicas", 20, fmt.Sprintf("how many replicas there are, from 1 to %d", demo.MaxReplicas))
	f.DurationVar(&flags.duration, "duration", demo.DefaultDuration, fmt.Sprintf("how long it takes, roughly; %v at least", demo.MinDuration))
	f.StringVar(&a.flags.redis, "redis", "", "use this Redis instead of an embedded one; 'env' means FLEETTOKEN_REDIS_URL")
	f.BoolVar(&flags.json, "json", false, "print the report as JSON, and nothing else")
	f.BoolVar(&flags.plain, "plain", false, "print lines instead of the live view")
	return cmd
}

// demo runs the demo and prints its report.
func (a *app) demo(ctx context.Context, flags demoFlags) error {
	options := demo.Options{Replicas: flags.replicas, Duration: flags.duration}
	if err := a.demoRedis(&options); err != nil {
		return err
	}
	if err := options.Check(); err != nil {
		return misused("%v", err)
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signal.Ignore(syscall.SIGPIPE) // the demo removes its keys from Redis before the process ends
	closeView := func() error { return nil }
	live := false
	switch {
	case flags.json:
	case flags.plain || !a.screen():
		options.Tell = view.Lines{Out: a.stdout, Width: a.columns(), Lost: cancel}.Tell
	default:
		screen := view.Open(ctx, a.keyboard(), a.stdout, a.env, cancel)
		options.Show, closeView, live = screen.Show, screen.Close, true
	}
	report, err := demo.Run(ctx, options)
	if err := errors.Join(err, closeView()); err != nil {
		failure := failed(err)
		if away, ok := errors.AsType[*tokencache.RedisError](err); ok && options.Redis != nil {
			failure.problems[0].hints = []string{redisHint(away, a.redisSetting(), options.Redis.TLSConfig != nil)}
		}
		return failure
	}
	if live { // the screen that showed the scenarios is gone
		err = writeDemoScenarios(a.stdout, report, a.columns())
	}
	if err == nil {
		err = a.conclude(report, flags.json)
	}
	if errors.Is(err, syscall.EPIPE) { // there is no reader for an error either
		return &failure{code: exitUnread}
	}
	return err
}

// demoRedis reads which Redis to use. The default is an embedded one.
func (a *app) demoRedis(options *demo.Options) error {
	if a.flags.redis == "" {
		return nil
	}
	var problems problems
	s := readSettings(a.env, &problems)
	options.Redis = a.redisOptions(s, &problems)
	return problems.err()
}

// columns is the width of the terminal, at most 100, or 80 if there is none.
func (a *app) columns() int {
	if f, ok := a.stdout.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return min(width, 100)
		}
	}
	return 80
}

// keyboard is the terminal that keys come from, or nil.
func (a *app) keyboard() io.Reader {
	if in, ok := a.stdin.(io.Writer); ok && isTerminal(in) { // a terminal is a file, which can be written to
		return a.stdin
	}
	return nil
}

// conclude prints the report and turns it into an exit code.
func (a *app) conclude(report *demo.Report, asJSON bool) error {
	write := writeDemoReport
	if asJSON {
		write = func(w io.Writer, r *demo.Report) error { return json.NewEncoder(w).Encode(r) }
	}
	if err := write(a.stdout, report); err != nil {
		return err
	}
	if len(report.Broken) == 0 {
		if report.Interrupted {
			return &failure{code: exitInterrupted}
		}
		return nil
	}
	if _, err := fmt.Fprintf(a.stderr, "the endpoint's ledger:\n%s\n", strings.TrimSpace(report.Ledger)); err != nil {
		return err
	}
	f := &failure{code: exitFailed}
	for _, promise := range report.Broken {
		f.problems = append(f.problems, problem{text: "broken promise: " + promise})
	}
	return f
}
