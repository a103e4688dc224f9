package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/demo"
	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/tokencache"
)

const demoHelp = `demo plays what happens to a fleet in days, in a quarter of a minute.

It starts a token endpoint with an API, a Redis, and twenty replicas that call
the API with the token they share. They start all at once, renew the token, lose
the one that renews it, are refused by the endpoint, lose Redis, and so on. No
call may fail meanwhile, and no token request may be wasted. It needs no account,
and nothing but this command.

Time is compressed by configuration alone: tokens live for seconds. Everything
is real: the library as a service would use it, HTTPS, Redis commands over TCP.

On a terminal there is a live view; q ends it. The exit code is 0 if every
promise was kept, 1 if one was broken, and 130 if somebody has ended it.`

const demoExample = `  $ fleettoken demo
  $ fleettoken demo --replicas 100 --duration 1m
  $ fleettoken demo --processes --redis redis://127.0.0.1:6379
  $ fleettoken demo --json | jq .token_requests`

// exitInterrupted is the exit code if somebody has ended the demo: that of a
// program which SIGINT has ended.
const exitInterrupted = 130

// exitUnread is the exit code if nobody reads the output any more: that of a
// program which SIGPIPE has ended.
const exitUnread = 141

type demoFlags struct {
	replicas               int
	duration               time.Duration
	processes, json, plain bool
}

func newDemoCommand(a *app) *cobra.Command {
	var flags demoFlags
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Play the life of a fleet, on this machine alone",
		Long:    demoHelp,
		Example: demoExample,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), flags) },
	}
	f := cmd.Flags()
	f.IntVar(&flags.replicas, "replicas", 20, fmt.Sprintf("how many replicas there are, from 1 to %d", demo.MaxReplicas))
	f.DurationVar(&flags.duration, "duration", demo.DefaultDuration, fmt.Sprintf("how long it takes, roughly; %v at least", demo.MinDuration))
	f.StringVar(&a.flags.redis, "redis", "", "play on this Redis of yours, and not on an embedded one; 'env' means FLEETTOKEN_REDIS_URL")
	f.BoolVar(&flags.processes, "processes", false, "give each replica a process of its own, which is killed for real")
	f.BoolVar(&flags.json, "json", false, "print the report as JSON, and nothing else")
	f.BoolVar(&flags.plain, "plain", false, "print lines instead of the live view")
	return cmd
}

// demo plays the demo and reports what came of it.
func (a *app) demo(ctx context.Context, flags demoFlags) error {
	options := demo.Options{Replicas: flags.replicas, Duration: flags.duration}
	redisURL, err := a.demoRedis(&options)
	if err != nil {
		return err
	}
	if flags.processes {
		troupe := &troupe{app: a, redisURL: redisURL}
		defer troupe.tidyUp()
		options.Spawn = troupe.spawn
	}
	if err := options.Check(); err != nil {
		return misused("%v", err)
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away ends the demo, which has things to tidy up, and not the process
	closeView := func() error { return nil }
	live := false
	switch {
	case flags.json:
	case flags.plain || !a.screen():
		options.Tell = view.Lines{Out: a.stdout, Lost: cancel}.Tell
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
	if live { // the screen that told it is gone
		err = report.WriteStory(a.stdout)
	}
	if err == nil {
		err = a.conclude(report, flags.json)
	}
	if errors.Is(err, syscall.EPIPE) { // there is nobody to tell, which is no news either
		return &failure{code: exitUnread}
	}
	return err
}

// demoRedis reads which Redis to play on, and returns its address for other
// processes. None means an embedded one.
func (a *app) demoRedis(options *demo.Options) (url string, err error) {
	if a.flags.redis == "" {
		return "", nil
	}
	var problems problems
	s := readSettings(a.env, &problems)
	if url = a.flags.redis; url == redisFromEnv {
		url = s.RedisURL
	}
	options.Redis = a.redisOptions(s, &problems)
	return url, problems.err()
}

// keyboard is where keys come from, nil if there are none.
func (a *app) keyboard() io.Reader {
	if in, ok := a.stdin.(io.Writer); ok && isTerminal(in) { // a terminal is a file, which can be written to
		return a.stdin
	}
	return nil
}

// conclude prints what came of the demo, and turns it into an exit code.
func (a *app) conclude(report *demo.Report, asJSON bool) error {
	write := report.WriteText
	if asJSON {
		write = func(w io.Writer) error { return json.NewEncoder(w).Encode(report) }
	}
	if err := write(a.stdout); err != nil {
		return err
	}
	if len(report.Broken) == 0 {
		if report.Interrupted {
			return &failure{code: exitInterrupted}
		}
		return nil
	}
	if err := report.WriteEvidence(a.stderr); err != nil {
		return err
	}
	f := &failure{code: exitFailed}
	for _, promise := range report.Broken {
		f.problems = append(f.problems, problem{text: "broken promise: " + promise})
	}
	return f
}
