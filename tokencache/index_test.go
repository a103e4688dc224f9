package tokencache

import "testing"

// TestDefect tells what is wrong in other token clients, and must not be here.
// Each defect has a number; 13 is in package lock, 14 and 15 are in quota.
//
//	go test ./... -run Defect/04
func TestDefect(t *testing.T) {
	for _, d := range []struct {
		name  string
		story func(t *testing.T)
	}{
		{"01 a call goes out without a token, and its error is lost", TestTransportWithoutToken},
		{"02 one failure is asked for by every caller", TestManyCallers},
		{"03 every replica asks at a cold start", TestColdStart},
		{"03 and every caller on it", TestColdStartWithManyCallers},
		{"04 a store that is away takes the valid token with it", TestRedisAwayWithAToken},
		{"05 a refusal is repeated before its time", TestQuotaExceeded},
		{"06 a renewal that fails costs the token there is", TestRenewalFails},
		{"07 a renewal ahead of time brings the old token back", TestSteadyState},
		{"08 a forced renewal returns the token that was rejected", TestRejectComparesTheToken},
		{"09 a caller who leaves takes the others' request along", TestCallersLeave},
		{"10 a restart asks for a token", TestRestartsCostNothing},
		{"11 two tokens have one key", TestWhichTokenItIs},
		{"12 a cache around it hides a rotation", TestTokenSource},
		{"16 jitter is drawn at each look", TestJitterIsDrawnOnce},
		{"17 a token is printed", secretsInABadWeek},
	} {
		t.Run(d.name, again(d.story))
	}
	t.Run("11 a secret that changes", again(TestSecretRollsOut))
	t.Run("11 a secret that changes and keys that do not", again(TestNewSecretUnderTheSameSealKey))
}

// TestInvariant tells what always holds, and what breaks it in a naive build.
// 11 is in package lock.
//
//	go test ./... -run Invariant/04
func TestInvariant(t *testing.T) {
	for _, i := range []struct {
		name  string
		story func(t *testing.T)
	}{
		{"01 one request at a time, and one more for each lease that is lost", leaseDeleted},
		{"02 a request for each life, and one for each loss", lossEveryMinute},
		{"03 what is stored never goes back", notHere("TestCommitMerges in internal/store")},
		{"04 nobody serves an expired token", TestClocksAreOff},
		{"05 who has a valid token waits for nothing", TestStuckRedisClient},
		{"05 nor for a renewer that dies", TestRenewerDiesInSteadyState},
		{"06 all have the newest token before the old one ends", TestLostWakeUp},
		{"06 also those who hear nothing", TestDeafSubscription},
		{"07 a renewer that dies is replaced", TestRenewerDies},
		{"08 a replica asks Redis twice in a token's life", TestRedisCommandsPerLife},
		{"08 and five to seven times when a whole fleet starts", TestColdStart},
		{"09 nobody asks while a block is known", TestBlockIsKeptByEachReplica},
		{"10 a token from before a rotation does not come back", TestRotatedTokenDoesNotComeBack},
		{"12 what is repeated changes nothing", TestReplyOfAdmitIsLost},
		{"12 nor does what is lost", TestReplyIsLost},
		{"13 a loss costs nothing if one replica is warm", TestRedisLosesAll},
		{"14 a thousand callers are one request", TestManyCallers},
		{"14 and go on without those who leave", TestCallersLeave},
		{"15 the token is nowhere in clear", secretsInABadWeek},
		{"16 an outage costs what was agreed to", TestDirectBudget},
		{"16 however long it lasts", TestLongOutageCostsWhatWasAgreedTo},
	} {
		t.Run(i.name, again(i.story))
	}
}
