package demo

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/quota"
)

// A Report is what came of a demo.
type Report struct {
	Replicas    int     `json:"replicas"`
	Processes   bool    `json:"processes"` // whether each had one of its own
	Redis       string  `json:"redis"`
	Seconds     float64 `json:"seconds"`
	Interrupted bool    `json:"interrupted"`

	TokenRequests         int `json:"token_requests"`          // by the endpoint's ledger
	TokensIssued          int `json:"tokens_issued"`           // to those who got the answer
	UnsharedTokenRequests int `json:"unshared_token_requests"` // if every replica looked after itself
	Faults                int `json:"faults"`                  // requests that the demo made fail
	AtOnce                int `json:"max_concurrent_requests"`

	APICalls      int     `json:"api_calls"` // that were answered with 200, by the API's account
	FailedCalls   int     `json:"failed_calls"`
	ExpiredServed int     `json:"expired_served"` // calls with an expired token, by the API's clock
	FirstTokenMS  float64 `json:"first_token_ms"` // of the slowest replica
	RotationMS    float64 `json:"rotation_ms"`    // until the last replica had the new token

	RedisCommands        int     `json:"redis_commands"` // of all replicas
	RedisCommandsPerCall float64 `json:"redis_commands_per_call"`

	Quota    map[string]Bucket `json:"quota"` // as the endpoint said last
	Chapters []Chapter         `json:"chapters"`

	// Broken are the promises that were broken, and how. None means that the
	// demo went as it should.
	Broken []string `json:"broken_promises"`
	Notes  []string `json:"notes,omitempty"`

	// Ledger is what the endpoint has seen, and Journal what the fleet has
	// written down about it. They are for finding out what went wrong.
	Ledger  string        `json:"-"`
	Journal []quota.Entry `json:"-"`
}

// A Bucket is a part of the quota.
type Bucket struct {
	Quota     int64 `json:"quota"`
	Used      int64 `json:"used"`
	Remaining int64 `json:"remaining"`
}

// A Chapter is a part of the story that was told.
type Chapter struct {
	Title  string `json:"title"`
	Result string `json:"result"`
	Kept   bool   `json:"kept"`
}

// WriteText writes the report for people, below what they have seen of the story.
func (r *Report) WriteText(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s shared one token for %.1f s\n\n", plural(r.Replicas, "replica", "replicas"), r.Seconds)
	table := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	row := func(name, value, note string) { fmt.Fprintf(table, "  %s\t%s\t%s\n", name, value, note) }

	row("token requests", view.Grouped(r.TokenRequests), r.requests())
	row("without sharing", view.Grouped(r.UnsharedTokenRequests), "each replica for itself; "+allowance(r.Quota))
	row("API calls served", view.Grouped(r.APICalls), fmt.Sprintf("%s failed, %s with an expired token", view.Grouped(r.FailedCalls), view.Grouped(r.ExpiredServed)))
	row("first token", ms(r.FirstTokenMS), "the slowest replica's, after its start")
	if r.RotationMS > 0 {
		row("rotation", ms(r.RotationMS), "until the last replica had the new token")
	}
	row("requests at once", view.Grouped(r.AtOnce), "at most")
	row("Redis commands", strconv.FormatFloat(r.RedisCommandsPerCall, 'f', 3, 64), "a call; none while the token is fresh")
	if b, ok := r.Quota[quota.PerHour]; ok {
		row("quota left", view.Grouped(int(b.Remaining)), left(r.Quota))
	}
	_ = table.Flush() // to a strings.Builder, which does not fail

	out.WriteString("\n")
	switch {
	case len(r.Broken) > 0:
		for _, b := range r.Broken {
			fmt.Fprintf(&out, "broken promise: %s\n", b)
		}
	case r.Interrupted:
		out.WriteString("interrupted; until then, every promise was kept\n")
	default:
		out.WriteString("every promise was kept\n")
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&out, "note: %s\n", note)
	}
	_, err := io.WriteString(w, trimmed(out.String()))
	return err
}

// WriteStory writes what came of the chapters, for those who have seen them pass
// by in a live view.
func (r *Report) WriteStory(w io.Writer) error {
	var out strings.Builder
	for _, c := range r.Chapters {
		mark, result := "✓", c.Result
		switch {
		case r.Interrupted && result == "": // it was neither kept nor broken
			mark, result = "·", "interrupted"
		case !c.Kept:
			mark = "✗"
		}
		fmt.Fprintf(&out, "%s %s\n", mark, c.Title)
		for _, line := range view.Wrap(result, 76) {
			fmt.Fprintf(&out, "  %s\n", line)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// WriteEvidence writes what the endpoint and the fleet have written down.
func (r *Report) WriteEvidence(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "the endpoint's ledger:\n%s\n\nthe fleet's journal:\n", strings.TrimRight(r.Ledger, "\n"))
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "asked\tby\twhy\toutcome\tstatus\ttook")
	for _, e := range r.Journal {
		by, _, _ := strings.Cut(e.By, "/")
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%v\n", e.At.Format("15:04:05.000"), by, e.Reason, cmp.Or(e.Outcome, "nobody knows"), e.Status, e.Took.Round(time.Millisecond))
	}
	_ = table.Flush()
	_, err := io.WriteString(w, trimmed(out.String()))
	return err
}

// requests says what became of the token requests.
func (r *Report) requests() string {
	text := plural(r.TokensIssued, "token", "tokens")
	if r.Faults > 0 {
		text += fmt.Sprintf(", %d that the demo made fail", r.Faults)
	}
	if slow := r.TokenRequests - r.TokensIssued - r.Faults; slow > 0 {
		text += fmt.Sprintf(", %d too slow for this machine", slow)
	}
	return text
}

// allowance is what the endpoint allows.
func allowance(buckets map[string]Bucket) string {
	b, ok := buckets[quota.PerHour]
	if !ok {
		return "the endpoint names no quota"
	}
	return fmt.Sprintf("%d an hour are allowed", b.Quota)
}

// left says what the quota's remainder is a part of.
func left(buckets map[string]Bucket) string {
	text := fmt.Sprintf("of %d this hour", buckets[quota.PerHour].Quota)
	if b, ok := buckets[quota.PerDay]; ok {
		text += fmt.Sprintf("; %d of %d today", b.Remaining, b.Quota)
	}
	return text
}

func ms(n float64) string {
	if n < 10 {
		return strconv.FormatFloat(n, 'f', 1, 64) + " ms"
	}
	return view.Grouped(int(n+0.5)) + " ms"
}

// trimmed removes the blanks at the ends of lines, which a table leaves.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
