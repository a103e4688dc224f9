// Package view shows a demo: live on a terminal, or as plain lines. It knows
// nothing of tokens, Redis or HTTP: it draws a [Snapshot], which is text and
// shares. A colour only repeats what a shape or a word says.
package view

import (
	"fmt"
	"image/color"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// A Snapshot is the state of a demo at one time.
type Snapshot struct {
	Title, Status string
	Bad           bool       // the status is a bad one
	Scenarios     []Scenario // all of them, in order
	Bars          []Bar
	Note          string // what the bars mean
	Replicas      []Replica
	Events        []Event // the latest ones, oldest first
	Totals        []string
}

// A Scenario is one part of the demo.
type Scenario struct {
	Title, Watch string // what happens, and what to look at
	State        ScenarioState
}

// A ScenarioState is how far a scenario is.
type ScenarioState int

const (
	Pending ScenarioState = iota
	Running
	Passed
	Failed
)

// A Bar is a quantity.
type Bar struct {
	Name, Value string
	Share       float64 // from 0 to 1
	Warn        bool
}

// A Replica is one process.
type Replica struct {
	Name, Detail string
	State        State
}

// A State is what a replica does.
type State int

const (
	Starting  State = iota // it has no token yet
	Serving                // it serves a token that is not due
	Due                    // it serves a token that is due
	Asking                 // it has sent a token request
	Waiting                // it serves a token that is due, and may not ask the endpoint yet
	LockedOut              // it has no token, and the endpoint refuses it one
	Dead
)

func (s State) String() string {
	return [...]string{"starting", "serving", "due", "asking", "waiting", "locked out", "dead"}[s]
}

func (s State) glyph() string {
	glyph := [...]string{"○", "●", "◐", "◉", "◌", "⊘", "✕"}[s]
	return ink([...]color.Color{lipgloss.BrightBlack, lipgloss.Green, lipgloss.Yellow, lipgloss.Cyan, lipgloss.Magenta, lipgloss.Red, lipgloss.Red}[s], glyph)
}

// An Event is one thing that happened.
type Event struct {
	At   time.Duration // since the beginning
	Kind Kind
	Text string
}

// A Kind is the kind of an event.
type Kind int

const (
	Info    Kind = iota // something was seen
	Fault               // something was done to the fleet
	Result              // the outcome of a scenario
	Failure             // a promise was broken
	Heading             // a scenario begins
	Hint                // what to watch
)

// ink colours text with a colour of the terminal's own palette.
func ink(c color.Color, text string) string { return lipgloss.NewStyle().Foreground(c).Render(text) }

func dim(text string) string { return ink(lipgloss.BrightBlack, text) }

// Indented writes text behind a lead, wrapped at a width, with its lines below
// each other.
func Indented(lead, text string, width int) string {
	rest := max(width-lipgloss.Width(lead), 20)
	return lead + strings.ReplaceAll(lipgloss.Wrap(text, rest, ""), "\n", "\n"+strings.Repeat(" ", min(lipgloss.Width(lead), 12)))
}

// Span writes a duration for people.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Span(-d)
	case d < 995*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 2*time.Minute:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}

// Grouped writes a number with commas.
func Grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Plural counts things.
func Plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return Grouped(n) + " " + thing
}
