package replica

import "github.com/fleettoken/fleettoken/quota"

// QueueReports keeps reports until Redis can be reached.
func (s *State) QueueReports(reports ...Report) {
	s.Reports = append(s.Reports, reports...)
	if n := len(s.Reports) - maxReports; n > 0 {
		s.Reports = s.Reports[n:]
	}
}

// TakeReports returns the queued reports, oldest first, and empties the queue.
func (s *State) TakeReports() []Report {
	reports := s.Reports
	s.Reports = nil
	return reports
}

// Reported keeps copies of the blocks that the ledger returned for a report.
func (s *State) Reported(now Instant, blocked []quota.Blocked) { s.mergeBlocks(now, blocked) }
