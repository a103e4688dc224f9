package quota

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed journal.lua
var journalLua string

var journalScript = redis.NewScript(journalLua)

// An Entry of the journal is one attempt: which replica made it, why, and its outcome. In
// JSON its duration is in seconds.
type Entry struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"` // when it was admitted, by this host's clock
	By       string    `json:"by"`
	Reason   string    `json:"why"`
	For      string    `json:"for"`
	Priority string    `json:"priority"`

	// Outcome is empty if none was reported: the request is in progress, or its replica
	// died, or could not reach Redis. It counts as spent.
	Outcome string        `json:"outcome"`
	Status  string        `json:"status"`
	Header  string        `json:"header"` // the client's quota, as the answer had it
	Took    time.Duration `json:"-"`      // "took" in JSON
}

// maxAgo, a year in milliseconds, is longer than any token request takes to be reported.
const maxAgo = 366 * 24 * 3600 * 1000

// Journal returns the last attempts, newest first, at most n of them. It
// returns none if the ledger keeps no journal.
func (l *Ledger) Journal(ctx context.Context, n int) ([]Entry, error) {
	if len(l.keys) < 2 || n <= 0 {
		return nil, nil
	}
	n = min(n, 1<<20)
	reply, err := journalScript.Run(ctx, l.rdb, l.keys[1:], 2*n).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("quota: journal: %w", err)
	}
	entries, err := decodeJournal(reply, time.Now())
	if err != nil {
		return nil, err
	}
	return entries[:min(n, len(entries))], nil
}

// decodeJournal joins the events of each attempt. They come newest first, so an
// answer comes before its question.
func decodeJournal(reply []string, at time.Time) ([]Entry, error) {
	broken := func() ([]Entry, error) {
		return nil, fmt.Errorf("quota: journal: reply of %d fields is not one of journal.lua", len(reply))
	}
	if len(reply) == 0 {
		return broken()
	}
	now, err := strconv.ParseInt(reply[len(reply)-1], 10, 64)
	if err != nil {
		return broken()
	}
	var entries []Entry
	answers := make(map[string]map[string]string)
	again := make(map[string]bool) // attempts whose question was written again, with the answer
	for rest := reply[:len(reply)-1]; len(rest) > 0; {
		if len(rest) < 2 {
			return broken()
		}
		n, err := integers(rest[0], rest[1])
		if err != nil || n[1] < 0 || n[1] > int64(len(rest)-2)/2 {
			return broken()
		}
		event := make(map[string]string, n[1])
		for i := range int(n[1]) {
			event[rest[2+2*i]] = rest[3+2*i]
		}
		rest = rest[2+2*int(n[1]):]
		if event["event"] == "answered" {
			answers[event["id"]] = event
			continue
		}
		if again[event["id"]] { // the first one was not lost, but the ledger's memory of the attempt
			continue
		}
		again[event["id"]] = event["ago"] != ""
		answer := answers[event["id"]]
		took, _ := strconv.ParseInt(answer["took"], 10, 64)
		ago, _ := strconv.ParseInt(event["ago"], 10, 64)
		entries = append(entries, Entry{
			ID: event["id"], At: at.Add(time.Duration(n[0]-now-min(max(ago, 0), maxAgo)) * time.Millisecond),
			By: event["by"], Reason: event["why"], For: event["for"], Priority: event["priority"],
			Outcome: answer["outcome"], Status: answer["status"], Header: answer["header"],
			Took: time.Duration(took) * time.Millisecond,
		})
	}
	return entries, nil
}
