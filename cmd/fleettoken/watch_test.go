package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A screenful ends the watch when enough of them were written.
type screenful struct {
	text   strings.Builder // not embedded: its WriteString would not be counted
	left   int
	cancel context.CancelFunc
}

func (s *screenful) Write(p []byte) (int, error) {
	if s.left--; s.left == 0 {
		s.cancel()
	}
	return s.text.Write(p)
}

func (s *screenful) String() string { return s.text.String() }

func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rdb := miniredis.RunT(t)
	a, stderr := newTestApp(map[string]string{"FLEETTOKEN_REDIS_URL": "redis://" + rdb.Addr()})
	out := &screenful{left: 3, cancel: cancel}
	a.stdout = out
	if code := run(ctx, []string{"status", "--watch", "--json", "--interval", "1ms"}, a.env, a.stdin, out, stderr); code != exitOK {
		t.Errorf("got exit code %d, want %d: %s", code, exitOK, stderr)
	}
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("got %d lines, want 3:\n%s", got, out)
	}
}

// That Redis is away is told each time, and does not end the watch.
func TestWatchWithoutRedis(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := newTestApp(map[string]string{"FLEETTOKEN_REDIS_URL": "redis://" + address})
	stderr := &screenful{left: 4, cancel: cancel} // two lines each time, the second a hint
	if code := run(ctx, []string{"status", "--watch", "--interval", "1ms"}, a.env, a.stdin, a.stdout, stderr); code != exitOK {
		t.Errorf("got exit code %d, want %d: %s", code, exitOK, stderr)
	}
	if got := strings.Count(stderr.String(), "Redis does not answer"); got < 2 {
		t.Errorf("got %d complaints, want 2 at least:\n%s", got, stderr)
	}
}

// People see where one status ends and the next begins.
func TestWatchSeparates(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rdb := miniredis.RunT(t)
	a, stderr := newTestApp(map[string]string{"FLEETTOKEN_REDIS_URL": "redis://" + rdb.Addr()})
	out := &screenful{left: 3, cancel: cancel}
	if code := run(ctx, []string{"status", "--watch", "--interval", "1ms"}, a.env, a.stdin, out, stderr); code != exitOK {
		t.Errorf("got exit code %d, want %d: %s", code, exitOK, stderr)
	}
	if got := strings.Count(out.String(), "\n\nclient "); got != 2 || !strings.HasPrefix(out.String(), "client ") {
		t.Errorf("got %d statuses after an empty line, want 2 of the 3:\n%s", got, out)
	}
}

// Nothing moves, whatever there is to show: no line is as wide as the screen,
// and the last one does not end.
func TestRedraw(t *testing.T) {
	for _, row := range []struct {
		text          string
		width, height int
		want          string
	}{
		{"a\nb\n", 80, 24, "\x1b[Ha\x1b[K\nb\x1b[K\x1b[J"},
		{"a\nb\nc\n", 80, 2, "\x1b[Ha\x1b[K\nb\x1b[K\x1b[J"},
		{"…bcdef\nx\n", 5, 24, "\x1b[H…bcd\x1b[K\nx   \x1b[K\x1b[J"},
	} {
		size := func() (int, int) { return row.width, row.height }
		if got := string(redraw([]byte(row.text), size)); got != row.want {
			t.Errorf("%q in %dx%d: got %q, want %q", row.text, row.width, row.height, got, row.want)
		}
	}
}

func TestSpan(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{-time.Second, "0s"}, {0, "0s"}, {1234567 * time.Nanosecond, "1ms"}, {1999 * time.Millisecond, "1s"},
		{61 * time.Second, "1m1s"}, {time.Hour, "1h0m"}, {23*time.Hour + 59*time.Minute + 59*time.Second, "23h59m"}, {48 * time.Hour, "48h0m"},
	}
	for _, test := range tests {
		if got := span(test.d); got != test.want {
			t.Errorf("span(%v): got %q, want %q", test.d, got, test.want)
		}
	}
}
