package model

import (
	"flag"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

var large = flag.Bool("large", false, "go through millions of states for each promise")

// The core keeps every promise in every state of every world.
func TestPromises(t *testing.T) {
	worlds := small
	switch {
	case *large:
		worlds = slices.Concat(small, big)
	case raced || testing.Short(): // nothing here is concurrent but the worlds
		worlds = slices.DeleteFunc(slices.Clone(small), func(l limits) bool { return l.replicas < 3 && l.faults[invalidation] == 0 })
	}
	found := exploreAll(worlds)
	var states, depth [promises]int
	var taken [verbs]int
	rows := make(map[trace.Row]int)
	for i, x := range found {
		l := worlds[i]
		t.Logf("%s: %d replicas, %d states, %d steps, the farthest state %d steps away, %d different replicas",
			l.name, l.replicas, len(x.states), x.steps, x.depth, len(x.processes))
		for p := range promises {
			if l.tries(p) {
				states[p] += len(x.states)
				depth[p] = max(depth[p], x.depth)
			}
		}
		for v, n := range x.taken {
			taken[v] += n
		}
		for row, n := range x.rows {
			rows[row] += n
		}
	}
	for p := none + 1; p < promises; p++ {
		t.Run(p.String(), func(t *testing.T) {
			for i, x := range found {
				if x.broken.promise == p {
					t.Fatalf("%s: %s", worlds[i].name, x.told())
				}
			}
			t.Logf("kept in %d states, up to %d steps from the beginning", states[p], depth[p])
			if *large && states[p] < 1_000_000 {
				t.Errorf("got %d states, want a million", states[p])
			}
		})
	}
	// A world in which nothing happens breaks no promise.
	t.Run("steps", func(t *testing.T) {
		if raced || testing.Short() {
			t.Skip("not all worlds were explored")
		}
		for v, n := range taken {
			if n == 0 {
				t.Errorf("no step in any world is: %s", words[v])
			}
		}
		for _, row := range trace.Rows {
			if rows[row] == 0 && !several(row) {
				t.Errorf("no replica in any world goes from %s by %s to %s", row.From, row.Event, row.To)
			}
		}
	})
}

// several reports whether a row is taken only by a client that has several tokens, or
// several ways to request one, under one lease: here, there is one.
func several(row trace.Row) bool {
	return row.Event == "HeldBack:true" || row.From == trace.Released && strings.HasPrefix(row.Event, "Probed:") ||
		row.From == trace.LeasedRewriting || row.From == trace.LeasedRequesting && !strings.HasPrefix(row.Event, "Request:")
}

// exploreAll explores worlds, as many at once as there are processors.
func exploreAll(worlds []limits) []*search {
	found := make([]*search, len(worlds))
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				found[i] = explore(worlds[i], mistakes{})
				found[i].forget()
			}
		})
	}
	for i := range worlds {
		next <- i
	}
	close(next)
	wg.Wait()
	return found
}

// Each mistake breaks the promise that is there to keep it out.
func TestMistakes(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, p.refuted)
	}
}

func (p planted) refuted(t *testing.T) {
	t.Parallel()
	began := time.Now()
	x := explore(p.world, p.wrong)
	if x.broken.promise != p.breaks {
		t.Fatalf("got a broken promise %q, want %q: %s", x.broken.promise, p.breaks, x.told())
	}
	t.Logf("found after %d states, in %v; broken is: %s\n%s", len(x.states), time.Since(began).Round(time.Millisecond), p.breaks, x.told())
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

// forget frees what is not reported.
func (x *search) forget() {
	x.index, x.ways, x.free, x.outcomes, x.ids, x.after = nil, nil, nil, nil, nil, nil
	x.states, x.processes, x.from = make([]state, len(x.states)), x.processes[:len(x.processes):len(x.processes)], nil
}
