package model

import (
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/trace"
)

// This file is coldstart.go of package tokencache: the first refresh of a replica.

// probes is the first refresh of a replica: the fleet has no token.
func (t *turn) probes() {
	t.apply(func(s *replica.State) { s.Probed(0, s.Listening()) })
	if t.w.leased {
		t.event("Probed:held")
		t.leaseHeld(lease)
		return
	}
	t.event("Probed:free")
	t.p.early.cold = true
}

// obtainsCold takes the lease, fetches, and asks the ledger in one round trip. The ledger
// admits the request only if the lease is taken and there is no record.
func (t *turn) obtainsCold() {
	switch {
	case t.p.cut:
		t.verb = findsRedisDown
		t.coldFailed()
	case t.w.leased:
		t.verb = standsBy
		t.p.early = early{}
		t.apply(func(s *replica.State) { s.Contended(0) })
		t.leaseHeld(lease / 2)
	case t.x.wrong.noSecondFetch:
		t.takes()
		t.p.early, t.p.at = early{}, trace.LeasedNeeding
	default:
		t.takes()
		t.reads()
		if !t.w.has() {
			t.p.early.denied = t.w.admit(quota.Need)
			if t.p.early.denied == nil {
				t.p.early.n, t.p.early.now = t.w.seq, millis(t.w.requested())
			}
		}
	}
}

// coldFailed is an error of Redis in that round trip: it is not known what Redis did.
func (t *turn) coldFailed() {
	t.p.reading, t.p.lease, t.p.taken, t.p.robbed, t.p.early = false, false, 0, false, early{}
	t.apply(func(s *replica.State) { s.QueueReports(unsent) })
	t.redisFailed()
}

func (t *turn) receivesCold() {
	if t.p.cut {
		t.coldFailed()
		return
	}
	t.p.reading, t.p.early.at = false, t.w.now()
	t.event("LeaseTaken")
	t.fetched()
	t.takesBack()
}

// takesBack reports that a request was admitted with the lease, and is not sent.
func (t *turn) takesBack() {
	if t.p.at != trace.LeasedDone {
		return
	}
	if t.p.early.n != 0 && t.p.cut {
		t.apply(func(s *replica.State) { s.QueueReports(unsent) })
	} else if t.p.early.n != 0 {
		t.w.report(unsent)
		t.apply(func(s *replica.State) { s.Reported(t.w.now(), t.w.blocks()) })
	}
	t.p.early = early{}
}

// admittedEarly goes on with what the ledger answered when the lease was taken.
func (t *turn) admittedEarly(then then) {
	e := t.p.early
	t.p.early = early{}
	if e.denied != nil {
		t.denied(e.denied)
		return
	}
	t.admitted(e.n, e.now, e.at, then)
}
