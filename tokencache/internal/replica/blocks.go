package replica

import (
	"slices"
	"time"

	"github.com/fleettoken/fleettoken/quota"
)

// block returns the copy for a scope, and nil if there is none.
func (s *State) block(scope quota.Scope) *Block {
	for i := range s.Blocks {
		if s.Blocks[i].Denied.Scope == scope {
			return &s.Blocks[i]
		}
	}
	return nil
}

// keepBlock keeps a copy of a block, unless the known one lasts longer.
func (s *State) keepBlock(now Instant, denied quota.DeniedError) {
	until := now.Mono + denied.RetryIn
	known := s.block(denied.Scope)
	if known != nil && known.Until > until {
		return
	}
	s.setBlock(Block{denied, until})
	s.expectBurst(until)
}

func (s *State) setBlock(b Block) {
	b.Denied.RetryIn, b.Denied.RetryAt = 0, time.Time{} // Until says it
	if known := s.block(b.Denied.Scope); known != nil {
		*known = b
		return
	}
	s.Blocks = append(s.Blocks, b)
}

// mergeBlocks keeps copies of the fleet's blocks.
func (s *State) mergeBlocks(now Instant, blocked []quota.Blocked) {
	for _, b := range blocked {
		s.keepBlock(now, quota.DeniedError{Scope: b.Scope, Reason: b.Reason, Count: b.Count, RetryIn: b.Remaining})
	}
}

// addLocalBlocks sets blocks that the fleet does not have: Redis could not store
// them, or another replica has yet to meet the same trouble. It returns when the
// last of them ends.
func (s *State) addLocalBlocks(now Instant, blocks []quota.Block, random float64) time.Duration {
	last := now.Mono
	for _, b := range blocks {
		mine := Block{Denied: quota.DeniedError{Scope: b.Scope, Reason: b.Reason}}
		if known := s.block(b.Scope); known != nil {
			mine.Denied.Count, mine.Until = known.Denied.Count, known.Until
		}
		if mine.Until <= now.Mono {
			mine.Denied.Count++
			wait := b.Backoff(mine.Denied.Count)
			mine.Until = now.Mono + wait + part(min(wait/10, 30*time.Second), random)
			s.setBlock(mine)
		}
		last = max(last, mine.Until)
	}
	return last
}

// dropBlocks forgets the blocks that a success has disproved.
func (s *State) dropBlocks(scopes []quota.Scope) {
	s.Blocks = slices.DeleteFunc(s.Blocks, func(b Block) bool { return slices.Contains(scopes, b.Denied.Scope) })
}

// Blocked returns the block that holds back a token longest, and nil if none does.
func (s *State) Blocked(now Instant, id int) *quota.DeniedError {
	var longest Block
	for _, scope := range s.Tokens[id].Scopes {
		if b := s.block(scope); b != nil && b.Until > longest.Until {
			longest = *b
		}
	}
	left := longest.Until - now.Mono
	if left <= 0 {
		return nil
	}
	denied := longest.Denied
	denied.RetryIn, denied.RetryAt = left, s.wall(now, left)
	return &denied
}

// expectBurst notes that replicas that were blocked together retry together: their
// requests are throttled for a minute after from.
func (s *State) expectBurst(from time.Duration) {
	s.BurstUntil = max(s.BurstUntil, from+time.Minute)
}

// Throttle returns how long a lease holder that sent a token request at sent keeps
// the lease, so that the fleet sends at most two in a second. It is zero but in a
// burst. It is zero also if a block holds back the whole client: then no replica
// sends one next, and all should hear of the block.
func (s *State) Throttle(now, sent Instant) time.Duration {
	if now.Mono >= s.BurstUntil {
		return 0
	}
	for _, whole := range []quota.Scope{quota.Client, quota.Tenant} {
		if b := s.block(whole); b != nil && b.Until > now.Mono {
			return 0
		}
	}
	return max(0, sent.Mono+500*time.Millisecond-now.Mono)
}
