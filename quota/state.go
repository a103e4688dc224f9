package quota

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A State is what a ledger knows.
type State struct {
	Windows []Window  `json:"windows"`
	Blocks  []Blocked `json:"blocks"`

	// Modes has the scopes of which it is known whether the server
	// enforces the quota: "enforced" or "advisory".
	Modes map[Scope]string `json:"modes,omitempty"`
}

// A Window is the current window of one bucket. In JSON its duration is in seconds.
type Window struct {
	Scope  Scope  `json:"scope"`
	Bucket string `json:"bucket"`

	Quota int64 `json:"quota"`

	// Server is the most the server has shown to be used in this window, and
	// Own is how many requests were counted here, before they were sent. Used
	// is what the ledger goes by: at least both, and one more for each request
	// since the server has shown its count. Server above Own means that
	// something outside the fleet uses the client.
	Server int64 `json:"server"`
	Own    int64 `json:"own"`
	Used   int64 `json:"used"`

	// Forced is how many of the requests were forced.
	Forced int64 `json:"forced"`

	// Resets is when the window ends by this host's clock, and Remaining how long that
	// is. A window that has ended is shown as the next one, not confirmed.
	Resets    time.Time     `json:"resets"`
	Remaining time.Duration `json:"-"` // "left" in JSON

	// Confirmed is true if a header of this very window was seen.
	Confirmed bool `json:"confirmed"`
}

// Free is how many tokens are left, by the ledger's account.
func (w Window) Free() int64 { return max(w.Quota-w.Used, 0) }

// Find returns the window of a scope's bucket.
func (s State) Find(scope Scope, bucket string) (Window, bool) {
	for _, w := range s.Windows {
		if w.Scope == scope && w.Bucket == bucket {
			return w, true
		}
	}
	return Window{}, false
}

// decodeState reads the reply of peek.lua, received when this host's clock
// showed at. Fields that cannot be read are left out, as the scripts do.
func decodeState(reply []string, at time.Time) (State, error) {
	s := State{Windows: []Window{}, Blocks: []Blocked{}} // for JSON, an empty list is not null
	if len(reply)%2 != 1 {
		return s, fmt.Errorf("quota: peek: reply of %d fields is not one of peek.lua", len(reply))
	}
	now, err := strconv.ParseInt(reply[0], 10, 64)
	if err != nil {
		return s, fmt.Errorf("quota: peek: %w", err)
	}
	for i := 1; i < len(reply); i += 2 {
		kind, name, _ := strings.Cut(reply[i], ":")
		switch kind {
		case "w":
			if w, ok := decodeWindow(name, reply[i+1], now, at); ok {
				s.Windows = append(s.Windows, w)
			}
		case "b":
			if b, ok := parseBlock(Scope(name), reply[i+1], now); ok {
				s.Blocks = append(s.Blocks, b)
			}
		case "m":
			mode, end, _ := strings.Cut(reply[i+1], " ")
			n, err := strconv.ParseInt(end, 10, 64)
			if err == nil && n > now && n-now <= sticky && (mode == "enforced" || mode == "advisory") {
				if s.Modes == nil {
					s.Modes = make(map[Scope]string)
				}
				s.Modes[Scope(name)] = mode
			}
		}
	}
	slices.SortFunc(s.Windows, func(a, b Window) int {
		if c := strings.Compare(string(a.Scope), string(b.Scope)); c != 0 {
			return c
		}
		return int(Length(a.Bucket) - Length(b.Bucket))
	})
	slices.SortFunc(s.Blocks, func(a, b Blocked) int { return strings.Compare(string(a.Scope), string(b.Scope)) })
	return s, nil
}

// decodeWindow believes what load_window and roll in the scripts believe.
func decodeWindow(name, value string, now int64, at time.Time) (Window, bool) {
	colon := strings.LastIndexByte(name, ':')
	n, err := integers(strings.Fields(value)...)
	foreign := strings.Trim(value, "0123456789- \t\n\v\f\r") != "" // which Go reads, and Lua does not
	if colon < 0 || foreign || err != nil || len(n) != 9 || slices.Max(n) > 9e15 || slices.Min(n) < -9e15 {
		return Window{}, false
	}
	end, length, open := n[0], n[1], n[7]
	w := Window{
		Scope: Scope(name[:colon]), Bucket: name[colon+1:],
		Quota: n[2], Server: n[3], Own: n[4], Used: n[5], Forced: n[6], Confirmed: n[8] > 0,
	}
	longest := length
	if longest == 0 {
		longest = maxBlock
	}
	switch {
	case length < 0 || length > maxBlock || end > now+longest+slack || open > end+guard+maxJitter.Milliseconds():
		return Window{}, false
	case w.Quota < 0 || w.Server < 0 || w.Own < 0 || w.Forced < 0 || n[8] < 0 || w.Used < max(w.Server, w.Own):
		return Window{}, false
	}
	if now >= open {
		if length == 0 {
			return Window{}, false
		}
		ago := (now - end) / length
		if now < end && (now-end)%length != 0 { // as math.floor does
			ago--
		}
		end += (ago + 1) * length
		w.Server, w.Own, w.Used, w.Forced, w.Confirmed = 0, 0, 0, 0, false
	}
	w.Remaining = time.Duration(end-now) * time.Millisecond
	w.Resets = at.Add(w.Remaining)
	return w, true
}
