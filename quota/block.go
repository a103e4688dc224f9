package quota

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// A Scope names what a quota or a block applies to. It consists of letters,
// digits, '-', '_' and ':'.
type Scope string

// Client is the scope of the client itself, whatever token it asks for. Tenant
// is everything behind the token endpoint.
const (
	Client Scope = "client"
	Tenant Scope = "tenant"
)

// Organization returns the scope of one organization. The name is hashed, so
// that any may be used.
func Organization(name string) Scope { return Named("org", name) }

// Named returns a scope of a kind of the caller's own, such as "audience",
// whose name may be any text: it is hashed.
func Named(kind, name string) Scope {
	sum := sha256.Sum256([]byte(name))
	return Scope(kind + ":" + hex.EncodeToString(sum[:8]))
}

// Kind returns the part of the scope that says what it is: "client", "org".
func (s Scope) Kind() string {
	kind, _, _ := strings.Cut(string(s), ":")
	return kind
}

func (s Scope) valid() bool {
	return s != "" && strings.Trim(string(s), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:") == ""
}

// A Reason says in one word why a request must wait. Callers of Observe may use
// words of their own for their blocks, without spaces.
type Reason string

const (
	// QuotaExceeded is the reason of a block after the server refused a request
	// because the quota is spent. It also proves that the quota is enforced.
	QuotaExceeded Reason = "quota"

	// The reasons of the ledger itself, see [Priority]: the quota is Spent, the
	// rest of it is a Reserve for those who need it more, the budget for Forced
	// requests is spent, or another request is Probing a spent bucket.
	Spent       Reason = "spent"
	Reserve     Reason = "reserve"
	ForcedSpent Reason = "forced"
	Probing     Reason = "probing"
)

// A Block makes all replicas wait.
type Block struct {
	Scope  Scope
	Reason Reason

	// Wait is how long the server asks to wait. Zero means that it does not
	// say; then the wait is Base, doubled with each block in a row, and at most
	// Cap. Either way a jitter is added, drawn once for the fleet, and the sum
	// is at most MaxWait.
	Wait, Base, Cap time.Duration

	// Quorum is true for trouble that may be this replica's own, such as a
	// connection refused. It blocks the others only when a second replica meets
	// it within ten minutes.
	Quorum bool
}

// Backoff returns how long the n-th block in a row lasts, without jitter.
func (b Block) Backoff(n int) time.Duration {
	if b.Wait > 0 {
		return min(b.Wait, MaxWait)
	}
	wait, limit := max(b.Base, 0), max(min(b.Cap, MaxWait), 0)
	for i := 1; i < n && 0 < wait && wait < limit; i++ {
		wait *= 2
	}
	return min(wait, limit)
}

// Blocked is a block that has not ended. In JSON its duration is in seconds.
type Blocked struct {
	Scope     Scope         `json:"scope"`
	Reason    Reason        `json:"reason"`
	Remaining time.Duration `json:"-"`     // how much longer, when Redis replied; "left" in JSON
	Count     int           `json:"count"` // how many there were in a row
}

// blockField returns the field of the ledger's hash that holds the block of a scope.
func blockField(scope Scope) string { return "b:" + string(scope) }

// parseBlock reads the value of a blockField, given the time of the Redis server in Unix
// milliseconds. It returns false if there is no block, or if it has ended.
func parseBlock(scope Scope, value string, now int64) (Blocked, bool) {
	// As load_block in the scripts has it, to the letter.
	fields := strings.Split(value, " ")
	if len(fields) != 4 || fields[3] == "" || strings.ContainsAny(fields[3], "\t\n\v\f\r") {
		return Blocked{}, false
	}
	for _, number := range fields[:3] {
		if number == "" || len(number) > 15 || strings.Trim(number, "0123456789") != "" {
			return Blocked{}, false
		}
	}
	n, err := integers(fields[:3]...)
	// Compared as numbers of milliseconds: a hostile end may be any number.
	if err != nil || n[0] <= now || n[0]-now > (MaxWait+maxJitter).Milliseconds() || n[2] > 1e6 || n[1] > now+guard {
		return Blocked{}, false
	}
	return Blocked{scope, Reason(fields[3]), time.Duration(n[0]-now) * time.Millisecond, int(n[2])}, true
}

const maxJitter = 30 * time.Second
