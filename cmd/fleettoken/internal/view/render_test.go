package view

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
)

const second = time.Second

// fleetOf returns n replicas that serve token 2, and whose token is due if it
// says so.
func fleetOf(n int, due bool) []Replica {
	var list []Replica
	for i := range n {
		r := Replica{Name: fmt.Sprintf("r%02d", i+1), State: Serving, Token: 2, Left: 7 * second, Life: 8 * second, Rate: 25}
		if due {
			r.State, r.Left = Due, 5*second
		}
		list = append(list, r)
	}
	return list
}

// chapters returns a story of seven chapters that has come to the n-th.
func chapters(n int, state ChapterState) []Chapter {
	list := []Chapter{
		{Title: "20 replicas start at once, and nobody has a token", Watch: "one asks the endpoint, and the others wait for its answer"},
		{Title: "They call an API with the token they share", Watch: "no call asks Redis or the endpoint for anything"},
		{Title: "The token is renewed", Watch: "the calls go on with the old one meanwhile"},
		{Title: "The renewer dies in the middle of its request", Watch: "its lease ends after 1.2 s, and another one takes over"},
		{Title: "The endpoint answers 429: too many requests", Watch: "one is refused, and all of them heed its Retry-After of 2 s"},
		{Title: "An operator rotates the token", Watch: "everybody has the new one a moment later"},
		{Title: "Redis dies, and comes back with nothing in it", Watch: "the calls go on, and the token is renewed when Redis is back"},
	}
	for i := range n {
		list[i].State = Kept
	}
	list[n-1].State = state
	return list
}

// scenes are moments that look different.
func scenes() map[string]Snapshot {
	base := func() Snapshot {
		return Snapshot{
			Title: "20 replicas, an embedded Redis", At: 5500 * time.Millisecond,
			Buckets: []Bucket{
				{Name: "per_hour", Quota: 42, Used: 2},
				{Name: "per_day", Quota: 100, Used: 2},
			},
			Token:  Token{Number: 2, By: "r07", Life: 8 * second, Left: 7 * second, Window: 6 * second},
			Totals: Totals{Requests: 3, Unshared: 40, Calls: 2705, Rate: 500, Commands: 142},
		}
	}
	all := make(map[string]Snapshot)

	s := base()
	s.Chapters, s.At = chapters(1, Current), 40*time.Millisecond
	s.Token = Token{Renewer: "r07", Lease: second}
	s.Buckets[0].Used, s.Buckets[1].Used = 0, 0
	s.Totals = Totals{Requests: 1}
	s.Replicas = fleetOf(20, false)
	for i := range s.Replicas {
		s.Replicas[i] = Replica{Name: s.Replicas[i].Name}
	}
	s.Replicas[6].State = Renewing
	s.Events = []Event{
		{Kind: Opening, Text: "1/7  20 replicas start at once, and nobody has a token"},
		{Kind: Hint, Text: "one asks the endpoint, and the others wait for its answer"},
		{At: 30 * time.Millisecond, Kind: News, Text: "r07 asks the endpoint for a token"},
	}
	all["cold"] = s

	s = base()
	s.Chapters = chapters(3, Kept)
	s.Replicas = fleetOf(20, false)
	s.Events = []Event{
		{At: 3070 * time.Millisecond, Kind: News, Text: "r07 asks the endpoint for a token"},
		{At: 3130 * time.Millisecond, Kind: News, Text: "r07 got a token for 8 s in 62 ms; left: 40 this hour, 98 today"},
		{At: 3150 * time.Millisecond, Kind: Result, Text: "r07 renewed it in 61 ms; everybody had the new one 4 ms later, and 187 calls were served meanwhile"},
	}
	all["serving"] = s

	s = base()
	s.Chapters = chapters(4, Current)
	s.Token.Left, s.Token.Lease = 5*second, 700*time.Millisecond
	s.Replicas = fleetOf(20, true)
	s.Replicas[6] = Replica{Name: "r07", State: Dead}
	s.Events = []Event{
		{At: 5080 * time.Millisecond, Kind: News, Text: "r07 asks the endpoint for a token"},
		{At: 5090 * time.Millisecond, Kind: Fault, Text: "the endpoint does not answer, and r07 is killed while it waits"},
	}
	all["dead"] = s

	s = base()
	s.Chapters = chapters(7, Broken)
	s.Away = true
	s.Token = Token{Number: 5, By: "operator", Life: 8 * second, Left: 4 * second, Window: 6 * second}
	s.Replicas = fleetOf(60, true)
	for i := range s.Replicas {
		s.Replicas[i].Token = 5
	}
	s.Totals.Failed, s.Totals.Expired = 12, 1
	s.Events = []Event{
		{At: 12500 * time.Millisecond, Kind: Fault, Text: "Redis dies"},
		{At: 13 * second, Kind: Failure, Text: "no call fails: 12 did, the last one with: there is no token"},
	}
	all["broken"] = s
	return all
}

