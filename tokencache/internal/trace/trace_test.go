package trace

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, row := range []struct {
		name, events string
		wrong        string // the event that may not follow; empty: none
	}{
		{"nothing", "", ""},
		{"another replica has renewed", "TakeReports Fetched:Done", ""},
		{"a renewal", "TakeReports Fetched:Renew LeaseTaken Fetched:Renew HeldBack:false Request:true Admitted Issued Reported Committed LeaseReleased Published", ""},
		{"stopped in a renewal", "TakeReports Fetched:Renew LeaseTaken Fetched:Renew", ""},
		{"two refreshes", "TakeReports Fetched:Wait LeaseHeld TakeReports Reported Reported QueueReports Fetched:Done", ""},
		{"a refusal", "TakeReports Fetched:Renew LeaseTaken Fetched:Renew HeldBack:false Request:true Admitted Reported RequestFailed LeaseReleased Published", ""},
		{"too short a lease", "TakeReports Fetched:Renew LeaseTaken Fetched:Renew RedisFailed:false LeaseReleased TakeReports", ""},
		{"without Redis", "RedisFailed:true RequestBeyondRedis:true Request:true QueueReports Issued TakeReports Reported Fetched:WriteBack WroteBack:Done", ""},
		{"no fetch under the lease", "TakeReports Fetched:Renew LeaseTaken Request:true", "Request:true"},
		{"not admitted", "TakeReports Fetched:Renew LeaseTaken Fetched:Renew HeldBack:false Request:true Issued", "Issued"},
		{"the lease is kept", "TakeReports Fetched:Renew LeaseTaken Fetched:Done TakeReports", "TakeReports"},
		{"the lease is released before the commit", "TakeReports Fetched:Renew LeaseTaken Fetched:Renew HeldBack:false Request:true Admitted Issued LeaseReleased", "LeaseReleased"},
		{"published before the release", "TakeReports Fetched:Renew LeaseTaken Fetched:Done Published", "Published"},
		{"an unknown event", "TakeReports Slept", "Slept"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := Check(strings.Fields(row.events))
			if row.wrong == "" && err != nil || row.wrong != "" && (err == nil || !strings.Contains(err.Error(), row.wrong+" may not follow")) {
				t.Errorf("got %v, want an error about %q", err, row.wrong)
			}
		})
	}
}

// Two tokens of one client take turns under one lease.
func TestChecker(t *testing.T) {
	var c Checker
	for _, step := range []struct {
		event string
		ids   []int
	}{
		{"TakeReports", []int{0, 1}}, {"Fetched:Renew", []int{0}}, {"Fetched:Renew", []int{1}}, {"LeaseTaken", []int{0, 1}},
		{"Fetched:Renew", []int{0}}, {"Fetched:Done", []int{1}}, {"HeldBack:true", []int{0}},
		{"LeaseReleased", []int{0, 1}}, {"Published", []int{0, 1}},
	} {
		if err := c.Step(step.event, step.ids...); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Step("Fetched:Done", 1); err == nil {
		t.Error("a fetch without a refresh: got no error")
	}
}

// The table is an automaton: no event leads to two states, and every state is reached.
func TestRows(t *testing.T) {
	reached := map[State]bool{Idle: true}
	seen := make(map[Row]bool)
	for _, row := range Rows {
		reached[row.To] = true
		row.To = 0
		if seen[row] {
			t.Errorf("two rows for %s in %s", row.Event, row.From)
		}
		seen[row] = true
	}
	for s := range states {
		if !reached[s] || s.String() == "" {
			t.Errorf("state %d, %q, is not reached", s, s)
		}
	}
}
