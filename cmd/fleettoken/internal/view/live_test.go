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
	m, _ := newModel().Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	m, _ = m.Update(scenes()["dead"])
	if view := m.View(); !view.AltScreen || !strings.Contains(plain(view.Content), "r07 ✕ dead") {
		t.Errorf("got %q, want the last snapshot, on an alternate screen", plain(view.Content))
	}
	before := m.(model).spinner.View()
	if m, cmd := m.Update(m.(model).spinner.Tick()); cmd == nil || m.(model).spinner.View() == before {
		t.Error("the spinner does not turn")
	}
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}, {Code: tea.KeyEscape}} {
		if after, cmd := m.Update(key); cmd == nil || !after.(model).quit {
			t.Errorf("%s does not quit", key)
		}
	}
	if after, cmd := m.Update(tea.KeyPressMsg{Code: 'x', Text: "x"}); cmd != nil || after.(model).quit {
		t.Error("x quits")
	}
}

// A screen records what a terminal gets.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func TestLiveQuits(t *testing.T) {
	keys, keyboard := io.Pipe()
	defer keyboard.Close()
	quit := make(chan struct{})
	var out screen
	live := Open(context.Background(), keys, &out, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, func() { close(quit) })
	live.Show(scenes()["dead"])
	if _, err := keyboard.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-quit:
	case <-time.After(10 * time.Second):
		t.Fatal("q did not quit")
	}
	if err := live.Close(); err != nil {
		t.Error(err)
	}
	live.Show(scenes()["dead"]) // does nothing
	if text := out.text.String(); !strings.Contains(text, "\x1b[?1049h") || !strings.Contains(text, "\x1b[?1049l") {
		t.Errorf("got %q, want an alternate screen that is left again", text)
	}
}

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
	lines := Lines{Out: &out, Width: 50}
	for _, e := range []Event{
		{Kind: Heading, Text: "3/8  Renewal in the background"},
		{Kind: Hint, Text: "the calls go on with it until the new one is there"},
		{At: 3070 * time.Millisecond, Kind: Info, Text: "r07 sends a token request"},
		{At: 3150 * time.Millisecond, Kind: Fault, Text: "r07 is killed"},
		{At: 13 * time.Second, Kind: Result, Text: "r08 asked for the next one 1 s after the request that hangs"},
		{At: 125 * time.Second, Kind: Failure, Text: "no call fails: 1 did"},
	} {
		lines.Tell(e)
	}
	want := `
  0.00 s  3/8  Renewal in the background
          watch: the calls go on with it until the
            new one is there
  3.07 s  . r07 sends a token request
  3.15 s  ! r07 is killed
 13.00 s  = r08 asked for the next one 1 s after
            the request that hangs
125.00 s  BROKEN PROMISE: no call fails: 1 did
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestLinesLost(t *testing.T) {
	lost := 0
	r, w := io.Pipe()
	_ = r.Close()
	Lines{Out: w, Width: 80, Lost: func() { lost++ }}.Tell(Event{Text: "unread"})
	if lost != 1 {
		t.Errorf("Lost was called %d times, want once", lost)
	}
}
