package quota

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// This file is about JSON, in which durations are numbers of seconds.

// seconds is a duration that is a number of seconds in JSON, to the millisecond.
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Round(time.Millisecond).Seconds(), 'f', -1, 64), nil
}

func (s *seconds) UnmarshalJSON(data []byte) error {
	var f float64
	err := json.Unmarshal(data, &f)
	*s = seconds(math.Round(f*1000)) * seconds(time.Millisecond)
	return err
}

// The same types without methods, and with their durations beside them.
type (
	plainBlocked Blocked
	plainWindow  Window
	plainEntry   Entry

	blockedJSON struct {
		plainBlocked
		Remaining seconds `json:"left"`
	}
	windowJSON struct {
		plainWindow
		Remaining seconds `json:"left"`
	}
	entryJSON struct {
		plainEntry
		Took seconds `json:"took"`
	}
)

// MarshalJSON returns the block with its duration in seconds.
func (b Blocked) MarshalJSON() ([]byte, error) {
	return json.Marshal(blockedJSON{plainBlocked(b), seconds(b.Remaining)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *Blocked) UnmarshalJSON(data []byte) error {
	var j blockedJSON
	err := json.Unmarshal(data, &j)
	*b = Blocked(j.plainBlocked)
	b.Remaining = time.Duration(j.Remaining)
	return err
}

// MarshalJSON returns the window with its duration in seconds.
func (w Window) MarshalJSON() ([]byte, error) {
	return json.Marshal(windowJSON{plainWindow(w), seconds(w.Remaining)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (w *Window) UnmarshalJSON(data []byte) error {
	var j windowJSON
	err := json.Unmarshal(data, &j)
	*w = Window(j.plainWindow)
	w.Remaining = time.Duration(j.Remaining)
	return err
}

// MarshalJSON returns the entry with its duration in seconds.
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal(entryJSON{plainEntry(e), seconds(e.Took)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *Entry) UnmarshalJSON(data []byte) error {
	var j entryJSON
	err := json.Unmarshal(data, &j)
	*e = Entry(j.plainEntry)
	e.Took = time.Duration(j.Took)
	return err
}
