package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
)

// writeStatus sets a status as tables for people.
func writeStatus(w io.Writer, s tokencache.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) {
		for i, cell := range cells {
			cells[i] = printable(cell)
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) // Flush returns the error
	}
	section := func(title ...string) {
		_ = t.Flush() // each has columns of its own
		row()
		row(title...)
	}
	row("client", s.Client)
	row("audience", cmp.Or(s.Audience, "none"))
	row("token url", s.TokenURL)
	row("token id", short(s.TokenID))
	switch f := s.Fleet; {
	case s.Problem != "":
		row("token", "cannot be read: "+s.Problem)
	case f == nil:
		row("token", "the fleet has none")
	default:
		row("token", fmt.Sprintf("asked for by %s %s ago", replica(f.By), span(f.Age)))
		row("ends", when(f.Expires, f.Remaining))
		row("renewal", when(f.RenewFrom, f.Remaining-f.Expires.Sub(f.RenewFrom)))
	}
	if s.Lease == nil {
		row("lease", "free")
	} else {
		row("lease", fmt.Sprintf("held by %s, for %s yet", replica(s.Lease.Holder), span(s.Lease.Remaining)))
	}

	section("QUOTA", "BUCKET", "LEFT", "OF", "SERVER", "FLEET", "FORCED", "RESETS IN", "NOTE")
	for _, w := range s.Quota.Windows {
		note := s.Quota.Modes[w.Scope]
		if !w.Confirmed {
			note = strings.TrimPrefix(note+", not confirmed", ", ")
		}
		row(w.Scope.Kind(), bucketName(w.Bucket), fmt.Sprint(w.Free()), fmt.Sprint(w.Quota),
			fmt.Sprintf("%d used", w.Server), fmt.Sprintf("%d used", w.Own), fmt.Sprint(w.Forced), span(w.Remaining), note)
	}
	if len(s.Quota.Windows) == 0 {
		row("none is known yet")
	}

	section("BLOCKED", "REASON", "FOR", "IN A ROW")
	for _, b := range s.Quota.Blocks {
		row(b.Scope.Kind(), string(b.Reason), span(b.Remaining), fmt.Sprint(b.Count))
	}
	if len(s.Quota.Blocks) == 0 {
		row("nothing")
	}

	section("TOKEN REQUESTS", "BY", "FOR", "WHY", "PRIORITY", "OUTCOME", "TOOK", "QUOTA")
	for _, e := range s.Journal {
		row(moment(e.At), replica(e.By), short(e.For), e.Reason, e.Priority, outcome(e), span(e.Took), cmp.Or(e.Header, "-"))
	}
	if len(s.Journal) == 0 {
		row("none yet")
	}
	return t.Flush()
}

func outcome(e quota.Entry) string {
	switch {
	case e.Outcome == "":
		return "no account of it yet"
	case e.Status == "" || e.Status == "200":
		return e.Outcome
	}
	return e.Outcome + ": " + e.Status
}

// when shows a moment, and how far away it is.
func when(t time.Time, left time.Duration) string {
	if left < 0 {
		return fmt.Sprintf("since %s, at %s", span(-left), moment(t))
	}
	return fmt.Sprintf("in %s, at %s", span(left), moment(t))
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// span shows a duration with as much of it as people read.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Truncate(time.Second).String()
	}
	return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
}

// replica shortens a replica's name: eight digits of its id distinguish it.
func replica(name string) string {
	host, id, _ := strings.Cut(name, "/")
	return strings.TrimSuffix(host+"/"+short(id), "/")
}

func short(id string) string { return id[:min(len(id), 8)] }

func bucketName(bucket string) string { return strings.ReplaceAll(bucket, "_", " ") }
