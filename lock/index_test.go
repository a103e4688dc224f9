package lock_test

import "testing"

// TestDefect and TestInvariant give the numbers of TestDefect and TestInvariant
// of package tokencache to what this package shows.
func TestDefect(t *testing.T) {
	t.Run("13 a lease of another is given back", TestNobodyReleasesTheLeaseOfAnother)
	t.Run("13 a lease that is lost is worked on", TestHolderIsToldWhenToStop)
	t.Run("13 an error is taken for a held lease", TestThreeOutcomes)
}

func TestInvariant(t *testing.T) {
	t.Run("11 nobody deletes the lease of another", TestNobodyReleasesTheLeaseOfAnother)
}
