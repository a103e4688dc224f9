package model

// small are the worlds for every day, and big those for whoever changes the protocol. Few
// faults at a time, and every pair of them that can meet.
var (
	small = []limits{
		{"leases and data are lost", 2, 2, [faults]uint8{leaseLost: 1, storeLost: 1}},
		{"three replicas", 3, 0, [faults]uint8{leaseLost: 1, evicted: 1}},
		{"trouble", 2, 1, [faults]uint8{trouble: 1, storeLost: 1}},
		{"trouble, and Redis is unreachable", 2, 1, [faults]uint8{trouble: 1, cutOff: 1, direct: 1}},
		{"a rotation", 2, 0, [faults]uint8{rotation_: 1, storeLost: 1, evicted: 1}},
		{"Redis is unreachable", 2, 0, [faults]uint8{cutOff: 1, direct: 1, rotation_: 1}},
		{"Redis is unreachable, and leases are lost", 2, 0, [faults]uint8{crash: 1, leaseLost: 1, cutOff: 1, direct: 1}},
		{"slow replies", 2, 1, [faults]uint8{slow: 1, cutOff: 1, direct: 1}},
		{"slow replies, and leases are lost", 2, 0, [faults]uint8{slow: 1, leaseLost: 1, rotation_: 1}},
		{"lost replies", 2, 1, [faults]uint8{replyLost: 1, cutOff: 1, direct: 1}},
		{"lives", 2, 4, [faults]uint8{shortening: 1}},
		{"refused tokens", 2, 1, [faults]uint8{invalidation: 1, exhausted: 1}},
	}
	big = []limits{
		{"leases are lost", 3, 0, [faults]uint8{leaseLost: 2, evicted: 1}},
		{"leases are lost, and lives", 2, 3, [faults]uint8{leaseLost: 1, crash: 1}},
		{"data is lost", 3, 0, [faults]uint8{storeLost: 1, crash: 1}},
		{"four replicas", 4, 0, [faults]uint8{leaseLost: 1}},
		{"trouble", 3, 0, [faults]uint8{trouble: 1, storeLost: 1}},
		{"trouble, and Redis is unreachable", 2, 1, [faults]uint8{trouble: 1, cutOff: 1, direct: 1, crash: 1}},
		{"a rotation, and leases and data are lost", 2, 1, [faults]uint8{rotation_: 1, leaseLost: 1, storeLost: 1}},
		{"a rotation, and Redis is unreachable", 2, 1, [faults]uint8{rotation_: 1, cutOff: 1, direct: 1, shortening: 1}},
		{"a rotation, a restart, and Redis is unreachable", 2, 0, [faults]uint8{rotation_: 1, cutOff: 1, direct: 1, evicted: 1, crash: 1}},
		{"two rotations", 2, 0, [faults]uint8{rotation_: 2, leaseLost: 1, storeLost: 1}},
		{"a rotation among three", 3, 0, [faults]uint8{rotation_: 1, evicted: 1}},
		{"slow replies", 2, 1, [faults]uint8{slow: 1, leaseLost: 1, rotation_: 1}},
		{"lost replies", 3, 0, [faults]uint8{replyLost: 1, exhausted: 1, invalidation: 1}},
		{"lives", 2, 4, [faults]uint8{cutOff: 1, shortening: 1}},
	}
)

// tries reports whether a promise is put to the test in a world: whether what might break
// it can happen there.
func (l limits) tries(p promise) bool {
	f := &l.faults
	switch p {
	case none:
		return false
	case oneInFlight:
		return f[leaseLost]+f[storeLost]+f[crash]+f[replyLost] > 0
	case storeNeverBack, neverBack:
		return f[leaseLost]+f[storeLost]+f[evicted]+f[cutOff] > 0
	case neverExpired:
		return l.ticks > 0
	case blockHolds:
		return f[trouble] > 0
	case rotatedIsGone:
		return f[rotation_] > 0
	case recoversAtNoCost:
		return f[storeLost]+f[evicted]+f[cutOff] > 0
	default:
		return true
	}
}
