package quota

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// deniedField returns the field of the ledger's hash that holds what was denied last to a
// priority.
func (l *Ledger) deniedField(p Priority) string {
	if l.enforced == "1" {
		return "d:" + p.String() + ":enforced"
	}
	return "d:" + p.String()
}

// reasons are those for which the ledger denies something to each priority.
var reasons = map[Priority][]Reason{
	Need:     {Spent, Probing},
	Expiring: {Spent, Probing, Reserve},
	Early:    {Reserve},
	Forced:   {ForcedSpent, Reserve},
}

// parseDenied reads the value of a deniedField, given the time of the Redis server in Unix
// milliseconds, and when this host received it. It returns false if nothing was denied, if
// it may be granted now, or if the value cannot be true: the clock of Redis may have been
// set back since.
func parseDenied(p Priority, value string, now int64, received time.Time) (*DeniedError, bool) {
	reply := append([]string{"denied", strconv.FormatInt(now, 10)}, strings.Split(value, " ")...)
	_, err := decodeAdmit(reply, p, received)
	denied, ok := errors.AsType[*DeniedError](err)
	if !ok || !denied.Scope.valid() || !slices.Contains(reasons[p], denied.Reason) || denied.Count != 0 {
		return nil, false
	}
	until, err := strconv.ParseInt(reply[7], 10, 64)
	longest := maxBlock + slack + guard + maxJitter.Milliseconds()
	switch length := Length(denied.Bucket); {
	case denied.Bucket == "" && denied.Reason == ForcedSpent:
		longest = forcedEvery
	case denied.Reason == Probing:
		longest = probeEvery
	case length > 0:
		longest -= maxBlock - length.Milliseconds()
	}
	if err != nil || len(reply[7]) > 15 || until <= now || until-now > longest {
		return nil, false
	}
	if denied.Bucket == "" {
		return denied, denied.Reason == ForcedSpent && denied.Quota == 0 && denied.Used == 0
	}
	name, ok := parseName(denied.Bucket)
	spent := denied.Used >= denied.Quota || denied.Reason == Reserve || denied.Reason == ForcedSpent
	return denied, ok && name == denied.Bucket && min(denied.Quota, denied.Used) >= 0 && spent
}
