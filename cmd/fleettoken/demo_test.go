package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A listener calls heard with all that was written so far, each time that
// something was.
type listener struct {
	text  strings.Builder
	heard func(string)
}

func (l *listener) Write(p []byte) (int, error) {
	n, err := l.text.Write(p)
	l.heard(l.text.String())
	return n, err
}

// Somebody ends the demo: there is a report of what was until then.
func TestDemoIsEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, stderr := newTestApp(nil)
	out := &listener{heard: func(text string) {
		if strings.Contains(text, "s  = ") { // what the first chapter came to
			cancel()
		}
	}}
	if code := run(ctx, []string{"demo", "--replicas", "2"}, a.env, a.stdin, out, stderr); code != exitInterrupted || stderr.Len() > 0 {
		t.Errorf("got exit code %d and %q, want %d and silence", code, stderr, exitInterrupted)
	}
	if text := out.text.String(); !strings.Contains(text, "\n\n2 replicas shared one token") || !strings.Contains(text, "interrupted") {
		t.Errorf("got %q, want a report", text)
	}
}

// Nobody reads the output any more, as in fleettoken demo | head -3: the demo
// ends, and has nobody to tell.
func TestDemoIsNotRead(t *testing.T) {
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

// A fullDisk takes nothing.
type fullDisk struct{ refused int }

func (d *fullDisk) Write([]byte) (int, error) {
	d.refused++
	return 0, syscall.ENOSPC
}

// A disk that is full is told of, and not after the whole story.
func TestDemoCannotBeWritten(t *testing.T) {
	t.Parallel()
	a, stderr := newTestApp(nil)
	var disk fullDisk
	code := run(t.Context(), []string{"demo", "--replicas", "2"}, a.env, a.stdin, &disk, stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("got exit code %d and %q, want %d and the reason", code, stderr, exitFailed)
	}
	if disk.refused > 15 { // the first chapter and the report; the story has forty
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
