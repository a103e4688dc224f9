package view

import (
	"fmt"
	"slices"
	"strings"

	"charm.land/bubbles/v2/progress"
	"charm.land/bubbles/v2/spinner"
	"charm.land/bubbles/v2/viewport"
	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// render draws the last snapshot. On a small terminal it leaves out the bars,
// then the replicas, then the events.
func (m model) render() string {
	totals := m.last.Totals
	for len(totals) > 1 && lipgloss.Width(strings.Join(totals, " · ")) > m.width-10 {
		totals = totals[:len(totals)-1]
	}
	head, bars, foot := m.head(), m.bars(), m.ends(" "+strings.Join(totals, dim(" · ")), dim("q quits"))
	parts, left := []string{head}, m.height-lipgloss.Height(head)-1
	const events = 6 // lines, at least
	if h := lipgloss.Height(bars); left-h >= events {
		parts, left = append(parts, bars), left-h
	}
	replicas := m.replicas(left - events)
	if h := lipgloss.Height(replicas); h <= left {
		parts, left = append(parts, replicas), left-h
	}
	if left >= 2 {
		parts = append(parts, m.rule("events", ""), m.log(left-1))
	}
	return lipgloss.NewStyle().MaxWidth(m.width).MaxHeight(m.height).Render(strings.Join(append(parts, foot), "\n"))
}

// head is the title and the scenario that runs, or ran last.
func (m model) head() string {
	status := ink(lipgloss.Green, "● "+m.last.Status)
	if m.last.Bad {
		status = ink(lipgloss.Red, "✕ "+m.last.Status)
	}
	var marks []string
	number, current := 0, Scenario{}
	for i, s := range m.last.Scenarios {
		marks = append(marks, [...]string{dim("·"), m.spinner.View(), ink(lipgloss.Green, "✓"), ink(lipgloss.Red, "✗")}[s.State])
		if s.State != Pending {
			number, current = i+1, s
		}
	}
	title := lipgloss.NewStyle().Bold(true).Render(fmt.Sprintf("%d/%d  %s", number, len(marks), current.Title))
	return m.ends(" "+ink(lipgloss.Blue, "fleettoken demo")+"  "+m.last.Title, status) +
		"\n " + strings.Join(marks, " ") + "\n " + title + "\n" + dim(Indented(" ", current.Watch, m.width-1))
}

// bars draws the quantities, one a line, and the note.
func (m model) bars() string {
	names, values := 0, 0
	for _, b := range m.last.Bars {
		names, values = max(names, lipgloss.Width(b.Name)), max(values, lipgloss.Width(b.Value))
	}
	lines := []string{m.rule("token and quota", "")}
	for _, b := range m.last.Bars {
		colour := lipgloss.Green
		if b.Warn {
			colour = lipgloss.Yellow
		}
		bar := progress.New(progress.WithWidth(max(m.width-names-values-4, 1)), progress.WithoutPercentage(),
			progress.WithFillCharacters('█', '░'), progress.WithColors(colour))
		lines = append(lines, fmt.Sprintf(" %-*s %s %*s", names, b.Name, bar.ViewAs(min(max(b.Share, 0), 1)), values, b.Value))
	}
	return strings.Join(append(lines, Indented(" ", m.last.Note, m.width-1)), "\n")
}

// replicas draws a table with a cell for each replica, as rich as the room allows.
func (m model) replicas(height int) string {
	var counts []string
	for state := Starting; state <= Dead; state++ {
		n := 0
		for _, r := range m.last.Replicas {
			if r.State == state {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%s %d %s", state.glyph(), n, state))
		}
	}
	rule := m.rule("replicas", strings.Join(counts, "  "))
	for _, cell := range []func(Replica) string{
		func(r Replica) string {
			return fmt.Sprintf("%s %s %-10s %s", r.Name, r.State.glyph(), r.State, dim(r.Detail))
		},
		func(r Replica) string { return fmt.Sprintf("%s %s %-10s", r.Name, r.State.glyph(), r.State) },
		func(r Replica) string { return r.Name + " " + r.State.glyph() },
	} {
		var cells []string
		width := 1
		for _, r := range m.last.Replicas {
			cells = append(cells, cell(r))
			width = max(width, lipgloss.Width(cells[len(cells)-1])+2)
		}
		rows := slices.Collect(slices.Chunk(cells, max(m.width/width, 1)))
		if len(rows) < height {
			pad := lipgloss.NewStyle().PaddingLeft(1).PaddingRight(1)
			return rule + "\n" + table.New().Border(lipgloss.Border{}).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
				BorderColumn(false).StyleFunc(func(int, int) lipgloss.Style { return pad }).Rows(rows...).String()
		}
	}
	var dots strings.Builder // of a large fleet
	for _, r := range m.last.Replicas {
		dots.WriteString(r.State.glyph())
	}
	return rule + "\n" + lipgloss.NewStyle().Width(m.width).MaxHeight(max(height-1, 1)).Render(dots.String())
}

// log draws the last events.
func (m model) log(height int) string {
	var lines []string
	for _, e := range m.last.Events {
		lead := fmt.Sprintf("%7.2f %s ", e.At.Seconds(), [...]string{"·", "!", "✓", "✗", "▸", "·"}[e.Kind])
		text := Indented(lead, e.Text, m.width)
		switch e.Kind {
		case Hint:
			continue
		case Fault:
			text = ink(lipgloss.Yellow, text)
		case Result:
			text = ink(lipgloss.Green, text)
		case Failure:
			text = ink(lipgloss.Red, text)
		}
		lines = append(lines, strings.Split(text, "\n")...)
	}
	m.events.SetWidth(m.width)
	m.events.SetHeight(height)
	m.events.SetContentLines(lines)
	m.events.GotoBottom()
	return m.events.View()
}

// ends puts left and right at the ends of a line, and cuts left off.
func (m model) ends(left, right string) string {
	room := max(m.width-lipgloss.Width(right)-2, 0)
	return lipgloss.PlaceHorizontal(room, lipgloss.Left, lipgloss.NewStyle().MaxWidth(room).Render(left)) + " " + right
}

// rule is a line with a name and a remark.
func (m model) rule(name, remark string) string {
	line := strings.Repeat("─", max(m.width-lipgloss.Width(name)-lipgloss.Width(remark)-5, 0))
	return dim("─ ") + name + dim(" "+line+" ") + remark
}

// A model is the state of the view.
type model struct {
	last          Snapshot
	width, height int
	spinner       spinner.Model
	events        viewport.Model
	quit          bool
}

func newModel() model {
	m := model{spinner: spinner.New(spinner.WithSpinner(spinner.MiniDot)), events: viewport.New()}
	m.events.FillHeight = true
	return m
}
