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
	{"the renewer does not look again under the lease", "tokencache/renew.go",
		"if !s.take(ctx, views[i]) && !c.holdsBack(s) {\n\t\t\twants", "if !c.holdsBack(s) {\n\t\t\twants", "TestSpentForcedBudgetIsToldToAll"},
	{"a request may outlive the lease", "tokencache/renew.go",
		"within := min(c.cache.terms.request, lease.Remaining()-c.cache.terms.request/4)", "within := 10 * c.cache.terms.request", "TestFault/53"},
	{"a forced renewal is no floor", "tokencache/renew.go", "r.body.Forced = forced", "_ = forced", "TestRotatedTokenDoesNotComeBack"},
	{"a token is not issued later than the one it replaces", "tokencache/renew.go", "r.issued = max(r.issued, before.record.issued+1)", "_ = before", "TestRedisClockIsSetBack"},
	{"an answer outranks what was heard of meanwhile", "tokencache/adopt.go", "!now.same(before) && now.record.order(r) > 0", "false", "TestLateAnswerFromPastRedis"},
	{"a token asked for past Redis is lifted to the floor", "tokencache/adopt.go", "unsynced.issued = unsynced.expires - unsynced.body.TTL", "unsynced.issued = max(unsynced.expires-unsynced.body.TTL, v.floor)", "TestTokenFromPastRedisDoesNotOutliveARotation"},
	{"a rotation is over with any other token", "tokencache/source.go", "h.record.issued >= views[0].now", "true", "TestRotateIsNotOverWithTheOldToken"},
	{"a rotation with another one's token leaves no floor", "tokencache/source.go", "!r.body.Forced", "false && !r.body.Forced", "TestRotationByARenewalLasts"},
	{"what is known of a token's life may grow", "tokencache/adopt.go", "left = min(left, old.left-since.mono.Sub(old.since.mono))", "", "TestRedisClockIsSetBack"},
	{"a token that is given out again is no new one", "tokencache/adopt.go", "again := same && old.record.expires > 0 && r.issued > old.record.issued", "again := false", "TestSameTokenAgain"},
	{"what a caller began is lost when it leaves", "tokencache/needs.go", "s.waiting > 0 || time.Now().Before(s.missed)", "s.waiting > 0", "TestCallersInAHurry"},
	{"a look does not show a rotation", "tokencache/adopt.go", "s.reject(h, \"rotated\")", "", "TestLookShowsARotation"},
	{"a floor is forgotten with Redis", "tokencache/adopt.go", "v.record.issued >= s.floor && (h == nil", "(h == nil", "TestFloorOutlivesRedis"},
	{"refusals come all at once", "tokencache/renew.go", "if done.answer.sent {", "if done.verdict.class == \"\" {", "TestRefusalsArePaced"},
	{"a redirect from nobody knows where is followed", "tokencache/transport.go", "// a transport that does not say where it has been\n\t\t\treturn true", "\n\t\t\treturn false", "TestRedirectFromNobodyKnowsWhere"},
	{"two sources of one token ask for it twice", "tokencache/renew.go", "return other.s.key == w.s.key", "return false", "TestTwoSourcesOfOneToken"},
	{"those who had to wait come all at once", "tokencache/client.go", "if !crowded {", "if true || !crowded {", "TestQuotaUnderAttack/the_top_of_the_hour_and_of_the_day"},
	{"the last millisecond of a lease is none", "lock/lock.go", "left = max(left, time.Millisecond)", "left = max(left, 0)", "TestDefect/13"},
	{"the expiry counts from the answer", "tokencache/renew.go", "expiry(admission.Now, admitted, done.sent.mono,", "expiry(admission.Now, admitted, done.sent.mono.Add(done.answer.took),", "TestLifeCountsFromTheRequest"},
	{"what is left counts from the answer", "tokencache/adopt.go", "s.adopt(r, done.verdict.grant.life, done.sent, true)", "s.adopt(r, done.verdict.grant.life, s.client.cache.moment(), true)", "TestSleepDuringRequest"},
	{"a forced request that brought no token is spent", "quota/observe.lua", "if priority == 'forced' and state", "if false and state", "TestForcedBudgetWhileTheQuotaIsUnknown"},
	{"what was forced before a window was known is forgotten", "quota/common.lua", "if a.priority == 'forced' then forced = forced + 1 end", "", "TestForcedBudgetOfAFirstWindow"},
	{"what was taken back counts in a new window", "quota/common.lua", "if a.status ~= 'back' and (", "if (", "TestForcedBudgetOfAFirstWindow"},
	{"what was admitted and not sent stays spent", "tokencache/renew.go", `c.remember(account{attempt: attempt, answer: quota.Answer{Outcome: quota.Unsent, Status: "not admitted"}})`, "", "TestReplyOfAdmitIsLost"},
	{"a replica does not give back what Redis has lost", "tokencache/renew.go", "if mine != nil { // the fleet has lost it, or has an older one", "if false {", "TestRotateWhenRedisBlinks"},
	{"a record under an unknown key counts as none", "tokencache/renew.go", "if errors.Is(problem, seal.ErrUnknownKey) {", "if errors.Is(problem, seal.ErrUnknownKey) && false {", "TestWrongSealKey"},
	{"damage is repaired at the price of a need", "tokencache/store.go", `return quota.Forced, "damaged"`, `return priority, "damaged"`, "TestDamagedRecord"},
	{"a record from before a forced renewal is the fleet's", "tokencache/store.go", "case i < v.floor:", "case false:", "TestRotatedTokenDoesNotComeBack"},
	{"a record may be a thousand years ahead", "tokencache/store.go", "case x-v.now > maxLife.Milliseconds():", "case false:", "TestRecordFromTheFarFuture"},
	{"an error of Redis makes no pause", "tokencache/outage.go", "s.endure(err, backoff(n, time.Second, min(20*time.Second, max(left/4, 100*time.Millisecond)), luck))", "_ = left\n\t\t\ts.endure(err, time.Millisecond)", "TestFault"},
	{"the budget past Redis is not counted", "tokencache/outage.go", "o.direct = append(o.direct, now)", "_ = now", "TestDirectBudget"},
	{"what Redis could not be told is forgotten", "tokencache/outage.go", "c.accounts = append(c.accounts, accounts...)", "", "TestReplyOfAdmitIsLost"},
	{"Redis is back as soon as it can be read", "tokencache/renew.go", "// A lease without an end, or", "c.back()\n\t// A lease without an end, or", "TestRedisIsReadOnly"},
	{"what was denied is believed while somebody asks", "tokencache/renew.go", "!held && !told && s.deniedAgain(views[i])", "!told && s.deniedAgain(views[i])", "TestDeniedIsNotBelievedWhileSomebodyAsks"},
	{"who was denied does not look again", "tokencache/callers.go", "again.Before(f.until) {", "again.Before(f.until) && false {", "TestDeniedReplicaSeesTheFleetsToken"},
	{"what is known is believed for five minutes", "tokencache/callers.go", "const seeAgain = time.Minute", "const seeAgain = 5 * time.Minute", "TestDeniedReplicaSeesTheFleetsToken"},
	{"who looks again asks again", "tokencache/needs.go", "return s.failure != nil && s.valid() == nil &&", "return false && s.failure != nil &&", "TestDeniedReplicaSeesTheFleetsToken"},
	{"what was denied is believed by who has taken it back", "tokencache/renew.go", "!held && !told &&", "!held && (told || !told) &&", "TestDeniedForWhatIsTakenBack"},
	{"what one organization is denied, all are", "tokencache/renew.go", " && slices.Contains(s.scopeList, denied.Scope)", "", "TestDeniedToAnOrganization"},
	{"what others were denied is forgotten", "tokencache/renew.go", "s.client.note(denied)", "", "TestSpentQuotaIsToldToAll"},
	{"each replica has to ask for what was denied", "tokencache/renew.go", "!held && !told && s.deniedAgain(views[i])", "!told && false && s.deniedAgain(views[i])", "TestSpentQuotaIsToldToAll"},

	// The token in memory.
	{"an expired token is served", "tokencache/callers.go", "if age >= h.plan.expire {\n\t\treturn nil", "if false {\n\t\treturn nil", "TestQuotaUnderAttack/begins"},
	{"only the monotonic clock is believed", "tokencache/held.go", "return max(mono, wall)", "return mono", "TestSleepAfterDirect"},
	{"only the wall clock is believed", "tokencache/held.go", "return max(mono, wall)", "return wall", "TestClockIsSetBack"},
	{"a token that was checked once is fresh", "tokencache/held.go", "age-time.Duration(h.checked.Load()) < blink && ", "", "TestSuspend"},
	{"the wall clock is made up from the monotonic one", "tokencache/held.go", "return moment{time.Now(), c.wall().Round(0)}", "return moment{time.Now(), c.wall().Round(0).Add(time.Hour)}", "TestSleepDuringRequest"},
	{"a token has no leeway", "tokencache/policy.go", "return min(ttl/20, 10*time.Second)", "return 0", "TestPlan"},
	{"all look at the same moment", "tokencache/adopt.go", "h.late = 1 + rand.N(max(cache.terms.spread(r.ttl()), 1))", "h.late = 0 * rand.N(time.Second)", "TestRedisCommandsPerLife"},
	{"nothing bounds what is left", "tokencache/adopt.go", "min(millis(v.record.expires-v.now), v.record.ttl())", "millis(v.record.expires-v.now)", "TestRedisClockIsSetBack"},
	{"an older token replaces a newer one", "tokencache/adopt.go", "v.record.order(h.record) >= 0", "true", "TestRecordIsRolledBack"},
	{"the order of records forgets when they were issued", "tokencache/record.go", "case r.issued != other.issued:", "case false:", "TestTokensBeginToLiveShorter"},
	{"a source that nobody uses is renewed for ever", "tokencache/needs.go", "return !h.used.Load() && s.unwanted == nil && h.shared.Load()", "return false", "TestIdleSourceRests"},
	{"a token that the fleet does not have is left alone", "tokencache/needs.go", "&& h.shared.Load()", "", "TestTokenThatTheFleetDoesNotHave"},

	// Callers.
	{"a caller's context is not heeded", "tokencache/callers.go", "case <-ctx.Done():\n\t\t\terr", "case <-context.Background().Done():\n\t\t\terr", "TestFault/53"},
	{"a caller waits for what comes too late", "tokencache/callers.go", "return f.final || f.until.After(limit) || f.hope.After(limit)", "return false", "TestQuotaUnderAttack/a_header_that_lies"},
	{"a token is replaced whoever refused it", "tokencache/callers.go", "h.token.AccessToken != tok.AccessToken", "false", "TestRejectComparesTheToken"},
	{"who waits for another token does not hear that there is none", "tokencache/callers.go", "if s.refusal == nil && s.valid() == nil {", "if false {", "TestRejectWhileTheTokenExpires"},
	{"nobody is told of a new token", "tokencache/needs.go", "close(s.change)\n", "", "TestQuotaUnderAttack/lies"},
	{"the token follows a redirect anywhere", "tokencache/transport.go", "if origin(previous.URL) != origin(hop.URL) {", "if false {", "TestThreat/S17"},
	{"the token travels in clear", "tokencache/transport.go", `if u.Scheme == "https" ||`, "if true ||", "TestThreat/S02"},
	{"a call is repeated without its body", "tokencache/transport.go", "return req.GetBody, req.GetBody != nil", "return func() (io.ReadCloser, error) { return http.NoBody, nil }, true", "TestTransport"},

	// Blocks.
	{"a replica does not keep the fleet's blocks", "tokencache/client.go", "c.blocks[denied.Scope] = block{denied, until}", "_ = until", "TestSpentQuotaIsToldToAll"},
	{"a replica makes no blocks of its own", "tokencache/client.go", "c.blocks[b.Scope] = mine", "", "TestSuccessStartsTheWaitsAnew"},
	{"a success lifts no block", "tokencache/client.go", "delete(c.blocks, scope)", "_ = scope", "TestSuccessStartsTheWaitsAnew"},

	// What lies in Redis.
	{"the store takes what is older", "tokencache/commit.lua", "if issued < i or (issued == i and expires < x) then return 'older' end", "", "TestCommitScript"},
	{"the store takes what was issued before the floor", "tokencache/commit.lua", "if issued < floor then return 'outdated' end", "", "TestCommitScript"},
	{"a record has no end", "tokencache/commit.lua", "redis.call('PEXPIREAT', KEYS[1], ARGV[2])", "", "TestStore/miniredis"},
	{"any number is a floor", "tokencache/commit.lua", "#floor <= 15 and string.match(floor, '^%d+$') and ", "", "TestGarbageFloor"},
	{"news is not published", "tokencache/commit.lua", "redis.pcall('PUBLISH'", "redis.pcall('ECHO'", "TestFault/03"},
	{"a sealed token opens anywhere", "tokencache/internal/seal/seal.go", "data = append(data, part...)", "_ = part", "TestSealOpens"},

	// The token request.
	{"an error shows what the server echoes", "tokencache/request.go", "if a.err != nil && (written.Load() && !wordless(a.err) || c.repeatedIn(a.err.Error())) {", "if false {", "TestThreat/S03"},
	{"a token of negative life is believed", "tokencache/response.go", "if life < time.Second {", "if false {", "TestClassify"},

	// The lease.
	{"an error is taken for a held lease", "lock/lock.go",
		"WRONGTYPE\") {\n\t\treturn nil, err\n\t}", "WRONGTYPE\") {\n\t\treturn nil, &HeldError{Key: key, Left: l.ttl}\n\t}", "TestDefect/13"},
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
	{"sealing keys are printed", "tokencache/options.go", "func (o Options) Format(", "func (o Options) unused(", "TestThreat/S03"},
	{"what is no HTTP is quoted", "tokencache/request.go", "written.Load() && !wordless(a.err) || ", "", "TestThreat/S03"},
	{"a header may repeat the secret", "tokencache/request.go", "slices.ContainsFunc(values, c.repeatedIn)", "slices.ContainsFunc(values, func(string) bool { return false })", "TestThreat/S03"},
	{"an error code may be the secret", "tokencache/ask.go", "if s.cred.repeatedIn(v.code) {", "if false {", "TestThreat/S03"},
	{"Redis may repeat its password", "tokencache/redis.go", "err = errors.New(said)", "_ = said", "TestThreat/S03"},
	{"a name that begins like loopback is loopback", "tokencache/credentials.go", "return err == nil && addr.IsLoopback()", `return err == nil && addr.IsLoopback() || strings.HasPrefix(host, "127.")`, "TestThreat/S02"},
	{"a sealed token may be of any type", "tokencache/record.go", " || r.body.Type != bearer", "", "TestThreat/S09"},
	{"the life of a sealed token may overflow", "tokencache/record.go", "r.body.TTL > maxLife.Milliseconds()", "r.ttl() > maxLife", "TestThreat/S09"},
	{"the id of a key is not sealed", "tokencache/internal/seal/seal.go", "data := append([]byte{version}, k.id[:]...)", "data := []byte{version}", "TestThreat/S06"},
	{"a stored window may last for ever", "quota/common.lua", "w.length > MAX_BLOCK or ", "", "TestThreat/S08"},
	{"an attempt may lie in the future", "quota/common.lua", " or at > now + SLACK", "", "TestThreat/S08"},
	{"a block is read in another way than the scripts do", "quota/block.go", "number == \"\" || len(number) > 15 || ", "", "FuzzStoredState"},
}
