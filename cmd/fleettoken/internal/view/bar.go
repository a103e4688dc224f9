package view

import (
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// eighths are the parts of a cell, so that a bar grows smoothly.
const eighths = " ▏▎▍▌▋▊▉"

// fill draws the filled part of a bar of a width, and returns how many cells it
// takes.
func fill(share float64, width int, style lipgloss.Style) (string, int) {
	share = min(max(share, 0), 1)
	whole := int(share*float64(width)*8 + 0.5)
	cells, part := whole/8, whole%8
	drawn := strings.Repeat("█", cells)
	if part > 0 && cells < width {
		drawn += string([]rune(eighths)[part])
		cells++
	}
	return style.Render(drawn), cells
}

// lifeBar draws a token's life from its issue to its expiry. What has passed is
// filled; the rest is a line, whose dashed part is the renewal window.
func (t theme) lifeBar(life, left, window time.Duration, width int) string {
	if life <= 0 || width <= 0 {
		return t.dim.Render(strings.Repeat("·", max(width, 0)))
	}
	passed, used := fill(1-float64(left)/float64(life), width, t.ofAge(left, window))
	return passed + t.rest(life, window, used, width)
}

// lifeLine is a lifeBar that is no higher than a line, for many of them.
func (t theme) lifeLine(life, left, window time.Duration, width int) string {
	if life <= 0 || width <= 0 {
		return strings.Repeat(" ", max(width, 0))
	}
	share := min(max(1-float64(left)/float64(life), 0), 1)
	used := int(share*float64(width) + 0.5)
	return t.ofAge(left, window).Render(strings.Repeat("━", used)) + t.rest(life, window, used, width)
}

// ofAge is how a token looks that is fresh, or to be renewed.
func (t theme) ofAge(left, window time.Duration) lipgloss.Style {
	if left <= window {
		return t.warn
	}
	return t.good
}

// rest draws what is left of a life, from the cell used on.
func (t theme) rest(life, window time.Duration, used, width int) string {
	begin := int((1 - float64(window)/float64(life)) * float64(width)) // of the window
	begin = min(max(begin, used), width)
	return t.good.Render(strings.Repeat("─", begin-used)) + t.warn.Render(strings.Repeat("╌", width-begin))
}

// quotaBar draws how much of a bucket is used.
func (t theme) quotaBar(b Bucket, width int) string {
	style := t.busy
	share := 0.0
	if b.Quota > 0 {
		share = float64(b.Used) / float64(b.Quota)
	}
	switch {
	case share >= 0.9:
		style = t.bad
	case share >= 0.6:
		style = t.warn
	}
	drawn, used := fill(share, width, style)
	return drawn + t.dim.Render(strings.Repeat("─", max(width-used, 0)))
}
