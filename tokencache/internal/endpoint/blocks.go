package endpoint

import (
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// failed returns the verdict on a request that brought no token.
func failed(class Class, outcome quota.Outcome, detail string, b quota.Block) Verdict {
	return Verdict{Class: class, Outcome: outcome, Detail: detail, Blocks: []quota.Block{b}}
}

// short is a block for trouble that passes by itself: a second, doubled each
// time, up to a minute.
func short(scope quota.Scope, class Class) quota.Block {
	return quota.Block{Scope: scope, Reason: quota.Reason(class), Base: time.Second, Cap: time.Minute}
}

// unsure is a block for trouble in which a token may be issued each time, and
// counts as spent: a second, doubled each time, up to five minutes. So an hour of
// it spends less than the quota of an hour.
func unsure(class Class) quota.Block {
	return quota.Block{Scope: quota.Tenant, Reason: quota.Reason(class), Base: time.Second, Cap: 5 * time.Minute}
}

// lasting is a block for trouble that a person has to end: half a minute,
// doubled each time, up to five.
func lasting(scope quota.Scope, class Class) quota.Block {
	return quota.Block{Scope: scope, Reason: quota.Reason(class), Base: 30 * time.Second, Cap: 5 * time.Minute}
}

func quotaBlock(scope quota.Scope, wait time.Duration, said bool) quota.Block {
	b := quota.Block{Scope: scope, Reason: quota.QuotaExceeded, Base: time.Minute, Cap: time.Hour}
	if said {
		b.Wait = wait
	}
	return b
}
