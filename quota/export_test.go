package quota

import "time"

// For the tests of what others read in the same round trip.

func ParseDenied(p Priority, value string, now int64, received time.Time) (*DeniedError, bool) {
	return parseDenied(p, value, now, received)
}

func (l *Ledger) DeniedField(p Priority) string { return l.deniedField(p) }
