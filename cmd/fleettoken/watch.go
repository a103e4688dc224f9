package main

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// watch shows the status again and again, until ctx ends. That Redis is away now
// and then is something to see, and no reason to end.
func (a *app) watch(ctx context.Context, c *config, fleet *fleet, flags statusFlags) error {
	show := a.appendOutput(flags)
	if a.screen() && !flags.json {
		const enter, leave = "\x1b[?1049h", "\x1b[?1049l" // what was on the screen before is there again afterwards
		var last []byte
		_, _ = io.WriteString(a.stdout, enter)
		defer func() { _, _ = a.stdout.Write(append([]byte(leave), last...)) }()
		show = func(text []byte, failure *failure) error {
			if last = text; failure != nil {
				last = a.words(failure)
			}
			_, err := a.stdout.Write(redraw(last, a.size))
			return err
		}
	}
	ticker := time.NewTicker(flags.interval)
	defer ticker.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, a.flags.timeout)
		text, _, err := fetchStatus(asking, fleet, flags.json)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		var failure *failure
		if err != nil {
			failure = c.explain(err)
		}
		if err := show(text, failure); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// appendOutput returns what shows one status below the other, to people with an
// empty line between them. What goes wrong is not among them.
func (a *app) appendOutput(flags statusFlags) func([]byte, *failure) error {
	shown := false
	return func(text []byte, failure *failure) error {
		if failure != nil {
			_ = a.report(nil, failure)
			return nil
		}
		if shown && !flags.json {
			text = append([]byte("\n"), text...)
		}
		shown = true
		_, err := a.stdout.Write(text)
		return err
	}
}

// redraw puts text on a screen in place of what is there: it starts at the top
// left corner and clears the rest of each line and what is below, so that
// nothing flickers. What does not fit is cut off: it would move all the rest.
func redraw(text []byte, size func() (width, height int)) []byte {
	width, height := size()
	const home, restOfLine, below = "\x1b[H", "\x1b[K", "\x1b[J"
	picture := lipgloss.NewStyle().MaxWidth(width - 1).MaxHeight(height).Render(strings.TrimSuffix(string(text), "\n"))
	return []byte(home + strings.ReplaceAll(picture, "\n", restOfLine+"\n") + restOfLine + below)
}

// size returns how large the screen is.
func (a *app) size() (width, height int) {
	if f, ok := a.stdout.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 1 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}

// screen reports whether the output is a terminal that pictures can be drawn on.
// One that is dumb takes lines and nothing else.
func (a *app) screen() bool { return isTerminal(a.stdout) && a.env["TERM"] != "dumb" }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
