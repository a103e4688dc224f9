package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"fleettoken": mainInScript})
}

// mainInScript is main, but that it writes down what it says where checkOutput
// finds it.
func mainInScript() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	stdout, stderr := io.Writer(os.Stdout), io.Writer(os.Stderr)
	if dir := os.Getenv(outputDir); dir != "" {
		command := "none"
		if len(os.Args) > 1 {
			command = filepath.Base(os.Args[1])
		}
		stdout = io.MultiWriter(stdout, record(dir, command+".stdout"))
		stderr = io.MultiWriter(stderr, record(dir, command+".stderr"))
	}
	os.Exit(run(ctx, os.Args[1:], env.ToMap(os.Environ()), os.Stdin, stdout, stderr))
}

// record opens a file for what a process writes.
func record(dir, name string) io.Writer {
	f, err := os.CreateTemp(dir, "*."+name)
	if err != nil {
		panic(err)
	}
	return f
}

// The scripts are sessions with the command: one a subcommand, and one a kind of
// bad input.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               func(env *testscript.Env) error { return newWorld(env, t) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"issued": issuedCommand,
			"inject": injectCommand,
			"await":  awaitCommand,
			"exits":  exitsCommand,
		},
		Condition: func(cond string) (bool, error) { return cond == "root" && os.Geteuid() == 0, nil },
	})
}
