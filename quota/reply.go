package quota

import (
	"fmt"
	"strconv"
	"time"
)

func decodeAdmit(reply []string, p Priority, received time.Time) (Admission, error) {
	if len(reply) == 3 && reply[0] == "admitted" {
		now, err := strconv.ParseInt(reply[1], 10, 64)
		if err == nil {
			return Admission{Now: now, Probe: reply[2] == "1"}, nil
		}
	}
	if len(reply) == 9 && reply[0] == "denied" {
		n, err := integers(reply[1], reply[5], reply[6], reply[7], reply[8])
		if err == nil {
			left := time.Duration(n[3]-n[0]) * time.Millisecond
			return Admission{}, &DeniedError{
				Scope: Scope(reply[2]), Reason: Reason(reply[3]), Priority: p,
				Bucket: reply[4], Quota: n[1], Used: n[2], Count: int(n[4]),
				RetryIn: left, RetryAt: received.Add(left),
			}
		}
	}
	return Admission{}, fmt.Errorf("quota: admit: reply %q is not one of admit.lua", reply)
}

func decodeObserve(reply []string, err error) ([]Blocked, error) {
	if err != nil {
		return nil, fmt.Errorf("quota: observe: %w", err)
	}
	if len(reply) < 2 || len(reply)%4 != 2 {
		return nil, fmt.Errorf("quota: observe: reply %q is not one of observe.lua", reply)
	}
	var blocks []Blocked
	for i := 2; i < len(reply); i += 4 {
		n, err := integers(reply[1], reply[i+2], reply[i+3])
		if err != nil {
			return nil, fmt.Errorf("quota: observe: %w", err)
		}
		blocks = append(blocks, Blocked{
			Scope: Scope(reply[i]), Reason: Reason(reply[i+1]),
			Remaining: time.Duration(n[1]-n[0]) * time.Millisecond, Count: int(n[2]),
		})
	}
	return blocks, nil
}
