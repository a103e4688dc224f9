package quota

import "time"

// A Snapshot is what a replica has to know before it asks for an admission: it need not
// ask, nor take a lease to do so, if it would be denied. It is read in the same
// round trip as something else; see [Ledger.SnapshotFields].
type Snapshot struct {
	// Blocked are the blocks of the scopes that were asked for.
	Blocked []Blocked

	// Denied is what was denied last, to each priority. It applies to attempts that have
	// the Scope of the error. It is valid only while no request and no report is
	// outstanding: what was counted may be taken back.
	Denied []*DeniedError
}

// SnapshotFields returns the fields of the ledger's hash, at the key of the ledger, that
// [ParseSnapshot] reads. Ledgers that differ in Options.Enforced have fields of their own,
// since what one denies the other may grant.
func (l *Ledger) SnapshotFields(scopes ...Scope) []string {
	fields := make([]string, 0, len(scopes)+len(priorities))
	for _, scope := range scopes {
		fields = append(fields, blockField(scope))
	}
	for _, p := range priorities {
		fields = append(fields, l.deniedField(p))
	}
	return fields
}

// ParseSnapshot reads the values of [Ledger.SnapshotFields] for the same scopes, "" for
// those that are missing. The time of the Redis server is now, in Unix milliseconds, and
// this host received the values at received. A value that cannot be read counts as missing,
// and so do values that are missing at the end.
func ParseSnapshot(scopes []Scope, values []string, now int64, received time.Time) (s Snapshot) {
	value := func(i int) string {
		if i < len(values) {
			return values[i]
		}
		return ""
	}
	for i, scope := range scopes {
		if b, ok := parseBlock(scope, value(i), now); ok {
			s.Blocked = append(s.Blocked, b)
		}
	}
	for i, p := range priorities {
		if denied, ok := parseDenied(p, value(len(scopes)+i), now, received); ok {
			s.Denied = append(s.Denied, denied)
		}
	}
	return s
}

// priorities are all of them, in the order of a snapshot.
var priorities = []Priority{Need, Expiring, Early, Forced}
