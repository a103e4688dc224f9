package quota

import "time"

// What the scripts call MAX_BLOCK, SLACK, STICKY and so on, in milliseconds.
const (
	maxBlock = int64(24 * time.Hour / time.Millisecond)
	slack    = int64(5 * time.Minute / time.Millisecond)
	sticky   = 7 * maxBlock
	guard    = 2000

	probeEvery  = int64(5 * time.Minute / time.Millisecond)
	forcedEvery = int64(15 * time.Minute / time.Millisecond)
)
