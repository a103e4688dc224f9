package view

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

func TestModel(t *testing.T) {
	m, _ := model{theme: themeFor(true)}.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	m, _ = m.Update(scenes()["dead"])
	view := m.View()
	if !view.AltScreen || !strings.Contains(plain(view.Content), "r07 ✕ dead") {
		t.Errorf("got %q, want the picture of the last snapshot, on a screen of its own", plain(view.Content))
	}
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}, {Code: tea.KeyEscape}} {
		after, cmd := m.Update(key)
		if cmd == nil || !after.(model).quit {
			t.Errorf("%s does not quit", key)
		}
	}
	after, cmd := m.Update(tea.KeyPressMsg{Code: 'x', Text: "x"})
	if cmd != nil || after.(model).quit {
		t.Error("x quits")
	}
}

// A screen is what a terminal gets to see.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// Somebody quits: the caller is told, and the terminal is given back.
func TestLiveQuits(t *testing.T) {
	keys, keyboard := io.Pipe()
	defer keyboard.Close()
	told := make(chan struct{})
	var out screen
	live := Open(context.Background(), keys, &out, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, func() { close(told) })
	live.Show(scenes()["dead"])
	if _, err := keyboard.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Fatal("q was not heard")
	}
	if err := live.Close(); err != nil {
		t.Error(err)
	}
	live.Show(scenes()["dead"]) // too late, and no harm
	if text := out.text.String(); !strings.Contains(text, "\x1b[?1049h") || !strings.Contains(text, "\x1b[?1049l") {
		t.Errorf("got %q, want a screen of its own that is left again", text)
	}
}

// The demo is over: nobody is told to quit.
func TestLiveCloses(t *testing.T) {
	var out screen
	live := Open(context.Background(), nil, &out, nil, func() { t.Error("quit was called") })
	live.Show(scenes()["serving"])
	if err := live.Close(); err != nil {
		t.Error(err)
	}
}

func TestLines(t *testing.T) {
	var out strings.Builder
	lines := Lines{Out: &out}
	for _, e := range []Event{
		{Kind: Opening, Text: "3/7  The token is renewed"},
		{Kind: Hint, Text: "the calls go on"},
		{At: 3070 * time.Millisecond, Kind: News, Text: "r07 asks the endpoint for a token"},
		{At: 3150 * time.Millisecond, Kind: Fault, Text: "r07 is killed"},
		{At: 13 * time.Second, Kind: Result, Text: "r08 took over"},
		{At: 125 * time.Second, Kind: Failure, Text: "no call fails: 1 did"},
	} {
		lines.Tell(e)
	}
	want := `
  0.00 s  3/7  The token is renewed
          watch: the calls go on
  3.07 s  . r07 asks the endpoint for a token
  3.15 s  ! r07 is killed
 13.00 s  = r08 took over
125.00 s  BROKEN PROMISE: no call fails: 1 did
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
