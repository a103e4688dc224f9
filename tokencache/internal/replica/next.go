package replica

import "time"

// Next returns the tokens that want a refresh now, and when the first of the others
// does, by the monotonic clock. The time is zero if none does.
func (s *State) Next(now Instant) (due []int, at time.Duration) {
	for id := range s.Tokens {
		when, any := s.Tokens[id].Due(now)
		switch {
		case !any:
		case when <= now.Mono:
			due = append(due, id)
		case at == 0 || when < at:
			at = when
		}
	}
	return due, at
}
