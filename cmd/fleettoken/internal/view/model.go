package view

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
)

// A Live view shows snapshots on a terminal, until it is closed or somebody
// quits it.
type Live struct {
	program *tea.Program
	done    chan struct{}
	quit    bool
	err     error
}

// Open takes over the terminal. When somebody quits, the view closes and calls
// quit.
func Open(ctx context.Context, in io.Reader, out io.Writer, env map[string]string, quit func()) *Live {
	options := []tea.ProgramOption{
		tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(environ(env)),
		tea.WithContext(ctx), tea.WithFPS(30), tea.WithoutSignalHandler(),
	}
	if env["NO_COLOR"] != "" { // whatever its value is: see no-color.org
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	l := &Live{program: tea.NewProgram(model{theme: themeFor(true)}, options...), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		last, err := l.program.Run()
		if m, ok := last.(model); ok {
			l.quit = m.quit
		}
		if err != nil && !errors.Is(err, tea.ErrProgramKilled) && !errors.Is(err, tea.ErrInterrupted) {
			l.err = err
		}
		if l.quit || err != nil {
			quit()
		}
	}()
	return l
}

// Show shows a snapshot. It does not wait, and does nothing once the view is
// closed.
func (l *Live) Show(s Snapshot) { l.program.Send(s) }

// Close gives the terminal back, and reports what went wrong with it.
func (l *Live) Close() error {
	l.program.Quit()
	<-l.done
	return l.err
}

// environ is the environment as a list.
func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// A model is the state of the view: the last snapshot, and the window.
type model struct {
	theme         theme
	last          Snapshot
	width, height int
	quit          bool
}

// Init asks the terminal for the colour of its background.
func (m model) Init() tea.Cmd { return tea.RequestBackgroundColor }

// Update takes in a snapshot, a key or the size of the window.
func (m model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case Snapshot:
		m.last = message
	case tea.WindowSizeMsg:
		m.width, m.height = message.Width, message.Height
	case tea.BackgroundColorMsg:
		m.theme = themeFor(message.IsDark())
	case tea.KeyPressMsg:
		switch message.String() {
		case "q", "Q", "esc", "ctrl+c":
			m.quit = true
			return m, tea.Quit
		}
	}
	return m, nil
}

// View draws the last snapshot.
func (m model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	v.WindowTitle = "fleettoken demo"
	if m.width > 0 {
		v.SetContent(render(m.theme, m.last, m.width, m.height))
	}
	return v
}
