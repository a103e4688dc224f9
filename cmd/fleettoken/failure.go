package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK     = 0 // it is done
	exitFailed = 1 // it was tried, and Redis, the token endpoint or the quota was against it
	exitUsage  = 2 // it was not tried, as the command line or the configuration is wrong
)

// A problem is something that went wrong, and what to do about it.
type problem struct {
	text  string
	hints []string
}

// A failure is why a command ends with another exit code than exitOK. Several
// problems are reported at once, so that they need not be found one by one.
type failure struct {
	code     int
	problems []problem
}

// Error returns the problems without their hints, a line each.
func (f *failure) Error() string {
	var lines []string
	for _, p := range f.problems {
		lines = append(lines, p.text)
	}
	return strings.Join(lines, "\n")
}

// failed returns a failure for something that was tried.
func failed(err error, hints ...string) *failure {
	return &failure{exitFailed, []problem{{err.Error(), hints}}}
}

// misused returns a failure for a mistake in the command line.
func misused(format string, args ...any) *failure {
	return &failure{exitUsage, []problem{{text: fmt.Sprintf(format, args...)}}}
}

// words returns what there is to say about a failure.
func (a *app) words(f *failure) []byte {
	a.voice.Lock()
	defer a.voice.Unlock()
	var out strings.Builder
	for _, p := range f.problems {
		out.WriteString(a.lines("fleettoken: ", p.text))
		for _, hint := range p.hints {
			out.WriteString(a.lines("hint: ", hint))
		}
	}
	return []byte(out.String())
}

// report writes how cmd failed, if it did, and returns the exit code.
func (a *app) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = failed(err)
		if !a.started { // it comes from cobra, which did not like the arguments
			f = misused("%v", err)
		}
	}
	words := a.words(f)
	a.voice.Lock()
	_, _ = a.stderr.Write(words) // an error of the standard error cannot be reported
	a.voice.Unlock()
	if !a.started {
		a.hint("run '%s --help'", cmd.CommandPath())
	}
	return f.code
}
