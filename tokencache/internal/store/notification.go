package store

import (
	"bytes"
	"strconv"
)

// released is the notification that the lease is free. The other kind carries a record:
// "token <id> <issued> <expires> <now> <record>", made by commit.lua.
const released = "look"

// A Notification is a message on a client's channel. It is a hint: a replica that misses
// it finds out a little later.
type Notification struct {
	TokenID string // of the record it carries; empty: it says that the lease is free
	Now     int64  // when it was published, by the clock of Redis, Unix milliseconds

	issued, expires string
	sealed          []byte
}

// ParseNotification reads a message. It returns false if it is not a notification.
func ParseNotification(message []byte) (Notification, bool) {
	if string(message) == released {
		return Notification{}, true
	}
	fields := bytes.SplitN(message, []byte(" "), 6)
	if len(fields) != 6 || string(fields[0]) != "token" || len(fields[1]) == 0 || len(message) > 2*MaxRecordSize {
		return Notification{}, false
	}
	now, err := strconv.ParseInt(string(fields[4]), 10, 64)
	if err != nil || now <= 0 {
		return Notification{}, false
	}
	return Notification{TokenID: string(fields[1]), Now: now, issued: string(fields[2]), expires: string(fields[3]), sealed: fields[5]}, true
}

// Released reports whether n says that the lease is free.
func (n Notification) Released() bool { return n.TokenID == "" }

// Record returns the record that n carries. It returns false if t cannot read it.
func (n Notification) Record(t *Token) (Record, bool) {
	s := t.Open(n.issued, n.expires, n.sealed, n.Now, 0)
	if s.Record == nil {
		return Record{}, false
	}
	return *s.Record, true
}
