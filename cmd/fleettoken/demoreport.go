package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/demo"
	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/quota"
)

// writeDemoReport writes the report of a demo for people.
func writeDemoReport(w io.Writer, r *demo.Report) error {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(table, "  "+strings.Join(cells, "\t")) }
	fmt.Fprintf(&out, "\n%s, %.1f s\n\n", view.Plural(r.Replicas, "replica"), r.Seconds)
	if d := r.Deploys; d.Shared.TokenRequests > 0 { // both were deployed
		compare := func(name string, unshared, shared int) { row(name, view.Grouped(unshared), view.Grouped(shared)) }
		row("start and "+view.Plural(d.Starts-1, "deploy"), "own tokens", "fleettoken")
		compare("token requests", d.Unshared.TokenRequests, d.Shared.TokenRequests)
		compare("tokens issued", d.Unshared.Tokens, d.Shared.Tokens)
		compare("replicas locked out", d.Unshared.LockedOut, d.Shared.LockedOut)
		compare("failed calls", d.Unshared.FailedCalls, d.Shared.FailedCalls)
		_ = table.Flush()
		out.WriteString("\n")
	}
	if r.TokenRequests > 0 {
		writeFigures(row, r)
	}
	_ = table.Flush()
	out.WriteString("\n")
	switch {
	case len(r.Broken) > 0:
		fmt.Fprintf(&out, "broken promise: %s\n", strings.Join(r.Broken, "\nbroken promise: "))
	case r.Interrupted:
		out.WriteString("interrupted; until then, every promise was kept\n")
	default:
		out.WriteString("every promise was kept\n")
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&out, "note: %s\n", note)
	}
	return writeTrimmed(w, out.String())
}

// writeFigures writes a row for each figure of the fleet.
func writeFigures(row func(cells ...string), r *demo.Report) {
	requests := view.Plural(r.TokensIssued, "token")
	if r.Faults > 0 {
		requests += ", " + view.Plural(r.Faults, "fault")
	}
	if slow := r.TokenRequests - r.TokensIssued - r.Faults; slow > 0 {
		requests += fmt.Sprintf(", %d too slow", slow)
	}
	row("with fleettoken", "", "")
	row("token requests", view.Grouped(r.TokenRequests), requests)
	row("without sharing", view.Grouped(r.UnsharedTokenRequests), "at least")
	row("API calls", view.Grouped(r.APICalls), fmt.Sprintf("%s failed, %s expired", view.Grouped(r.FailedCalls), view.Grouped(r.ExpiredServed)))
	row("first token", inMilliseconds(r.FirstTokenMS), "the slowest replica's")
	if r.RotationMS > 0 {
		row("rotation", inMilliseconds(r.RotationMS), "until all replicas had it")
	}
	row("at once", view.Grouped(r.AtOnce), "token requests at most")
	row("Redis commands", strconv.FormatFloat(r.RedisCommandsPerCall, 'f', 3, 64), "a call")
	if hour, ok := r.Quota[quota.PerHour]; ok {
		day := r.Quota[quota.PerDay]
		row("quota left", view.Grouped(int(hour.Remaining)), fmt.Sprintf("of %d this hour, %d today", hour.Quota, day.Remaining))
	}
}

// writeDemoScenarios writes the results of the scenarios, for users of the live
// view.
func writeDemoScenarios(w io.Writer, r *demo.Report, width int) error {
	var out strings.Builder
	for _, c := range r.Outcomes {
		mark, result := "✓ ", c.Result
		switch {
		case r.Interrupted && result == "": // neither kept nor broken
			mark, result = "· ", "interrupted"
		case !c.Kept:
			mark = "✗ "
		}
		out.WriteString(view.Indented(mark, c.Title, width) + "\n")
		if result != "" {
			out.WriteString(view.Indented("  ", result, width) + "\n")
		}
	}
	return writeTrimmed(w, out.String())
}

// writeTrimmed writes text without the blanks that a table leaves at line ends.
func writeTrimmed(w io.Writer, text string) error {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n"))
	return err
}

func inMilliseconds(n float64) string {
	if n < 10 {
		return strconv.FormatFloat(n, 'f', 1, 64) + " ms"
	}
	return view.Grouped(int(n+0.5)) + " ms"
}
