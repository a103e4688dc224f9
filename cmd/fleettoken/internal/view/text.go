package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// fit makes s exactly width cells wide, with an ellipsis if it is too long. It
// is for text without styles.
func fit(s string, width int) string {
	if width <= 0 {
		return ""
	}
	if n := lipgloss.Width(s); n <= width {
		return s + strings.Repeat(" ", width-n)
	}
	runes := []rune(s)
	for len(runes) > 0 && lipgloss.Width(string(runes))+1 > width {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…" + strings.Repeat(" ", max(width-1-lipgloss.Width(string(runes)), 0))
}

// Wrap breaks s at blanks into lines of at most width cells. A word that is
// longer than that has a line of its own.
func Wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case lipgloss.Width(line)+1+lipgloss.Width(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// ends puts left and right at the two ends of a line; what does not fit on the
// right is left out. Both may have styles.
func ends(left, right string, width int) string {
	gap := width - lipgloss.Width(left) - lipgloss.Width(right)
	if gap < 1 {
		return left + strings.Repeat(" ", max(width-lipgloss.Width(left), 0))
	}
	return left + strings.Repeat(" ", gap) + right
}

// rule is a line with a name on the left and a remark on the right.
func (t theme) rule(name, remark string, width int) string {
	left := t.dim.Render("─ ") + t.strong.Render(name) + " "
	right := ""
	if remark != "" {
		right = " " + remark + t.dim.Render(" ─")
	}
	gap := width - lipgloss.Width(left) - lipgloss.Width(right)
	if gap < 1 {
		right, gap = "", width-lipgloss.Width(left)
	}
	return left + t.dim.Render(strings.Repeat("─", max(gap, 0))) + right
}

// seconds writes a duration as people say it.
func seconds(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

// Grouped writes a number with commas, so that it can be read at a glance.
func Grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
