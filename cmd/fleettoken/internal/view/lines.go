package view

import (
	"fmt"
	"io"
)

// Lines writes events as plain lines, for a file, a pipe or a plain terminal.
type Lines struct {
	Out   io.Writer
	Width int    // where lines are wrapped
	Lost  func() // is called when a line cannot be written; nil means nothing is
}

// Tell writes one event.
func (l Lines) Tell(e Event) {
	lead := fmt.Sprintf("%6.2f s  ", e.At.Seconds())
	switch e.Kind {
	case Heading:
		lead = "\n" + lead
	case Hint:
		lead = fmt.Sprintf("%*s%s", len(lead), "", "watch: ")
	case Failure:
		lead += "BROKEN PROMISE: "
	default:
		lead += [...]string{Info: ". ", Fault: "! ", Result: "= "}[e.Kind]
	}
	if _, err := io.WriteString(l.Out, Indented(lead, e.Text, l.Width)+"\n"); err != nil && l.Lost != nil {
		l.Lost()
	}
}
