package view

import (
	"charm.land/lipgloss/v2"
)

// A theme is how things look. Colours say nothing that a letter or a shape does
// not say as well: they may be missing.
type theme struct {
	plain, dim, strong, accent  lipgloss.Style
	good, warn, bad, busy, calm lipgloss.Style
}

// themeFor returns the theme for a dark or a light background.
func themeFor(dark bool) theme {
	pick := lipgloss.LightDark(dark)
	ink := func(light, dark string) lipgloss.Style {
		return lipgloss.NewStyle().Foreground(pick(lipgloss.Color(light), lipgloss.Color(dark)))
	}
	return theme{
		plain:  lipgloss.NewStyle(),
		dim:    ink("#6c7086", "#7f849c"),
		strong: lipgloss.NewStyle().Bold(true),
		accent: ink("#1e66f5", "#89b4fa").Bold(true),
		good:   ink("#40a02b", "#a6e3a1"),
		warn:   ink("#b5770d", "#f9e2af"),
		bad:    ink("#d20f39", "#f38ba8").Bold(true),
		busy:   ink("#179299", "#89dceb").Bold(true),
		calm:   ink("#8839ef", "#cba6f7"),
	}
}

// ofState is how a replica in a state looks.
func (t theme) ofState(s State) lipgloss.Style {
	switch s {
	case Serving:
		return t.good
	case Due:
		return t.warn
	case Renewing:
		return t.busy
	case Backing:
		return t.calm
	case Dead:
		return t.bad
	}
	return t.dim
}

// glyph is the shape of a state.
func (s State) glyph() string {
	return [...]string{"○", "●", "◐", "◉", "◌", "✕"}[s]
}

// ofEvent is how an event looks, and its mark.
func (t theme) ofEvent(k Kind) (lipgloss.Style, string) {
	switch k {
	case Fault:
		return t.warn, "!"
	case Result:
		return t.good, "✓"
	case Failure:
		return t.bad, "✗"
	case Opening:
		return t.strong, "▸"
	}
	return t.plain, "·"
}
