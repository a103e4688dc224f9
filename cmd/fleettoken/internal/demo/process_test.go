package demo

import (
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// How a process ended is told, unless somebody wanted it to.
func TestProcessEnds(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		script string
		want   string // the last event
	}{
		{"kill -INT $$", EventBye}, // as from the keyboard, to a process that has only begun
		{"kill -KILL $$", eventDied},
		{"echo oh no >&2; exit 1", eventDied},
		{"exit 0", eventDied},
		{`echo '{"event":"bye"}'`, EventBye},
	} {
		var backstage sync.WaitGroup
		var last Event
		hire := inProcesses(&backstage, func(ReplicaConfig, []byte) (*exec.Cmd, error) { return exec.Command("sh", "-c", row.script), nil }, nil)
		if _, err := hire(ReplicaConfig{Name: "r07"}, func(e Event) { last = e }); err != nil {
			t.Skipf("no shell can be had here: %v", err)
		}
		backstage.Wait()
		if last.Event != row.want || strings.Contains(row.script, "oh no") && !strings.Contains(last.Error, "oh no") {
			t.Errorf("%s: got %+v, want %s", row.script, last, row.want)
		}
	}
}
