package auth0test_test

import (
	"testing"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// TestRequestNumber holds what the demo reads from the tokens of auth0test.
func TestRequestNumber(t *testing.T) {
	if n := auth0test.RequestNumber("aaa.bbb.token-12-xyz-1"); n != 12 {
		t.Errorf("got %d, want 12", n)
	}
	if n := auth0test.RequestNumber("opaque"); n != 0 {
		t.Errorf("a token of another endpoint: got %d, want 0", n)
	}
}
