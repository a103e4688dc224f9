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

func fleetOf(n int, state State) (list []Replica) {
	for i := range n {
		list = append(list, Replica{Name: fmt.Sprintf("r%02d", i+1), State: state, Detail: "#2    412 calls"})
	}
	return list
}

// scenes are snapshots of all kinds.
func scenes() map[string]Snapshot {
	scenario := func(n int, title, watch string, state ScenarioState) Snapshot {
		s := Snapshot{Title: "20 replicas, an embedded Redis", Status: "Redis is up  5.5 s", Scenarios: make([]Scenario, 8)}
		for i := range n - 1 {
			s.Scenarios[i].State = Passed
		}
		s.Scenarios[n-1] = Scenario{title, watch, state}
		s.Totals = []string{"3 token requests", "40 unshared", "2,705 calls", "0 failed", "142 Redis commands"}
		s.Bars = []Bar{{"token #2 from r07", "3.1 s left", 0.4, false}, {"tokens this hour", "2 of 42", 0.05, false}, {"tokens today", "2 of 100", 0.02, false}}
		return s
	}
	all := make(map[string]Snapshot)
	s := scenario(1, "The problem: 20 replicas, each with its own token", "each start asks for a token; the quota is 42 an hour", Running)
	s.Replicas = append(fleetOf(2, Serving), fleetOf(20, LockedOut)[2:]...)
	s.Bars = []Bar{{"tokens this hour", "42 of 42", 1, true}, {"tokens today", "42 of 100", 0.42, false}}
	s.Note = "no token is left: the endpoint answers 429 for the next 49 min"
	s.Events = []Event{
		{Kind: Heading, Text: "1/8  The problem: 20 replicas, each with its own token"},
		{Kind: Hint, Text: "each start asks for a token; the quota is 42 an hour"},
		{At: 340 * time.Millisecond, Kind: Fault, Text: "deploy 2: the endpoint answers 429; all 42 are used"},
	}
	all["lockout"] = s

	s = scenario(5, "Renewal in the background", "the token is due in 298 ms; the calls go on with it until the new one is there", Passed)
	s.Replicas, s.Note = fleetOf(20, Serving), "the token is fresh; due in 1 s"
	s.Events = []Event{
		{At: 3070 * time.Millisecond, Text: "r07 sends a token request"},
		{At: 3130 * time.Millisecond, Text: "r07 got a token for 5 s, in 62 ms"},
		{At: 3150 * time.Millisecond, Kind: Result, Text: "r07 renewed it in 61 ms; the last replica had the new one 4 ms after the first; 187 calls served meanwhile"},
	}
	all["serving"] = s

	s = scenario(6, "The renewing replica dies", "the token is due in 2 s; whoever asks is killed, and its lease ends after 1 s", Running)
	s.Replicas, s.Note = fleetOf(20, Due), "the token is due; all replicas serve it"
	s.Replicas[6].State, s.Bars[0].Warn = Dead, true
	s.Events = []Event{{At: 5090 * time.Millisecond, Kind: Fault, Text: "the endpoint does not answer, and r07 is killed while it waits"}}
	all["dead"] = s

	s = scenario(8, "Redis fails, and comes back empty", "the token is due in 1.9 s; Redis is down by then, and no replica can renew it", Failed)
	s.Replicas, s.Bad, s.Status, s.Note = fleetOf(60, Due), true, "Redis is down  14.1 s", "the token is due, and Redis is down; all replicas serve it"
	s.Events = []Event{{At: 13 * time.Second, Kind: Failure, Text: "no call fails: 12 did, such as with: there is no token"}}
	all["failed"] = s
	return all
}

func draw(s Snapshot, width, height int) string {
	m := newModel()
	m.last, m.width, m.height = s, width, height
	return m.render()
}

var styles = regexp.MustCompile("\x1b\\[[0-9;:]*m")

// plain removes styles, and blanks at the ends of lines.
func plain(picture string) string {
	lines := strings.Split(styles.ReplaceAllString(picture, ""), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestGolden compares pictures with those in testdata. UPDATE_GOLDEN=1 writes
// them.
func TestGolden(t *testing.T) {
	for name, s := range scenes() {
		for _, size := range [][2]int{{60, 24}, {80, 24}, {120, 40}} {
			file := filepath.Join("testdata", fmt.Sprintf("%s_%dx%d.golden", name, size[0], size[1]))
			got := plain(draw(s, size[0], size[1]))
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
				t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
			}
		}
	}
}

// TestFits checks that no picture is larger than the terminal.
func TestFits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	check := func(name string, s Snapshot, width, height int) {
		t.Helper()
		lines := strings.Split(draw(s, width, height), "\n")
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
		for range 5 {
			s.Replicas = fleetOf(random.IntN(500)+1, State(random.IntN(int(Dead)+1)))
			check(name, s, random.IntN(200)+1, random.IntN(60)+1)
		}
	}
	check("an empty one", Snapshot{}, 80, 24)
}

// TestStatesDiffer checks that states can be told apart without colours.
func TestStatesDiffer(t *testing.T) {
	seen := make(map[string]State)
	for s := Starting; s <= Dead; s++ {
		for _, look := range []string{styles.ReplaceAllString(s.glyph(), ""), s.String()} {
			if other, ok := seen[look]; ok {
				t.Errorf("%v and %v look the same", s, other)
			}
			seen[look] = s
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 1400 * time.Microsecond: "1 ms", 994 * time.Millisecond: "994 ms", time.Second: "1 s", 1234 * time.Millisecond: "1.2 s",
		21 * time.Second: "21 s", 49*time.Minute + time.Second: "49 min", 24 * time.Hour: "24 h", -20 * time.Millisecond: "-20 ms",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
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
