// Command fleettoken tries, shows and runs a token that a fleet shares. Run it
// without arguments for what it can do.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/caarlos0/env/v11"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

func main() {
	// The first signal asks the command to end, the second one ends it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], env.ToMap(os.Environ()), os.Stdin, os.Stdout, os.Stderr))
}

// run is the command. It returns the exit code: see exitOK and the others.
func run(ctx context.Context, args []string, env map[string]string, stdin io.Reader, stdout, stderr io.Writer) int {
	// The Redis client writes lines of its own to the standard error. What they
	// say is in the errors that it returns.
	redis.SetLogger(&logging.VoidLogger{})

	a := &app{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRootCommand(a)
	root.SetArgs(args)
	return a.report(root.ExecuteContextC(ctx))
}
