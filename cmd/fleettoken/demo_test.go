package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A listener calls heard with all that was written so far, after each write.
type listener struct {
	text  strings.Builder
	heard func(string)
}

func (l *listener) Write(p []byte) (int, error) {
	n, err := l.text.Write(p)
	l.heard(l.text.String())
	return n, err
}

// TestDemoInterrupted checks that an interrupted demo prints a report.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a demo takes seconds")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, stderr := newTestApp(nil)
	out := &listener{heard: func(text string) {
		if strings.Count(text, "s  = ") == 2 { // results of scenarios
			cancel()
		}
	}}
	if code := run(ctx, []string{"demo", "--replicas", "20"}, a.env, a.stdin, out, stderr); code != exitInterrupted || stderr.Len() > 0 {
		t.Errorf("got exit code %d and %q, want %d and silence", code, stderr, exitInterrupted)
	}
	text := out.text.String()
	for _, want := range []string{"\n\n20 replicas, ", "start and 2 deploys  own tokens  fleettoken\n", "interrupted"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %q, want %q in it", text, want)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("got %q, want no escape codes: it is not a terminal", text)
	}
}

// TestDemoWithoutReader checks that the demo ends when the reader of its output
// is gone, as in fleettoken demo | head -3.
func TestDemoWithoutReader(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	_ = reader.Close()
	a, stderr := newTestApp(nil)
	if code := run(t.Context(), []string{"demo", "--replicas", "2"}, a.env, a.stdin, writer, stderr); code != exitUnread || stderr.Len() > 0 {
		t.Errorf("got exit code %d and %q, want %d and silence", code, stderr, exitUnread)
	}
}

// A fullDisk refuses every write.
type fullDisk struct{ refused int }

func (d *fullDisk) Write([]byte) (int, error) {
	d.refused++
	return 0, syscall.ENOSPC
}

// TestDemoCannotWrite checks that the demo ends at once with the error of a
// write.
func TestDemoCannotWrite(t *testing.T) {
	t.Parallel()
	a, stderr := newTestApp(nil)
	var disk fullDisk
	code := run(t.Context(), []string{"demo", "--replicas", "2"}, a.env, a.stdin, &disk, stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("got exit code %d and %q, want %d and the reason", code, stderr, exitFailed)
	}
	if disk.refused > 10 { // the first scenario alone has more lines
		t.Errorf("got %d lines that were not written, want the demo to end after the first", disk.refused)
	}
}

// A terminal is a screen, unless it is a dumb one.
func TestScreen(t *testing.T) {
	t.Parallel()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal can be had here: %v", err)
	}
	defer terminal.Close()
	for name, want := range map[string]bool{"xterm-256color": true, "": true, "dumb": false} {
		if got := (&app{stdout: terminal, env: map[string]string{"TERM": name}}).screen(); got != want {
			t.Errorf("TERM=%s: got %v, want %v", name, got, want)
		}
	}
	if (&app{stdout: &strings.Builder{}}).screen() {
		t.Error("what is no terminal is a screen")
	}
}
