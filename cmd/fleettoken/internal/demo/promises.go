package demo

import (
	"fmt"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// tokensIssued is how many tokens the whole story takes: one to begin with, and
// one for each of the five times that it is to be replaced.
const tokensIssued = 6

// verdicts returns which promises were broken that hold at every moment, by what
// the endpoint, the API and the replicas have counted.
func verdicts(ledger auth0test.Ledger, calls map[auth0test.TokenState]int, totals Counters) []string {
	var broken []string
	add := func(promise, format string, args ...any) {
		broken = append(broken, promise+": "+fmt.Sprintf(format, args...))
	}
	if totals.Failed > 0 {
		add(promiseCalls, "%d did, the last one with: %s", totals.Failed, totals.LastFail)
	}
	if n := calls[auth0test.TokenExpired]; n > 0 {
		add(promiseExpired, "the API saw %d calls with one", n)
	}
	if n := calls[auth0test.TokenUnknown] + calls[auth0test.TokenRevoked]; n > 0 {
		add(promiseCalls, "the API saw %d calls with a token that it does not know", n)
	}
	if n := ledger.MaxConcurrent(); n > 1 {
		add(promiseAtOnce, "%d requests were in flight at once", n)
	}
	return broken
}

// waste returns whether a whole story took more token requests than it should.
// Each fault may cost one. The demo's own faults have a name in the ledger; a
// request that is too slow for its timeout is a fault of the machine; and a token
// that was asked for just before Redis went away could not be stored.
func waste(ledger auth0test.Ledger, away [2]time.Time) []string {
	tokens, faults, lost := 0, 0, 0
	for _, r := range ledger {
		switch {
		case !answered(r):
			faults++
		case r.Ended.After(away[0]) && r.Arrived.Before(away[1]):
			lost, tokens = 1, tokens+1
		default:
			tokens++
		}
	}
	if tokens < tokensIssued || tokens > tokensIssued+lost {
		return []string{fmt.Sprintf("%s: the endpoint issued %d tokens to the fleet, and %d are enough; %d requests failed", promiseQuota, tokens, tokensIssued, faults)}
	}
	return nil
}

// expired is how many calls the API has seen with a token that had expired.
func (s *story) expired() int { return s.stage.tenant.APICalls()[auth0test.TokenExpired] }
