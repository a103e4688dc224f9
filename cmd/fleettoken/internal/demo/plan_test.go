package demo

import (
	"testing"
	"time"
)

// Whatever the duration and the fleet, the plan is one that the library can keep
// its promises in.
func TestPlan(t *testing.T) {
	for _, replicas := range []int{1, 20, 100, 500} {
		for d := MinDuration; d <= 5*time.Minute; d += 700 * time.Millisecond {
			p := planFor(d, replicas, 0)
			check := func(ok bool, what string) {
				t.Helper()
				if !ok {
					t.Fatalf("%v, %d replicas: %s: %+v", d, replicas, what, p)
				}
			}
			check(p.timeout >= 500*time.Millisecond, "the library takes no shorter request timeout")
			check(p.lease == 2*p.timeout, "the lease lasts twice the timeout")
			check(p.window > 3*(p.lease+p.timeout), "three renewers may die within the window")
			check(p.latency < p.timeout/4, "a request must not time out on a slow machine")
			check(p.retry*11/10+p.timeout < p.window*3/4, "the endpoint's wait is over before the need is great")
			check(p.window%time.Second == 0, "a lifetime is whole seconds")
			for _, fresh := range []time.Duration{p.first, p.second, p.third, p.fifth, p.calm} {
				check(fresh >= time.Second && fresh%time.Second == 0, "a token is fresh for whole seconds")
			}
			// What has to be over while the fourth token is fresh.
			check(p.calm > 2*p.beat+p.lease, "the rotation comes before the token is due")
			fair := p.first + p.second + p.lease + p.third + p.retry + p.fifth + 4*p.beat
			check(fair <= max(d, time.Duration(replicas)*60*time.Millisecond)+4*time.Second+p.lease, "the demo takes much longer than it should")
		}
	}
}

func TestPace(t *testing.T) {
	for _, row := range []struct {
		replicas int
		want     float64
	}{{1, 25}, {20, 25}, {24, 25}, {60, 10}, {500, 1.2}} {
		if got := paceOf(row.replicas); got != row.want {
			t.Errorf("%d replicas: got %v calls a second each, want %v", row.replicas, got, row.want)
		}
	}
}