var styles = regexp.MustCompile("\x1b\\[[0-9;:]*m")

// plain returns a picture without its styles, and without the blanks at the ends
// of lines.
func plain(picture string) string {
	lines := strings.Split(styles.ReplaceAllString(picture, ""), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// The pictures are in testdata. UPDATE_GOLDEN=1 draws them anew.
func TestRenderGolden(t *testing.T) {
	for name, s := range scenes() {
		for _, size := range [][2]int{{80, 24}, {120, 40}} {
			t.Run(fmt.Sprintf("%s %dx%d", name, size[0], size[1]), func(t *testing.T) {
				got := plain(render(themeFor(true), s, size[0], size[1]))
				file := filepath.Join("testdata", fmt.Sprintf("%s_%dx%d.golden", name, size[0], size[1]))
				if os.Getenv("UPDATE_GOLDEN") != "" {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("got\n%s\nwant %s\n%s", got, file, want)
				}
			})
		}
	}
}

// Whatever the window and the fleet, the picture fits the window.
func TestRenderFits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	check := func(name string, s Snapshot, width, height int) {
		t.Helper()
		lines := strings.Split(render(themeFor(false), s, width, height), "\n")
		if len(lines) > height {
			t.Errorf("%s at %dx%d: got %d lines", name, width, height, len(lines))
		}
		for _, line := range lines {
			if n := lipgloss.Width(line); n > width {
				t.Errorf("%s at %dx%d: got a line of %d cells: %q", name, width, height, n, styles.ReplaceAllString(line, ""))
				return
			}
		}
	}
	for name, s := range scenes() {
		for width := 1; width <= 200; width += 33 {
			for height := 1; height <= 60; height += 9 {
				check(name, s, width, height)
			}
		}
		for range 10 {
			s.Replicas = fleetOf(random.IntN(500)+1, random.IntN(2) == 0)
			check(name, s, random.IntN(200)+1, random.IntN(60)+1)
		}
	}
	check("nothing", Snapshot{}, 80, 24)
}

// A fleet is shown as richly as the window allows.
func TestGrid(t *testing.T) {
	for _, row := range []struct {
		n, width, height int
		columns, rows    int
		style            cellStyle
	}{
		{20, 78, 10, 2, 10, bars},
		{20, 118, 26, 2, 10, bars},
		{20, 78, 7, 3, 7, words},
		{60, 78, 10, 6, 10, numbers},
		{100, 78, 10, 10, 10, names},
		{500, 78, 10, 78, 7, dots},
		{1, 78, 10, 1, 1, bars},
		{20, 38, 1, 20, 1, dots},
	} {
		g := gridFor(row.n, 3, row.width, row.height)
		if g.columns != row.columns || g.rows != row.rows || g.style != row.style {
			t.Errorf("%d replicas in %dx%d: got %d columns, %d rows, style %d, want %d, %d, %d",
				row.n, row.width, row.height, g.columns, g.rows, g.style, row.columns, row.rows, row.style)
		}
	}
}

func TestLifeBar(t *testing.T) {
	for _, row := range []struct {
		life, left, window time.Duration
		want               string
	}{
		{10 * second, 10 * second, 4 * second, "──────╌╌╌╌"},
		{10 * second, 5 * second, 4 * second, "█████─╌╌╌╌"},
		{10 * second, 4500 * time.Millisecond, 4 * second, "█████▌╌╌╌╌"},
		{10 * second, 2 * second, 4 * second, "████████╌╌"},
		{10 * second, 0, 4 * second, "██████████"},
		{10 * second, -second, 4 * second, "██████████"},
		{10 * second, 10 * second, 20 * second, "╌╌╌╌╌╌╌╌╌╌"},
		{0, 0, 0, "··········"},
	} {
		got := styles.ReplaceAllString(themeFor(true).lifeBar(row.life, row.left, row.window, 10), "")
		if got != row.want {
			t.Errorf("%v of %v left, window %v: got %q, want %q", row.left, row.life, row.window, got, row.want)
		}
	}
}

// Shapes and words say all: without colours nothing is lost.
func TestStatesDiffer(t *testing.T) {
	glyphs, words := make(map[string]State), make(map[string]State)
	for s := Starting; s <= Dead; s++ {
		if other, ok := glyphs[s.glyph()]; ok {
			t.Errorf("%v and %v look the same", s, other)
		}
		if other, ok := words[s.String()]; ok {
			t.Errorf("%d and %d have the same name", s, other)
		}
		glyphs[s.glyph()], words[s.String()] = s, s
		if n := lipgloss.Width(s.String()); n > 9 {
			t.Errorf("%v takes %d cells, and a cell has 9 for it", s, n)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := Grouped(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
