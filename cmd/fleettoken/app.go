package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
)

// An app is one run of the command: what it was given, and where it speaks.
// Nothing below main looks at the process itself, so a test can be one, too.
type app struct {
	env    map[string]string // the environment, the only place that settings and secrets come from
	stdin  io.Reader
	stdout io.Writer // the result and nothing else, so that it can be piped
	stderr io.Writer // what there is to say about it, to people

	flags struct { // of more than one command
		preset  string
		redis   string
		timeout time.Duration
	}
	started bool // the command line was understood, and its command runs

	voice   sync.Mutex // keeps the lines of several goroutines apart, and guards
	secrets []string   // what is never said
}

// say writes a text for people, in lines that begin with the command's name and
// end without a period, also if a server has written one.
func (a *app) say(format string, args ...any) { a.speak("fleettoken: ", format, args) }

// hint writes what to do about the text that was written last.
func (a *app) hint(format string, args ...any) { a.speak("hint: ", format, args) }

// hide keeps secrets out of all that the command writes, in case that a server repeats
// one in an error.
func (a *app) hide(secrets ...string) {
	a.voice.Lock()
	defer a.voice.Unlock()
	for _, secret := range secrets {
		if len(secret) >= 4 { // to look for less would black out words
			a.secrets = append(a.secrets, secret)
		}
	}
}

func (a *app) speak(prefix, format string, args []any) {
	a.voice.Lock()
	defer a.voice.Unlock()
	_, _ = io.WriteString(a.stderr, a.lines(prefix, fmt.Sprintf(format, args...))) // an error of the standard error cannot be reported
}

// lines puts a text into lines that people may see. The caller holds voice.
func (a *app) lines(prefix, text string) string {
	for _, secret := range a.secrets {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(prefix + printable(strings.TrimRight(line, "., \n")) + "\n")
	}
	return out.String()
}

// printable takes the control characters out of what others have written, such
// as a server: a terminal would obey them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}
