package auth0test

// Inject makes the next n requests to the token endpoint suffer a fault. If n
// is negative all of them do, until [Server.ClearFaults]. Faults queue up: each
// begins when the one before has been suffered often enough.
func (s *Server) Inject(n int, f Fault) {
	if n == 0 {
		return
	}
	if f.Name == "" {
		f.Name = "unnamed"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, injected{n, f})
}

// ClearFaults forgets all faults that no request has met so far.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault returns the fault of a request that arrives. The caller holds s.mu.
func (s *Server) nextFault() Fault {
	if len(s.faults) == 0 {
		return Fault{}
	}
	first := &s.faults[0]
	f := first.fault
	if first.left > 0 {
		first.left--
	}
	if first.left == 0 {
		s.faults = s.faults[1:]
	}
	return f
}
