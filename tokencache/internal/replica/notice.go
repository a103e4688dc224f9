package replica

import "github.com/fleettoken/fleettoken/quota"

// A Notice is something to log, to call a hook for, or to wake callers for.
type Notice struct {
	Kind Kind
	ID   int // the token it is about; of RedisDown and RedisUp, none

	Held      Held               // of Adopted
	Requested bool               // of Adopted: this replica requested it
	Denied    *quota.DeniedError // of RequestDenied
	Err       error              // of RequestFailed, RedisDown
	Reason    Reason             // of RequestFailed
	Failures  int                // of RedisUp: how many calls in a row had failed
}

// A Kind says what a Notice is about.
type Kind int

const (
	Wake          Kind = iota // what callers wait for may have happened
	Adopted                   // a token is in use
	WrittenBack               // the fleet has its token back from this replica
	RecordDamaged             // the record cannot be read, and is replaced
	KeyUnknown                // the record is encrypted with a key that this replica does not have
	RequestDenied             // a token request was not sent
	RequestFailed             // a token request brought no token
	RedisDown                 // Redis cannot be used
	RedisUp                   // Redis can be used again
)

func (s *State) notify(n Notice) { s.notices = append(s.notices, n) }

func (s *State) wake(id int) { s.notify(Notice{Kind: Wake, ID: id}) }

// Drain returns what has happened since the last call.
func (s *State) Drain() []Notice {
	notices := s.notices
	s.notices = nil
	return notices
}
