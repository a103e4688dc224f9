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

	// Those that this package made, until the model found them.
	liftToFloor      bool // a token asked for past Redis counts as issued at the floor, if it was before
	anyOtherToken    bool // a rotation is over with any token but the one that the replica had
	borrowedRotation bool // a rotation that somebody else's renewal has answered leaves no floor
	answerIsNewest   bool // an answer counts as issued after what was heard of meanwhile
	pastIsNewest     bool // so does one that was asked for past Redis
}

// A planted mistake, the smallest world in which it shows, and the promise that
// it breaks.
type planted struct {
	name   string
	wrong  mistakes
	world  limits
	breaks promise
}

// plants are mistakes that nobody is to make.
var plants = []planted{
	{"no look under the lease", mistakes{noSecondLook: true},
		limits{replicas: 2}, requestsBounded},
	{"the lease as a fence, instead of the newest record", mistakes{fence: true},
		limits{replicas: 2, faults: [faults]uint8{leaseLost: 1}}, storeNeverBack},
	{"the lease is given back without a look at its owner", mistakes{releaseAnyones: true},
		limits{replicas: 3, faults: [faults]uint8{leaseLost: 1, evicted: 1}}, oneInFlight},
	{"the last writer wins", mistakes{lastWriterWins: true},
		limits{replicas: 3, faults: [faults]uint8{evicted: 1}}, storeNeverBack},
	{"the order of records is a count that is lost with the data", mistakes{orderByCount: true},
		limits{replicas: 2, faults: [faults]uint8{rotation: 1, storeLost: 1}}, neverBack},
	{"nobody gives back what Redis has lost", mistakes{keepBack: true},
		limits{replicas: 2, faults: [faults]uint8{storeLost: 1}}, recoversAtNoCost},
	{"an error of Redis is taken for a held lease", mistakes{errorIsHeld: true},
		limits{replicas: 2, faults: [faults]uint8{cutOff: 1}}, recovers},
	{"an error of Redis is taken for a fleet without a token", mistakes{errorIsNone: true},
		limits{replicas: 2, faults: [faults]uint8{cutOff: 1}}, oneInFlight},
	{"a replica keeps no copy of a block", mistakes{forgetBlocks: true},
		limits{replicas: 2, faults: [faults]uint8{trouble: 1, storeLost: 1}}, blockHolds},
	{"nothing asks for the floor", mistakes{noFloor: true},
		limits{replicas: 3, faults: [faults]uint8{rotation: 1, evicted: 1}}, rotatedIsGone},
	{"a lost answer is asked for again under the lease, without limit", mistakes{retryUnderLease: true},
		limits{replicas: 2, faults: [faults]uint8{trouble: 1}}, blockHolds},
	{"a token's life counts from the answer", mistakes{liveFromAnswer: true},
		limits{replicas: 2, ticks: 4}, neverExpired},
	{"a token asked for past Redis is lifted to the floor", mistakes{liftToFloor: true},
		limits{replicas: 2, faults: [faults]uint8{cutOff: 1, direct: 1, rotation: 1, shortening: 1}}, rotatedIsGone},
	{"a rotation is over with any other token", mistakes{anyOtherToken: true},
		limits{replicas: 2, faults: [faults]uint8{rotation: 1, storeLost: 1}}, rotatedIsGone},
	{"a rotation with another one's token leaves no floor", mistakes{borrowedRotation: true},
		limits{replicas: 3, ticks: 2, faults: [faults]uint8{rotation: 1, evicted: 1}}, rotatedIsGone},
	{"an answer outranks what was heard of meanwhile", mistakes{answerIsNewest: true},
		limits{replicas: 2, faults: [faults]uint8{leaseLost: 1, rotation: 1}}, rotatedIsGone},
	{"an answer from past Redis replaces what was heard of meanwhile", mistakes{pastIsNewest: true},
		limits{replicas: 2, faults: [faults]uint8{cutOff: 1, direct: 1}}, neverBack},
}
