package view

import (
	"fmt"
	"io"
)

// Lines tells events as plain lines, each with the time since the beginning, for
// a file, a pipe or a terminal that shall not be taken over.
type Lines struct {
	Out io.Writer

	// Lost is called when a line cannot be written. Nil means that nobody minds.
	Lost func()
}

// Tell writes one event.
func (l Lines) Tell(e Event) {
	if _, err := io.WriteString(l.Out, lines(e)); err != nil && l.Lost != nil {
		l.Lost()
	}
}

// lines returns an event as lines.
func lines(e Event) string {
	at := fmt.Sprintf("%6.2f s", e.At.Seconds())
	blank := "        "
	switch e.Kind {
	case Opening:
		return fmt.Sprintf("\n%s  %s\n", at, e.Text)
	case Hint:
		return fmt.Sprintf("%s  watch: %s\n", blank, e.Text)
	case Result:
		return fmt.Sprintf("%s  = %s\n", at, e.Text)
	case Fault:
		return fmt.Sprintf("%s  ! %s\n", at, e.Text)
	case Failure:
		return fmt.Sprintf("%s  BROKEN PROMISE: %s\n", at, e.Text)
	}
	return fmt.Sprintf("%s  . %s\n", at, e.Text)
}
