package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/view"
	"github.com/fleettoken/fleettoken/quota"
)

// tidings says in plain words what an event means, if it is worth telling. What
// twenty replicas do alike is not: whoever tells the story sums it up.
func tidings(name string, e Event) (view.Event, bool) {
	switch e.Event {
	case EventAsking:
		return view.Event{Kind: view.News, Text: name + " asks the endpoint for a token"}, true
	case EventRequested:
		if e.Error != "" {
			return view.Event{Kind: view.Fault, Text: fmt.Sprintf("%s got none: %s", name, brief(e))}, true
		}
		return view.Event{Kind: view.News, Text: fmt.Sprintf("%s got a token for %s in %.0f ms%s",
			name, span(time.Duration(e.LifeMS)*time.Millisecond), e.TookMS, leftOf(e.Quota))}, true
	case eventDied:
		return view.Event{Kind: view.Failure, Text: name + " has ended, and nobody knows why: " + e.Error}, true
	}
	return view.Event{}, false
}

// brief says how a token request failed.
func brief(e Event) string {
	if e.Status == 0 {
		return "no answer came"
	}
	return fmt.Sprintf("the endpoint answered %d", e.Status)
}

// leftOf says what a quota header leaves.
func leftOf(header string) string {
	limits, _ := quota.ParseLimits(header)
	var parts []string
	for _, l := range limits {
		if l.HasRemaining {
			parts = append(parts, fmt.Sprintf("%d %s", l.Remaining, when(l.Bucket)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "; left: " + strings.Join(parts, ", ")
}

// when says which window a bucket's is.
func when(bucket string) string {
	switch bucket {
	case quota.PerHour:
		return "this hour"
	case quota.PerDay:
		return "today"
	}
	return bucket
}
