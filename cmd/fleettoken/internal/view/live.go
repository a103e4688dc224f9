package view

import (
	"context"
	"errors"
	"io"

	"charm.land/bubbles/v2/spinner"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
)

// A Live view shows snapshots on a terminal until it is closed or the user quits.
type Live struct {
	program *tea.Program
	done    chan struct{}
	err     error
}

// Open takes over the terminal. It calls quit when the user quits.
func Open(ctx context.Context, in io.Reader, out io.Writer, env map[string]string, quit func()) *Live {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	options := []tea.ProgramOption{
		tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(list),
		tea.WithContext(ctx), tea.WithFPS(30), tea.WithoutSignalHandler(),
	}
	if env["NO_COLOR"] != "" { // see no-color.org
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	l := &Live{program: tea.NewProgram(newModel(), options...), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		last, err := l.program.Run()
		if !errors.Is(err, tea.ErrProgramKilled) && !errors.Is(err, tea.ErrInterrupted) {
			l.err = err
		}
		if m, ok := last.(model); err != nil || ok && m.quit {
			quit()
		}
	}()
	return l
}

// Show shows a snapshot. It does nothing once the view is closed.
func (l *Live) Show(s Snapshot) { l.program.Send(s) }

// Close gives the terminal back, and returns what went wrong with it.
func (l *Live) Close() error {
	l.program.Quit()
	<-l.done
	return l.err
}

// Init starts the spinner.
func (m model) Init() tea.Cmd { return m.spinner.Tick }

// Update handles a snapshot, a key, a tick or a change of the terminal.
func (m model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch message := message.(type) {
	case Snapshot:
		m.last = message
	case tea.WindowSizeMsg:
		m.width, m.height = message.Width, message.Height
	case spinner.TickMsg:
		m.spinner, cmd = m.spinner.Update(message)
	case tea.KeyPressMsg:
		switch message.String() {
		case "q", "Q", "esc", "ctrl+c":
			m.quit = true
			return m, tea.Quit
		}
	}
	return m, cmd
}

// View draws the last snapshot.
func (m model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen, v.WindowTitle = true, "fleettoken demo"
	if m.width > 0 {
		v.SetContent(m.render())
	}
	return v
}
