package auth0test

import "time"

// tally counts what was issued until the time seen. The caller holds s.mu.
func (s *Server) tally(cfg Config, organization string, at, seen time.Time) tally {
	t := tally{client: s.client.buckets(cfg.PerHour, cfg.PerDay, at, seen)}
	if organization != "" {
		spent := s.organizations[organization]
		if spent == nil {
			spent = new(spending)
		}
		t.organization = spent.buckets(cfg.OrganizationPerHour, cfg.OrganizationPerDay, at, seen)
	}
	return t
}

// spend counts one issued token. The caller holds s.mu.
func (s *Server) spend(organization string, at time.Time) {
	s.client.add(at, 1)
	if organization == "" {
		return
	}
	if s.organizations[organization] == nil {
		s.organizations[organization] = new(spending)
	}
	s.organizations[organization].add(at, 1)
}

// Consume spends n tokens of the client's quota now, as another user of the client would
// who uses the same client id. They appear neither in the ledger nor in
// [Server.Issued], only in what remains.
func (s *Server) Consume(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client.add(now(), n)
}
