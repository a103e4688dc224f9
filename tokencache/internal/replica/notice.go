package replica

func (s *State) notify(n Notice) { s.notices = append(s.notices, n) }

func (s *State) wake(id int) { s.notify(Notice{Kind: Wake, ID: id}) }

// Drain returns what has happened since the last call.
func (s *State) Drain() []Notice {
	notices := s.notices
	s.notices = nil
	return notices
}
