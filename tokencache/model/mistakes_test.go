package model

// mistakes are what somebody's build got wrong. Without any, the model is the
// protocol as it is meant.
type mistakes struct {
	noSecondLook    bool // under the lease, it does not look again
	fence           bool // the holder of the lease writes over what is there
	releaseAnyones  bool // the lease is given back whoever has it
	lastWriterWins  bool // whoever writes, writes over what is there
	orderByCount    bool // records are ordered by the count of forced renewals before them
	keepBack        bool // nobody gives back what Redis has lost
	errorIsHeld     bool // an error of Redis is taken for a lease that somebody holds
	errorIsNone     bool // an error of Redis is taken for a fleet without a token
	forgetBlocks    bool // replicas keep no copy of a block
	noFloor         bool // nothing asks whether a record was issued before the floor
	retryUnderLease bool // an answer that was lost is asked for again, at once
	liveFromAnswer  bool // a token's life counts from the answer

	liftToFloor      bool // a token asked for past Redis counts as issued at the floor, if it was before
	anyOtherToken    bool // a rotation is over with any token but the one that the replica had
	borrowedRotation bool // a rotation that somebody else's renewal has answered leaves no floor
	answerIsNewest   bool // an answer counts as issued after what was heard of meanwhile
	pastIsNewest     bool // so does one that was asked for past Redis
}
