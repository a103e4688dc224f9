package view

import (
	"fmt"
	"io"
)

// Lines tells events as plain lines, each with the time since the beginning, for
// a file, a pipe or a terminal that shall not be taken over.
type Lines struct{ Out io.Writer }

// Tell writes one event.
func (l Lines) Tell(e Event) {
	at := fmt.Sprintf("%6.2f s", e.At.Seconds())
	blank := "        "
	switch e.Kind {
	case Opening:
		fmt.Fprintf(l.Out, "\n%s  %s\n", at, e.Text)
	case Hint:
		fmt.Fprintf(l.Out, "%s  watch: %s\n", blank, e.Text)
	case Result:
		fmt.Fprintf(l.Out, "%s  = %s\n", at, e.Text)
	case Fault:
		fmt.Fprintf(l.Out, "%s  ! %s\n", at, e.Text)
	case Failure:
		fmt.Fprintf(l.Out, "%s  BROKEN PROMISE: %s\n", at, e.Text)
	default:
		fmt.Fprintf(l.Out, "%s  . %s\n", at, e.Text)
	}
}
