package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// watch shows the status again and again, until ctx ends. That Redis is away now
// and then is something to see, and no reason to end.
func (a *app) watch(ctx context.Context, c *config, fleet *fleet, flags statusFlags) error {
	screen := a.screen() && !flags.json
	ticker := time.NewTicker(flags.interval)
	defer ticker.Stop()
	for {
		text, err := a.look(ctx, c, fleet, flags)
		switch failure, failed := errors.AsType[*failure](err); {
		case ctx.Err() != nil:
			return nil
		case failed && !screen: // whoever reads the output must not find it there
			_ = a.report(nil, failure)
		case failed:
			text = []byte(failure.Error() + "\n")
		case err != nil:
			return err
		}
		if screen {
			text = redraw(text)
		}
		if _, err := a.stdout.Write(text); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// redraw puts text on the screen in place of what is there: it starts at the top
// left corner and clears the rest of each line and what is below, so that
// nothing flickers.
func redraw(text []byte) []byte {
	const home, restOfLine, below = "\x1b[H", "\x1b[K", "\x1b[J"
	return []byte(home + strings.ReplaceAll(string(text), "\n", restOfLine+"\n") + below)
}

// screen reports whether the output is a terminal that pictures can be drawn on.
// One that is dumb takes lines and nothing else.
func (a *app) screen() bool { return isTerminal(a.stdout) && a.env["TERM"] != "dumb" }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
