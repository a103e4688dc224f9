package model

import (
	"flag"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

var large = flag.Bool("large", false, "go through millions of states for each promise")

// small are the worlds for every day, and big those for whoever changes the
// protocol. Few faults at a time, and every pair of them that can meet.
var (
	small = []limits{
		{"leases and data are lost", 2, 2, [faults]uint8{leaseLost: 1, storeLost: 1}},
		{"three replicas", 3, 0, [faults]uint8{leaseLost: 1, evicted: 1}},
		{"trouble", 2, 0, [faults]uint8{trouble: 1, storeLost: 1, crash: 1}},
		{"a rotation", 2, 0, [faults]uint8{rotation: 1, evicted: 1, storeLost: 1}},
		{"Redis is out of reach", 2, 0, [faults]uint8{cutOff: 1, direct: 1, rotation: 1, shortening: 1}},
		{"lives", 2, 4, [faults]uint8{crash: 1}},
	}
	big = []limits{
		{"leases are lost", 3, 2, [faults]uint8{leaseLost: 2, evicted: 1, crash: 1}},
		{"data is lost", 3, 2, [faults]uint8{storeLost: 2, crash: 1}},
		{"four replicas", 4, 1, [faults]uint8{leaseLost: 1, storeLost: 1}},
		{"trouble", 3, 1, [faults]uint8{trouble: 1, storeLost: 1, crash: 1}},
		{"trouble, and Redis is out of reach", 2, 1, [faults]uint8{trouble: 2, cutOff: 1, direct: 1, crash: 1, storeLost: 1}},
		{"a rotation, and leases and data are lost", 2, 2, [faults]uint8{rotation: 1, leaseLost: 1, storeLost: 1, evicted: 1}},
		{"a rotation, and Redis is out of reach", 2, 3, [faults]uint8{rotation: 1, cutOff: 1, direct: 1, shortening: 1}},
		{"two rotations", 3, 0, [faults]uint8{rotation: 2, leaseLost: 1, evicted: 1}},
		{"lives", 2, 4, [faults]uint8{cutOff: 1, crash: 1, leaseLost: 1, shortening: 1}},
	}
)

// tries reports whether a promise is put to the test in a world: whether what
// might break it can happen there.
func (l limits) tries(p promise) bool {
	f := &l.faults
	switch p {
	case none:
		return false
	case oneInFlight:
		return f[leaseLost]+f[storeLost]+f[crash] > 0
	case storeNeverBack, neverBack:
		return f[leaseLost]+f[storeLost]+f[evicted]+f[cutOff] > 0
	case neverExpired:
		return l.ticks > 0
	case blockHolds:
		return f[trouble] > 0
	case rotatedIsGone:
		return f[rotation] > 0
	case recoversAtNoCost:
		return f[storeLost]+f[evicted]+f[cutOff] > 0
	default:
		return true
	}
}

// The protocol keeps every promise in every state of every world.
func TestPromises(t *testing.T) {
	worlds := small
	if *large {
		worlds = big
	}
	var states, depth [promises]int
	var taken [verbs]int
	rows := make(map[trace.Row]bool)
	for _, l := range worlds {
		began := time.Now()
		x := explore(l, mistakes{})
		t.Logf("%s: %d replicas, %d states, %d steps, the farthest state %d steps away, %v",
			l.name, l.replicas, len(x.states), x.steps, x.depth, time.Since(began).Round(time.Millisecond))
		if x.broken.promise != none {
			t.Fatalf("%s is broken: %s", x.broken.promise, x.told())
		}
		for p := range promises {
			if l.tries(p) {
				states[p] += len(x.states)
				depth[p] = max(depth[p], x.depth)
			}
		}
		maps.Copy(rows, x.rows)
		for v, n := range x.taken {
			taken[v] += n
		}
	}
	for p := none + 1; p < promises; p++ {
		t.Logf("kept in %8d states, up to %2d steps from the beginning: %s", states[p], depth[p], p)
		if *large && states[p] < 1_000_000 {
			t.Errorf("got %d states for %q, want a million", states[p], p)
		}
	}
	for _, row := range trace.Rows {
		if where := fmt.Sprintf("%s: %s", row.From, row.Event); !rows[row] && !elsewhere[where] {
			t.Errorf("no step takes the row of package trace that leads from %s by %s to %s", row.From, row.Event, row.To)
		}
	}
	for v, n := range taken { // a world in which nothing happens breaks no promise
		if n == 0 {
			t.Errorf("no step in any world is: %s", words[verb(v)])
		}
	}
}

// Each mistake breaks the promise that is there to keep it out.
func TestMistakes(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, p.refuted)
	}
}

func (p planted) refuted(t *testing.T) {
	x := explore(p.world, p.wrong)
	if x.broken.promise != p.breaks {
		t.Fatalf("got a broken promise %q, want %q: %s", x.broken.promise, p.breaks, x.told())
	}
	t.Logf("found after %d states; broken is: %s\n%s", len(x.states), p.breaks, x.told())
	if !*large {
		return
	}
	if without := explore(p.world, mistakes{}); without.broken.promise != none {
		t.Errorf("without the mistake: %s", without.told())
	}
}

// told is the way to the broken promise.
func (x *search) told() string {
	return x.broken.how + "\n\t" + strings.Join(x.story, "\n\t")
}

// A process is remembered as what it is: what the core makes of it is the same process.
func TestProcesses(t *testing.T) {
	x := explore(limits{replicas: 2, faults: [faults]uint8{rotation: 1, cutOff: 1, direct: 1, trouble: 1}}, mistakes{})
	for _, s := range x.states {
		for i := range 2 {
			p := s.replicas[i]
			c := s.core(&p)
			c.end()
			if p != s.replicas[i] || c.broken != nil {
				t.Fatalf("%+v came back as %+v: %v", s.replicas[i], p, c.broken)
			}
		}
	}
}
