package model

// mistakes are what a shell could get wrong, or Redis. Without any, it is the one that
// ships. What the core could get wrong is planted into its code, by e2e/planted.
type mistakes struct {
	noSecondFetch    bool // under the lease, it does not fetch again
	fence            bool // the holder of the lease writes over what is there
	releaseAnyones   bool // the lease is given back whoever has it
	lastWriterWins   bool // whoever writes, writes over what is there
	errorIsHeld      bool // an error of Redis is taken for a lease that another replica holds
	errorIsNone      bool // an error of Redis is taken for a fleet without a token
	retryUnderLease  bool // an answer that was lost is requested again, at once
	anyOtherToken    bool // a rotation is over with any token but the one that the replica had
	borrowedRotation bool // a rotation that another replica's renewal ends does not bound what is adopted
}

// A planted mistake, the smallest world in which it shows, and the promise that it breaks.
type planted struct {
	name   string
	wrong  mistakes
	world  limits
	breaks promise
}

// plants are mistakes that must not be made.
var plants = []planted{
	{"no fetch under the lease", mistakes{noSecondFetch: true},
		limits{replicas: 2}, requestsBounded},
	{"the lease as a fence, instead of the newest record", mistakes{fence: true},
		limits{replicas: 2, faults: [faults]uint8{leaseLost: 1}}, storeNeverBack},
	{"the lease is given back without a look at its owner", mistakes{releaseAnyones: true},
		limits{replicas: 3, faults: [faults]uint8{leaseLost: 1, evicted: 1}}, oneInFlight},
	{"the last writer wins", mistakes{lastWriterWins: true},
		limits{replicas: 3, faults: [faults]uint8{evicted: 1}}, storeNeverBack},
	{"an error of Redis is taken for a held lease", mistakes{errorIsHeld: true},
		limits{replicas: 2, faults: [faults]uint8{cutOff: 1}}, recovers},
	{"an error of Redis is taken for a fleet without a token", mistakes{errorIsNone: true},
		limits{replicas: 2, faults: [faults]uint8{cutOff: 1}}, oneInFlight},
	{"a lost answer is requested again under the lease, without limit", mistakes{retryUnderLease: true},
		limits{replicas: 2, faults: [faults]uint8{trouble: 1}}, blockHolds},
	{"a rotation is over with any other token", mistakes{anyOtherToken: true},
		limits{replicas: 2, faults: [faults]uint8{rotation_: 1, storeLost: 1}}, rotatedIsGone},
	{"a rotation with another replica's token does not bound what is adopted", mistakes{borrowedRotation: true},
		limits{replicas: 3, faults: [faults]uint8{rotation_: 1, evicted: 2}}, rotatedIsGone},
}
