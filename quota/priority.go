package quota

import "strconv"

// A Priority says how badly a token is needed. The less it is, the more of the
// quota must be left for others.
type Priority int

const (
	// Need: there is no valid token anywhere. It may take the last one, and if
	// the server was never seen to enforce the quota, even ask for one more.
	Need Priority = iota

	// Expiring: the token is about to expire. It leaves one token of a bucket
	// of five or more for Need.
	Expiring

	// Early: the token is renewed ahead of time. It leaves a fifth of every
	// bucket, and at least one token. A refused early renewal is no harm: ask
	// again when it is Expiring.
	Early

	// Forced: a token that is still valid is replaced, because an API refused
	// it or an operator asked. It leaves as much as Expiring, and has a budget
	// of its own: a tenth of every bucket, and at least one. So an API that
	// refuses every token cannot burn the quota.
	Forced
)

// String returns the priority's name.
func (p Priority) String() string {
	if !p.valid() {
		return "priority(" + strconv.Itoa(int(p)) + ")"
	}
	return [...]string{"need", "expiring", "early", "forced"}[p]
}

func (p Priority) valid() bool { return p >= Need && p <= Forced }
