package view

import (
	"fmt"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
)

// The parts of the screen, from top to bottom: what runs; the chapter; the
// token; the quota; the replicas; the last events; the totals. When there is
// little height, the parts in the middle give way first.

// render draws a snapshot of exactly width by height cells.
func render(t theme, s Snapshot, width, height int) string {
	if width < 20 || height < 4 {
		return strings.Join(tiny(s, width, height), "\n")
	}
	head := t.head(s, width)
	token := t.token(s, width)
	quota := t.quota(s, width)
	foot := t.foot(s, width)

	left := height - len(head) - len(foot)
	var body []string
	for _, part := range [][]string{token, quota} {
		if left-len(part) >= 3 { // the rest is for the replicas
			body = append(body, part...)
			left -= len(part)
		}
	}
	replicas := t.replicas(s, width, left-5) // at least four lines of events, and their rule
	if len(replicas) > left {
		replicas = replicas[:left]
	}
	body = append(body, replicas...)
	left -= len(replicas)
	if left >= 2 {
		body = append(body, t.events(s, width, left)...)
	}
	lines := append(append(head, body...), make([]string, max(height-len(head)-len(body)-len(foot), 0))...)
	lines = append(lines, foot...)
	return strings.Join(lines[:min(len(lines), height)], "\n")
}

// tiny is all that fits into next to nothing.
func tiny(s Snapshot, width, height int) []string {
	_, chapter := s.current()
	lines := []string{fit(chapter.Title, width), fit(seconds(s.At), width)}
	return lines[:min(len(lines), max(height, 1))]
}

// head is the title and the chapter.
func (t theme) head(s Snapshot, width int) []string {
	redis := t.good.Render("●") + t.dim.Render(" Redis")
	if s.Away {
		redis = t.bad.Render("✕ Redis")
	}
	title := ends(" "+t.accent.Render("fleettoken demo")+"  "+t.dim.Render(fit(s.Title, min(width-34, lipgloss.Width(s.Title)))), redis+"  "+seconds(s.At)+" ", width)
	number, chapter := s.current()
	if number == 0 {
		return []string{title, " " + t.dim.Render("the replicas are being started"), ""}
	}
	progress := t.progress(s.Chapters)
	room := width - 3 - lipgloss.Width(progress)
	return []string{
		title,
		" " + progress + "  " + t.strong.Render(fit(chapter.Title, room)),
		strings.Repeat(" ", 3+lipgloss.Width(progress)) + t.dim.Render(fit(chapter.Watch, room)),
	}
}

// progress is a mark for each chapter.
func (t theme) progress(chapters []Chapter) string {
	var out strings.Builder
	for i, c := range chapters {
		if i > 0 {
			out.WriteString(" ")
		}
		switch c.State {
		case Kept:
			out.WriteString(t.good.Render("✓"))
		case Broken:
			out.WriteString(t.bad.Render("✗"))
		case Current:
			out.WriteString(t.accent.Render(fmt.Sprint(i + 1)))
		default:
			out.WriteString(t.dim.Render("·"))
		}
	}
	return out.String()
}

// token is the life of the fleet's token, and what becomes of it.
func (t theme) token(s Snapshot, width int) []string {
	k := s.Token
	remark := ""
	if k.Number > 0 {
		remark = t.dim.Render(fmt.Sprintf("number %d, asked for by %s", k.Number, k.By))
	}
	left := ""
	if k.Number > 0 {
		left = fit(" "+seconds(k.Left)+" left", 13)
	}
	return []string{
		t.rule("token", remark, width),
		" " + t.lifeBar(k.Life, k.Left, k.Window, width-2-len(left)) + left,
		" " + t.fate(s, width-2),
	}
}

// fate says in a sentence what becomes of the token.
func (t theme) fate(s Snapshot, width int) string {
	k := s.Token
	style, text := t.good, ""
	switch {
	case k.Number == 0 && k.Renewer != "":
		style, text = t.busy, k.Renewer+" asks for a token, and the others wait for it"
	case k.Number == 0:
		style, text = t.dim, "nobody has a token yet"
	case !k.due():
		text = fmt.Sprintf("fresh; renewed in %s, when the last %s of its life begin", seconds(k.Left-k.Window), seconds(k.Window))
	case s.Away:
		style, text = t.bad, "due, and Redis is away: nobody asks, everybody serves it on"
	case k.Blocked > 0:
		style, text = t.calm, fmt.Sprintf("due, and nobody asks for %s, as the endpoint wants; everybody serves it on", seconds(k.Blocked))
	case k.Renewer != "":
		style, text = t.busy, k.Renewer+" asks for the next one, and everybody serves this one meanwhile"
	case k.Lease > 0:
		style, text = t.warn, fmt.Sprintf("due, and whoever renews it is silent; its lease ends in %s", seconds(k.Lease))
	default:
		style, text = t.warn, "due: the replicas look for the next one, each at its own moment"
	}
	return style.Render(fit(text, width))
}

