package planted

// A bug is one thing done wrong.
type bug struct {
	name     string
	file     string
	old, new string // old is there once
	test     string // that is about it, for -run
}

var bugs = []bug{
	// The way of a token.
	{"the lease holder does not fetch again", "tokencache/renew.go", "_, batch = c.merge(ctx, batch, fetched, replica.Context{UnderLease: true})", "c.merge(ctx, nil, fetched, replica.Context{UnderLease: true})", "TestFetchUnderTheLease"},
	{"a request may outlive the lease", "tokencache/renew.go", "within := min(timeout, lease.Remaining()-timeout/4)", "within := 10 * timeout", "TestFault/53"},
	{"a forced renewal does not bound what is adopted", "tokencache/internal/replica/issued.go", "r.Forced = req.Forced", "_ = req.Forced", "TestRotatedTokenDoesNotComeBack"},
	{"a token is not issued later than the one it replaces", "tokencache/internal/replica/issued.go", "r.Issued = max(r.Issued, req.Before.Issued+1)", "_ = req.Before", "TestRedisClockIsSetBack"},
	{"an answer outranks a newer token heard of meanwhile", "tokencache/internal/replica/issued.go", "h.Valid(now) && h.Record.Token != req.Before.Token && h.Record.Compare(r) > 0", "false", "TestLateAnswerFromPastRedis"},
	{"a token requested without Redis counts as issued after a rotation", "tokencache/internal/replica/adopt.go", "r.Issued = r.Expires - r.Lifetime.Milliseconds()", "r.Issued = max(r.Expires-r.Lifetime.Milliseconds(), v.MinIssued)", "TestTokenFromPastRedisDoesNotOutliveARotation"},
	{"a rotation is over with any other token", "tokencache/source.go", "h.Record.Issued >= read.Now", "true", "TestRotateIsNotOverWithTheOldToken"},
	{"a rotation by a renewal does not bound what is adopted", "tokencache/source.go", "!r.Forced", "false && !r.Forced", "TestRotationByARenewalLasts"},
	{"a measured life may grow", "tokencache/internal/replica/adopt.go", "remaining = min(remaining, old.atMost(since))", "", "TestRedisClockIsSetBack"},
	{"a token that is issued again is not a new one", "tokencache/internal/replica/adopt.go", "again := same && old.Record.Expires > 0 && r.Issued > old.Record.Issued", "again := false", "TestSameTokenAgain"},
	{"what a caller began is lost when it leaves", "tokencache/internal/replica/token.go", "t.Waiting > 0 || now.Mono < t.RecentUntil", "t.Waiting > 0", "TestCallersInAHurry"},
	{"a fetch does not show a rotation", "tokencache/internal/replica/adopt.go", "s.Invalidate(now, id, h.Record.Token, Rotated)", "", "TestLookShowsARotation"},
	{"the earliest issue is forgotten with Redis", "tokencache/internal/replica/adopt.go", "r.Issued >= t.MinIssued && (!valid", "(!valid", "TestFloorOutlivesRedis"},
	{"refusals are not throttled", "tokencache/renew.go", "if done.answer.Sent {", `if done.verdict.Class == "" {`, "TestRefusalsArePaced"},
	{"a redirect from nobody knows where is followed", "tokencache/transport.go", "// a transport that does not say where it has been\n\t\t\treturn true", "\n\t\t\treturn false", "TestRedirectFromNobodyKnowsWhere"},
	{"two sources of one token request it twice", "tokencache/source.go", "return other.token.ID == s.token.ID", "return false", "TestTwoSourcesOfOneToken"},
	{"replicas that were blocked together are not throttled", "tokencache/internal/replica/blocks.go", "if now.Mono >= s.BurstUntil {", "if true {", "TestQuotaUnderAttack/the_top_of_the_hour_and_of_the_day"},
	{"the last millisecond of a lease is none", "lock/lock.go", "left = max(left, time.Millisecond)", "left = max(left, 0)", "TestDefect/13"},
	{"the expiry counts from the answer", "tokencache/ask.go", "\tissue.Sent = done.sent\n", "\tissue.Sent = done.sent\n\tissue.Sent.Mono += done.answer.Took\n", "TestLifeCountsFromTheRequest"},
	{"the remaining life counts from the answer", "tokencache/internal/replica/issued.go", "s.adopt(now, req.ID, r, r.Lifetime, issue.Sent, requested, random)", "s.adopt(now, req.ID, r, r.Lifetime, now, requested, random)", "TestSleepDuringRequest"},
	{"a forced request that brought no token is spent", "quota/observe.lua", "if priority == 'forced' and state", "if false and state", "TestForcedBudgetWhileTheQuotaIsUnknown"},
	{"what was forced before a window was known is forgotten", "quota/common.lua", "if a.priority == 'forced' then forced = forced + 1 end", "", "TestForcedBudgetOfAFirstWindow"},
	{"what was taken back counts in a new window", "quota/common.lua", "if a.status ~= 'back' and (", "if (", "TestForcedBudgetOfAFirstWindow"},
	{"what was admitted and not sent stays spent", "tokencache/renew.go", `c.queueReports([]*Source{s}, replica.Report{Attempt: attempt, Answer: quota.Answer{Outcome: quota.Unsent, Status: "not admitted"}})`, "", "TestReplyOfAdmitIsLost"},
	{"a replica does not write back what Redis has lost", "tokencache/internal/replica/fetched.go", "\tif mine {\n", "\tif false && mine {\n", "TestRotateWhenRedisBlinks"},
	{"a record under an unknown key counts as none", "tokencache/snapshot.go", "v.Problem = replica.UnknownKey", "v.Problem = replica.Readable", "TestWrongSealKey"},
	{"a damaged record is replaced at the price of a need", "tokencache/internal/replica/fetched.go", "return quota.Forced, Damaged", "return priority, Damaged", "TestDamagedRecord"},
	{"a record from before a forced renewal is the fleet's", "tokencache/internal/store/snapshot.go", "case i < s.MinIssued:", "case false:", "TestRotatedTokenDoesNotComeBack"},
	{"a record may be a thousand years ahead", "tokencache/internal/store/snapshot.go", "case x-now > bearer.MaxLifetime.Milliseconds():", "case false:", "TestRecordFromTheFarFuture"},
	{"an error of Redis makes no pause", "tokencache/internal/replica/outage.go", "s.deferRetry(now, id, err, Backoff(n, time.Second, min(20*time.Second, max(left/4, 100*time.Millisecond)), random))", "_ = left\n\t\t\ts.deferRetry(now, id, err, time.Millisecond)", "TestFault"},
	{"requests without Redis are not counted", "tokencache/internal/replica/outage.go", "s.Outage.Sent = append(s.Outage.Sent, now.Mono)", "_ = now", "TestDirectBudget"},
	{"reports that Redis did not get are forgotten", "tokencache/internal/replica/reports.go", "s.Reports = append(s.Reports, reports...)", "", "TestReplyOfAdmitIsLost"},
	{"Redis can be used as soon as it can be read", "tokencache/renew.go", "\treported := c.flushReports(ctx, batch)\n", "\tc.redisWorked()\n\treported := c.flushReports(ctx, batch)\n", "TestRedisIsReadOnly"},
	{"what was denied is believed while a request is in flight", "tokencache/internal/replica/fetched.go", "!in.UnderLease && !leased && !in.Reported &&", "!in.UnderLease && !in.Reported &&", "TestDeniedIsNotBelievedWhileSomebodyAsks"},
	{"a denied replica does not fetch again", "tokencache/internal/replica/failure.go", "return min(f.CheckedAt+checkEvery, f.Until)", "return f.Until", "TestDeniedReplicaSeesTheFleetsToken"},
	{"what is known is believed for five minutes", "tokencache/internal/replica/failure.go", "const checkEvery = time.Minute", "const checkEvery = 5 * time.Minute", "TestDeniedReplicaSeesTheFleetsToken"},
	{"a denied replica that fetches requests again", "tokencache/internal/replica/fetched.go", "case !in.UnderLease && t.Failing(now):", "case false:", "TestQuotaUnderAttack/a_replica_with_the_wrong_secret"},
	{"what was denied is believed by the replica that took it back", "tokencache/internal/replica/fetched.go", "&& !in.Reported &&", "&&", "TestDeniedForWhatIsTakenBack"},
	{"what one organization is denied, all are", "tokencache/internal/replica/fetched.go", " && slices.Contains(s.Tokens[id].Scopes, denied.Scope)", "", "TestDeniedToAnOrganization"},
	{"what other replicas were denied is forgotten", "tokencache/internal/replica/refused.go", "if denied.Priority == quota.Need && (denied.Count > 0 || denied.Reason == quota.Spent) {", "if false {", "TestSpentQuotaIsToldToAll"},
	{"each replica takes the lease to be denied the same", "tokencache/internal/replica/fetched.go", "if !in.UnderLease && !leased", "if false && !leased", "TestSpentQuotaIsToldToAll"},

	{"an estimate is a reason to renew", "tokencache/internal/replica/token.go", "if h.Estimated() || h.Age(now) < h.Look {", "if h.Age(now) < h.Look {", "TestEstimateIsNoNeed"},
	{"a measurement does not replace an estimate", "tokencache/internal/replica/held.go", "return h.Remaining + h.Slack - ", "return h.Remaining - ", "TestSubscribeWithShortLives"},
	{"an estimate has no bound", "tokencache/internal/replica/adopt.go", "		h.Slack = now.Mono - since.Mono\n", "		h.Slack = 1000 * time.Hour\n", "TestRedisClockJumpsDuringALease"},
	{"a reply older than a token measures it", "tokencache/internal/replica/adopt.go", " && v.At.Mono >= h.Since.Mono+h.Slack:", ":", "TestSlowReplyDoesNotAgeANewerToken"},
	{"an expired token replaces a valid one", "tokencache/internal/replica/adopt.go", "if !valid || !expired || r.Token", "if true || expired || r.Token", "TestExpiredRecordDoesNotReplaceAValidToken"},
	{"the admission does not depend on the lease", "quota/only.lua", "if type(have) ~= 'string' or have ~= want then return { 'unmet' } end", "", "TestQueueAdmit"},
	{"the admission does not depend on the record", "quota/only.lua", "if redis.call('EXISTS', key) == 1 then return { 'unmet' } end", "", "TestQueueAdmit"},
	{"what was admitted with a lease that is lost stays spent", "tokencache/coldstart.go", "c.queueReports(nil, early.unsent())\n\t}\n\tc.renewed", "}\n\tc.renewed", "TestReplyIsLost"},
	{"a lease that is extended repeats what was queued with it", "lock/pipelined.go", "lock.Client = l.locks", "_ = l.locks", "TestConformance/miniredis"},
	{"a subscription that stands looks for nothing that was missed", "tokencache/internal/replica/heard.go", "				t.fetchBy(now.Mono + s.Subscription.grace())\n", "", "TestSteadyState"},

	// The token in memory.
	{"an expired token is served", "tokencache/wait.go", "if !h.Valid(now) {", "if false {", "TestQuotaUnderAttack/begins"},
	{"only the monotonic clock is believed", "tokencache/internal/replica/instant.go", "return max(t.Mono-earlier.Mono, t.Wall-earlier.Wall)", "return t.Mono - earlier.Mono", "TestSleepAfterDirect"},
	{"only the wall clock is believed", "tokencache/internal/replica/instant.go", "return max(t.Mono-earlier.Mono, t.Wall-earlier.Wall)", "return t.Wall - earlier.Wall", "TestClockIsSetBack"},
	{"a token that was checked once is fresh", "tokencache/held.go", "age-time.Duration(h.checked.Load()) < clockCheckInterval && ", "", "TestSuspend"},
	{"the wall clock is made up from the monotonic one", "tokencache/held.go", "Wall: c.wall().Round(0).Sub(c.origin.Round(0))}", "Wall: time.Since(c.origin)}", "TestSleepAfterDirect"},
	{"a token has no leeway", "tokencache/internal/replica/policy.go", "return min(lifetime/20, 10*time.Second)", "return 0", "TestPlan"},
	{"all replicas fetch at once", "tokencache/internal/replica/adopt.go", "h.Jitter = 1 + part(s.Terms.Spread(r.Lifetime), random)", "h.Jitter = 0", "TestRedisCommandsPerLife"},
	{"nothing bounds what is left", "tokencache/internal/replica/adopt.go", "remaining := min(millis(r.Expires-v.Now), r.Lifetime)", "remaining := millis(r.Expires - v.Now)", "TestRedisClockIsSetBack"},
	{"an older token replaces a newer one", "tokencache/internal/replica/adopt.go", "r.Compare(h.Record) >= 0", "true", "TestRecordIsRolledBack"},
	{"the order of records forgets when they were issued", "tokencache/internal/replica/record.go", "cmp.Compare(r.Issued, other.Issued), ", "", "TestTokensBeginToLiveShorter"},
	{"an idle source is renewed for ever", "tokencache/internal/replica/token.go", `return !t.Used && t.Replace == "" && t.Shared`, "return false", "TestIdleSourceRests"},
	{"a token that the fleet does not have is left alone", "tokencache/internal/replica/token.go", `&& t.Replace == "" && t.Shared`, `&& t.Replace == ""`, "TestTokenThatTheFleetDoesNotHave"},

	// The explorer drives the core that ships, and finds these by the promise that each breaks.
	{"explorer: what Redis has lost is not written back (recoversAtNoCost)", "tokencache/internal/replica/adopt.go", "	return from == measured\n", "	return false\n", "TestPromises"},
	{"explorer: no copy of a block is kept (blockHolds)", "tokencache/internal/replica/blocks.go", "		s.keepBlock(now, quota.DeniedError{Scope: b.Scope", "		_ = now\n		s.keepBlock(Instant{Mono: -1 << 60}, quota.DeniedError{Scope: b.Scope", "TestPromises"},
	{"explorer: an answer outranks what was heard of meanwhile (invariant S1)", "tokencache/internal/replica/issued.go", "h.Record.Compare(r) > 0 {", "h.Record.Compare(r) > 0 && false {", "TestPromises"},
	{"explorer: an older record is adopted (invariant S1)", "tokencache/internal/replica/adopt.go", "(!valid || r.Compare(h.Record) >= 0) {", "true {", "TestPromises"},
	{"explorer: an expired token is valid (invariant I1)", "tokencache/internal/replica/policy.go", "Expire: remaining - Leeway(lifetime)}", "Expire: remaining + lifetime}", "TestPromises"},

	// Callers.
	{"a caller's context is not heeded", "tokencache/wait.go", "case <-ctx.Done():", "case <-context.Background().Done():", "TestFault/53"},
	{"a caller waits for what comes too late", "tokencache/internal/replica/failure.go", "return f.FailFast || f.Until > limit || f.BudgetAt > limit", "return false", "TestQuotaUnderAttack/a_header_that_lies"},
	{"a token is replaced whichever was refused", "tokencache/wait.go", "h.token.AccessToken != accessToken", "false", "TestRejectComparesTheToken"},
	{"a caller that waits for another token does not hear that there is none", "tokencache/internal/replica/callers.go", "if want == (Want{}) || t.Refusal.Err == nil && !t.Held.Valid(now) {", "if want == (Want{}) {", "TestCallerOfAnotherTokenIsAnswered"},
	{"no caller is woken", "tokencache/client.go", "\t\tclose(s.change)\n", "", "TestQuotaUnderAttack/lies"},
	{"the token follows a redirect anywhere", "tokencache/transport.go", "if origin(previous.URL) != origin(hop.URL) {", "if false {", "TestThreat/S17"},
	{"the token travels in clear", "tokencache/transport.go", `if u.Scheme == "https" ||`, "if true ||", "TestThreat/S02"},
	{"a call is repeated without its body", "tokencache/transport.go", "return req.GetBody, req.GetBody != nil", "return func() (io.ReadCloser, error) { return http.NoBody, nil }, true", "TestTransport"},

	// Blocks.
	{"a replica does not keep the fleet's blocks", "tokencache/internal/replica/blocks.go", "\ts.setBlock(Block{denied, until})\n", "", "TestSpentQuotaIsToldToAll"},
	{"a replica makes no blocks of its own", "tokencache/internal/replica/blocks.go", "\t\t\ts.setBlock(mine)\n", "", "TestSuccessStartsTheWaitsAnew"},
	{"a success lifts no block", "tokencache/internal/replica/issued.go", "\ts.dropBlocks(t.Scopes)\n", "", "TestSuccessStartsTheWaitsAnew"},

	// What lies in Redis.
	{"the store takes what is older", "tokencache/internal/store/commit.lua", "if issued < i or (issued == i and expires < x) then return 'older' end", "", "TestCommitScript"},
	{"the store takes what was issued before the floor", "tokencache/internal/store/commit.lua", "if issued < floor then return 'outdated' end", "", "TestCommitScript"},
	{"a record has no end", "tokencache/internal/store/commit.lua", "redis.call('PEXPIREAT', KEYS[1], ARGV[2])", "", "TestStore/miniredis"},
	{"any number is a floor", "tokencache/internal/store/commit.lua", "#floor <= 15 and string.match(floor, '^%d+$') and ", "", "TestGarbageFloor"},
	{"news is not published", "tokencache/internal/store/commit.lua", "redis.pcall('PUBLISH'", "redis.pcall('ECHO'", "TestFault/03"},
	{"a record decrypts anywhere", "tokencache/internal/store/encryption.go", "data = append(data, part...)", "_ = part", "TestSealOpens"},

	// The token request.
	{"an error shows what the server echoes", "tokencache/internal/endpoint/send.go", "if a.Err != nil && (written.Load() && !quotesNothing(a.Err) || r.Echoed(a.Err.Error())) {", "if false {", "TestThreat/S03"},
	{"a negative lifetime is believed", "tokencache/internal/endpoint/token.go", "if life < time.Second {", "if false {", "TestClassify"},

	// The lease.
	{"an error is taken for a held lease", "lock/lock.go",
		"WRONGTYPE\") {\n\t\treturn nil, err\n\t}", "WRONGTYPE\") {\n\t\treturn nil, &HeldError{Key: key, Remaining: l.ttl}\n\t}", "TestDefect/13"},
	{"a lease is trusted from when Redis has answered", "lock/lock.go", "until: asked.Add(l.ttl - l.margin)", "until: asked.Add(time.Since(asked) + l.ttl - l.margin)", "TestDeadlineCountsFromBeforeTheQuestion"},
	{"a lease is given back whoever has it", "lock/lease.go", "return nil, l.lock.Release(ctx)", "return nil, l.locker.rdb.PExpire(ctx, l.lock.Key(), time.Millisecond).Err()", "TestConformance/miniredis"},
	{"a lease is given back as long as the caller is there", "lock/lease.go", "bounded(context.WithoutCancel(ctx),", "bounded(ctx,", "TestReleaseSurvivesTheCaller"},
	{"a lease without an end is one", "lock/lock.go", "if left < 0 && left != -2 || left > l.ttl {", "if false {", "TestForeignKey"},

	// The ledger.
	{"an attempt is counted as often as it is repeated", "quota/admit.lua", "if load_attempt(id) then return { 'admitted', int(now), '0' } end", "", "TestConformance/miniredis"},
	{"an attempt is soon forgotten", "quota/common.lua", "local KEEP_ATTEMPTS = 32", "local KEEP_ATTEMPTS = 8", "TestToldTwice"},
	{"an attempt is not counted before it is sent", "quota/admit.lua", "w.used = w.used + 1", "", "TestConformance/miniredis"},
	{"no reserve is kept", "quota/admit.lua", "if free > reserve(w) then return nil end", "if free > 0 then return nil end", "TestPrioritiesLeaveAReserve"},
	{"the budget of forced renewals has no bottom", "quota/admit.lua", "if priority == 'forced' and w.forced >= forced_budget(w) then", "if false then", "TestConformance/miniredis"},
	{"everybody finds out whether the quota is enforced", "quota/admit.lua", "if last <= now and now < last + PROBE_EVERY then return 'probing'", "if false then return 'probing'", "TestMonitorMode"},
	{"blocks do not block", "quota/admit.lua", "if b and b.ends > now then refuse(", "if false then refuse(", "TestConformance/miniredis"},
	{"a window begins when the clock strikes", "quota/admit.lua", "if now < w.open then return w end", "if now < w.ends then return w end", "TestSpentQuotaWaitsForTheHour"},
	{"what is unknown is given back", "quota/observe.lua", "if a and (outcome == 'unsent' or outcome == 'refused') then", "if a and outcome ~= 'issued' then", "TestConformance/miniredis"},
	{"what the server shows replaces what is known", "quota/observe.lua", "w.used = math.max(w.used, spent)", "w.used = spent", "TestTwoWatermarks"},
	{"a shorter block replaces a longer one", "quota/observe.lua", "if b and b.ends > ends then ends = b.ends end", "", "TestBlockOutlivesAnOlderSuccess"},
	{"one replica's trouble is everybody's", "quota/observe.lua", "if not confirmed then put(", "confirmed = true\n    if false then put(", "TestQuorum"},
	{"a late success lifts a newer block", "quota/observe.lua", "math.min(a and a.at or now, now - age - math.max(took, 0))", "a and a.at or now", "TestLateSuccessLiftsNoNewerBlock"},
	{"a refusal is as new as its telling", "quota/observe.lua", "math.max(now - age, b and math.min(b.since, now) or 0)", "now", "TestLateRefusalOpensNoSpentWindow"},
	{"a late refusal makes a block older", "quota/observe.lua", "math.max(now - age, b and math.min(b.since, now) or 0)", "math.max(now - age, 0)", "TestLateRefusalMakesNoBlockOlder"},
	{"any success proves that the quota is only watched", "quota/observe.lua", " and w.seen <= began then", " then", "TestLateSuccessIsNoProof"},
	{"what is told of late was sent just now", "quota/observe.lua", "now - age - math.max(took, 0)", "now - age", "TestLateSuccessIsNoProof"},
	{"an older answer tells since when nothing is left", "quota/observe.lua", "return spent < w.quota and w.seen or math.min", "return math.min", "TestLateSuccessIsNoProof"},
	{"a window keeps the length that somebody wrote", "quota/observe.lua", "w.quota, w.length = quota, length", "w.quota = quota", "FuzzStoredState"},
	{"jitter comes early", "quota/common.lua", "return math.floor(math.min(wait / 10, MAX_JITTER) * dice / 1000000)", "return -math.floor(math.min(wait / 10, MAX_JITTER) * dice / 1000000)", "TestSpentQuotaWaitsForTheHour"},
	{"an answer leaves denied what was", "quota/observe.lua", "drop(denied_field(name, true))\n  drop(denied_field(name, false))", "", "TestConformance/miniredis"},
	{"what was denied may last as long as anything", "quota/denied.go", "longest -= maxBlock - length.Milliseconds()", "_ = length", "TestDeniedBeforeTheClockOfRedisWasSetBack"},
	{"a ledger denies for one that knows better", "quota/common.lua", "(enforced and ':enforced' or '')", "''", "TestDeniedByAnotherOption"},
	{"a denial may say what the ledger never says", "quota/denied.go", "!slices.Contains(reasons[p], denied.Reason) || denied.Count != 0", "!slices.Contains(append(reasons[Need], reasons[p]...), denied.Reason)", "TestThreat/S08"},
	{"the journal stops the ledger", "quota/common.lua", "if string.find(reply.err, 'WRONGTYPE', 1, true) then return nil end", "", "TestConformance/miniredis"},
	{"Retry-After has no bound", "quota/retryafter.go", "return min(max(d, MinWait), MaxWait)", "return d", "TestDefect/15"},
	{"the bucket outranks Retry-After", "quota/retryafter.go", "if wait, ok := RetryAfter(h); ok {\n\t\treturn wait, true\n\t}", "", "TestWaitOf"},

	// What somebody may try.
	{"encryption keys are printed", "tokencache/options.go", "func (o Options) Format(", "func (o Options) unused(", "TestThreat/S03"},
	{"an answer that is not HTTP is quoted", "tokencache/internal/endpoint/send.go", "written.Load() && !quotesNothing(a.Err) || ", "", "TestThreat/S03"},
	{"a header may repeat the secret", "tokencache/internal/endpoint/send.go", "slices.ContainsFunc(values, r.Echoed)", "slices.ContainsFunc(values, func(string) bool { return false })", "TestThreat/S03"},
	{"an error code may be the secret", "tokencache/ask.go", "if s.request.Echoed(v.Code) {", "if false {", "TestThreat/S03"},
	{"Redis may repeat its password", "tokencache/rediserror.go", "err = reply(before)", "_ = before", "TestThreat/S03"},
	{"a name that begins like loopback is loopback", "tokencache/credentials.go", "return err == nil && addr.IsLoopback()", `return err == nil && addr.IsLoopback() || strings.HasPrefix(host, "127.")`, "TestThreat/S02"},
	{"an encrypted token may be of any type", "tokencache/internal/store/record.go", " || b.Type != bearer.Type", "", "TestThreat/S09"},
	{"the lifetime of an encrypted token may overflow", "tokencache/internal/store/record.go", "b.TTL > bearer.MaxLifetime.Milliseconds()", "millis(b.TTL) > bearer.MaxLifetime", "TestThreat/S09"},
	{"the id of a key is not authenticated", "tokencache/internal/store/encryption.go", "data := append([]byte{version}, k.id[:]...)", "data := []byte{version}", "TestThreat/S06"},
	{"a stored window may last for ever", "quota/common.lua", "w.length > MAX_BLOCK or ", "", "TestThreat/S08"},
	{"an attempt may lie in the future", "quota/common.lua", " or at > now + SLACK", "", "TestThreat/S08"},
	{"a block is read in another way than the scripts do", "quota/block.go", "number == \"\" || len(number) > 15 || ", "", "FuzzStoredState"},
}
