package view

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// A grid is how the replicas are laid out: in columns, one below the other, each
// cell as rich as its width allows.
type grid struct {
	columns, rows, cell int
	style               cellStyle
}

type cellStyle int

const (
	dots    cellStyle = iota // ●
	names                    // r04 ●
	numbers                  // r04 ● #2
	words                    // r04 ● serving   #2
	bars                     // r04 ● serving   #2 ███──╌╌╌╌ 25/s
)

const (
	gap      = 2  // how far columns are apart
	wideCell = 56 // no cell needs to be wider
)

// gridFor lays out n replicas with names of a width: in as few columns as fit the
// height, and in as many as make no cell wider than it needs to be.
func gridFor(n, nameWidth, width, height int) grid {
	height = max(height, 1)
	columns := max((n+height-1)/height, (width+gap)/(wideCell+gap), 1)
	g := grid{columns: columns, rows: (n + columns - 1) / columns}
	g.cell = (width+gap)/columns - gap
	switch {
	case g.cell >= nameWidth+29:
		g.style = bars
	case g.cell >= nameWidth+16:
		g.style = words
	case g.cell >= nameWidth+6:
		g.style = numbers
	case g.cell >= nameWidth+2:
		g.style = names
	default: // a dot each, without gaps, as many in a row as fit
		g.style, g.cell = dots, 1
		g.columns = max(min(width, n), 1)
		g.rows = (n + g.columns - 1) / g.columns
	}
	return g
}

// draw returns the lines of a grid.
func (g grid) draw(t theme, s Snapshot, nameWidth int) []string {
	lines := make([]string, g.rows)
	for row := range lines {
		var cells []string
		for column := range g.columns {
			i := column*g.rows + row // down, then right
			if g.style == dots {
				i = row*g.columns + column
			}
			if i < len(s.Replicas) {
				cells = append(cells, g.drawCell(t, s.Replicas[i], s.Token.Window, nameWidth))
			}
		}
		between := strings.Repeat(" ", gap)
		if g.style == dots {
			between = ""
		}
		lines[row] = strings.Join(cells, between)
	}
	return lines
}

func (g grid) drawCell(t theme, r Replica, window time.Duration, nameWidth int) string {
	style := t.ofState(r.State)
	if g.style == dots {
		return style.Render(r.State.glyph())
	}
	name := t.dim
	if r.State == Renewing || r.State == Dead {
		name = style
	}
	out := name.Render(fit(r.Name, nameWidth)) + " " + style.Render(r.State.glyph())
	if g.style == names {
		return pad(out, g.cell)
	}
	token := ""
	if r.Token > 0 {
		token = fmt.Sprintf("#%d", r.Token)
	}
	if g.style == numbers {
		return pad(out+" "+t.dim.Render(token), g.cell)
	}
	out += " " + style.Render(fit(r.State.String(), 9)) + " " + t.dim.Render(fit(token, 3))
	if g.style == words {
		return pad(out, g.cell)
	}
	rate := fmt.Sprintf("%4.0f/s", r.Rate)
	if g.cell >= nameWidth+48 {
		rate = fmt.Sprintf("%7s left %4.0f calls/s", seconds(r.Left), r.Rate)
	}
	if r.Token == 0 { // there is nothing to tell
		return pad(out, g.cell)
	}
	width := g.cell - lipgloss.Width(out) - 2 - len(rate)
	return out + " " + t.lifeLine(r.Life, r.Left, window, width) + " " + t.dim.Render(rate)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-lipgloss.Width(s), 0))
}
