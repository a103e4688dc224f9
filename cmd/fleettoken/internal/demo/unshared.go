package demo

// unshared returns how many token requests the same fleet would have made if
// every replica had looked after itself: with a cache in memory, as
// golang.org/x/oauth2 has one, and nobody to share it with.
//
// It is counted, not estimated. Each time that a token came into the memory of a
// replica, that replica needed one at that moment: as it had just started, as
// the one it had was to be renewed, or as an operator had replaced it. On its own
// it would have had to ask for it. So the number of adoptions is the number of
// requests.
//
// It is a lower bound. Requests that failed are left out, although each replica
// would have had its own: its own 429, and its own request that hangs. And a
// fleet that asks all at once meets limits that one replica at a time does not.
func (f *fleet) unshared() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, m := range f.members {
		n += m.adopted
	}
	return n
}
