package quota

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file is about what the ledger has denied to others, for those who are about
// to ask for the same.

// DeniedField returns the field of the ledger's hash that tells what was denied
// last to a priority, and [ParseDenied] reads its value. They are for those who are
// about to ask, and see it in the same round trip as something else: whoever would
// be denied the same need not ask, nor take a lease to do so.
//
// It applies to attempts that have the Scope of the error. Ledgers that differ in
// Options.Enforced have fields of their own, since what one denies the other may
// grant. It is valid only while no request or
// report is outstanding: what was counted may be taken back.
func (l *Ledger) DeniedField(p Priority) string {
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

// ParseDenied reads the value of a [Ledger.DeniedField], given the time of the Redis
// server in Unix milliseconds, and when this host received it. It returns false if
// nothing was denied, or is not any more, or if the value says what cannot be: the
// clock of Redis may have been set back since.
func ParseDenied(p Priority, value string, now int64, received time.Time) (*DeniedError, bool) {
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