// quota is a bar for each bucket, side by side if there is room.
func (t theme) quota(s Snapshot, width int) []string {
	var lines, cells []string
	each := (width-2+gap)/max(len(s.Buckets), 1) - gap
	beside := each >= 30
	for _, b := range s.Buckets {
		if beside {
			cells = append(cells, pad(t.bucket(b, each), each))
		} else {
			lines = append(lines, " "+t.bucket(b, width-2))
		}
	}
	if beside {
		lines = append(lines, " "+strings.Join(cells, strings.Repeat(" ", gap)))
	}
	return lines
}

// bucket is how much of one is used, and how many requests that took: a request
// that fails costs no token.
func (t theme) bucket(b Bucket, width int) string {
	name := fit(strings.TrimPrefix(b.Name, "per_"), 5)
	value := fmt.Sprintf(" %d of %d used", b.Used, b.Quota)
	value = fit(value, len(fmt.Sprintf(" %d of %d used", b.Quota, b.Quota)))
	if width-len(name)-len(value) < 12 {
		value = fmt.Sprintf(" %d/%d", b.Used, b.Quota)
	}
	return t.dim.Render(name) + t.quotaBar(b, max(width-len(name)-len(value), 4)) + value
}

// replicas is a cell for each, under a rule that counts them.
func (t theme) replicas(s Snapshot, width, height int) []string {
	nameWidth := 0
	count := make(map[State]int)
	for _, r := range s.Replicas {
		nameWidth = max(nameWidth, lipgloss.Width(r.Name))
		count[r.State]++
	}
	var counts []string
	for state := Starting; state <= Dead; state++ {
		if n := count[state]; n > 0 {
			counts = append(counts, t.ofState(state).Render(fmt.Sprintf("%s %d %s", state.glyph(), n, state)))
		}
	}
	lines := []string{t.rule("replicas", strings.Join(counts, "  "), width)}
	for _, line := range gridFor(len(s.Replicas), nameWidth, width-2, height-1).draw(t, s, nameWidth) {
		lines = append(lines, " "+line)
	}
	return lines
}

// events are the last things that happened, as many as there is room for.
func (t theme) events(s Snapshot, width, height int) []string {
	var lines []string // from the last one up
	for _, e := range slices.Backward(s.Events) {
		if e.Kind == Hint {
			continue
		}
		style, mark := t.ofEvent(e.Kind)
		lead := t.dim.Render(fmt.Sprintf("%7.2f", e.At.Seconds())) + " " + style.Render(mark) + " "
		var text []string
		for _, part := range Wrap(e.Text, width-12) {
			text = append(text, lead+style.Render(part))
			lead = strings.Repeat(" ", 10)
		}
		if len(lines)+len(text) > height-1 { // no half an event, unless there is nothing else
			if len(lines) == 0 {
				lines = text[:height-1]
			}
			break
		}
		lines = append(text, lines...)
	}
	return append([]string{t.rule("events", "", width)}, lines...)
}

// foot is the totals.
func (t theme) foot(s Snapshot, width int) []string {
	n := s.Totals
	requests, failed, expired := " token requests", t.good, t.good
	if n.Requests == 1 {
		requests = " token request"
	}
	if n.Failed > 0 {
		failed = t.bad
	}
	if n.Expired > 0 {
		expired = t.bad
	}
	parts := []string{
		t.strong.Render(Grouped(n.Requests)) + t.dim.Render(requests),
		t.strong.Render(Grouped(n.Unshared)) + t.dim.Render(" unshared"),
		t.strong.Render(Grouped(n.Calls)) + t.dim.Render(" calls"),
		failed.Render(Grouped(n.Failed)) + t.dim.Render(" failed"),
		expired.Render(Grouped(n.Expired)) + t.dim.Render(" expired"),
	}
	if width >= 100 {
		parts = append(parts, t.strong.Render(fmt.Sprintf("%.0f", n.Rate))+t.dim.Render(" calls/s"), t.strong.Render(Grouped(n.Commands))+t.dim.Render(" Redis commands"))
	}
	line := " "
	for _, part := range parts {
		if lipgloss.Width(line)+lipgloss.Width(part)+2 > width {
			break
		}
		line += part + "  "
	}
	return []string{ends(line, t.dim.Render("q quits "), width)}
}
