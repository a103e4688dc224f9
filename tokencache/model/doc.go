// Package model checks the decisions of package replica in every order in which the
// steps of a fleet can happen. A test of the whole library sees some of the ways in
// which steps of replicas and faults fall together. The worlds of this package are small
// enough to see all of them.
//
//	go test ./tokencache/model                    15 seconds: small worlds, and all mistakes
//	go test ./tokencache/model -skip Plan -v -timeout 30m -args -large
//	                                              a quarter of an hour, 16 gigabytes: 73 million states
//	go test ./tokencache/model -run Plan -v -timeout 1h -args -large
//	                                              a quarter of an hour and half a gigabyte: 100,000 replicas
//	                                              for thirty days; a minute with -run Plan/10h
//
// All of it is in test files, so nothing of it ships.
//
// # How it works
//
// A state consists of the replicas and of the world around them: what is in Redis, how the
// token endpoint answers, the time, and what has happened so far (world_test.go,
// search_test.go). Each replica is the replica.State that ships, the place of its refresh
// in the table of package trace, and what its shell has in hand there (process_test.go).
// From a state, each replica can take its next step (shell_test.go, coldstart_test.go,
// request_test.go), notifications, operators and faults can reach it (callers_test.go),
// and time, Redis and the endpoint can change (faults_test.go). The search begins with a
// cold fleet and follows every step from every state, nearest first, until there is no new
// one. After each step the promises are checked (promises_test.go, recovery_test.go). The
// way to the first broken promise is therefore a shortest one, and is printed step by step.
//
// What a replica decides is not modelled: the transitions that ship decide, and State.Next
// says when a refresh is due. The invariants of package replica are checked after each. The
// shell, which does the I/O, is written down here once more. Each of its steps goes along
// rows of the table of package trace, and so does each refresh of the stories of package
// tokencache: a trace that was recorded there is a path here. All rows are taken that one
// token can take.
//
// Replicas that are equal are one. They are made equal in what can make no difference: a
// deadline that has passed, a wait of less than a quarter of a tick, the words of an error,
// and the part of a tick at which something was measured (process.forget). All of them run
// the same program, so states that differ only in which replica is which are the same
// state. A replica that is stopped is one that takes no step while others do.
//
// # A fleet on a virtual clock
//
// The explorer sees every order of events, and no amounts. For amounts, TestPlan runs the
// decisions of 100,000 replicas for thirty days on a virtual clock, without Redis and
// without faults, and counts the token requests and the commands that Redis receives.
// The figures are in the documentation of package tokencache, under Cost.
//
// The simulated Redis and network are never busy: a command takes a millisecond however
// many come at once, so a peak shows the load, and not how a Redis bears it. The quota
// admits every token request. The clocks of a replica agree, and callers use each replica
// all the time. The steps of sampled replicas are held to the table of package trace,
// and the states of sampled transitions to the invariants of package replica.
//
// # What the explorer leaves out
//
//   - A world is bounded: two to four replicas, a few ticks of time, and each fault once
//     or twice. Mistakes show in small worlds.
//   - A tick is an hour. A token lives for three, or two after the provider has shortened
//     lifetimes. The last tick is its renewal window. What takes less than a quarter of a
//     tick has an order and no length: a replica that retries within a minute may do so at
//     once, or much later. All random numbers are zero.
//   - A lease ends by itself only when no live replica has it, and by a fault otherwise. A
//     replica that is stopped for a tick finds that its lease has ended. It may be stopped
//     after it has found that there is time, as a fault.
//   - The clocks of all hosts show the same time, and that of Redis never goes back.
//   - A step is what one script or one answer does. A token is issued, or not, when the
//     request is sent; the answer comes later, or is lost. The replies of Redis come at once,
//     come late or are lost; the last two are faults, but for the reply of a cold start.
//   - The ledger is one block, or one quota that is spent, until the next tick. Windows and
//     priorities are those of package quota.
//   - A replica that dies is at once a cold one. It may take no step for long.
//   - There is one token, and one way to request it. Callers wait for it always.
//   - A notification carries the record that is in Redis, and may come at any time or never.
//   - Nothing is encrypted, and only the fleet writes to Redis.
//   - A token that was requested without Redis is dated when a reply of Redis is applied,
//     as old as it can be. So a late reply makes it count as older than it is.
//
// TestCommitScript runs the merge of this package and commit.lua on the same records and
// earliest issues, and compares what they make of them.
//
// # What is promised
//
// The names are those of promises_test.go. With -large, each promise has been kept in as
// many states (in millions):
//
//	57   oneInFlight       One token request is in flight, and one more for each lease that
//	                       was lost, also with the data of Redis. Requests without Redis
//	                       have a budget of their own.
//	73   storeNeverBack    The record in Redis never goes back, but by loss, eviction and
//	                       expiry.
//	73   neverBack         No replica goes back to an older token while it has a newer one
//	                       that is valid.
//	27   neverExpired      No replica serves an expired token.
//	73   requestsBounded   There is one token a life, and one more for each fault: a lost
//	                       lease, lost or evicted data, a lost reply, a death with what only
//	                       the dead replica knew, a cut from Redis, a request without it, a
//	                       rotation, a token that an API refused. Redis that loses its data
//	                       and a lease counts as both.
//	 4   blockHolds        A replica that knows of a block sends no request. Requests that
//	                       bring no token are one for each tick of trouble, and one for each
//	                       loss.
//	60   rotatedIsGone     When a rotation is over, the token is none that the fleet had
//	                       before, and nothing that was requested before it began is adopted
//	                       by what is read after that, until Redis loses its data. The
//	                       eviction of the record is no excuse.
//	73   recovers          From every state, if no more faults happen, there is a way to one
//	                       in which every replica has a valid token: at once, or in the next
//	                       tick if a block or the quota holds requests back.
//	70   recoversAtNoCost  If a replica has a token that all may have, and none is about to
//	                       send a request, there is such a way without another token request,
//	                       and without waiting for a tick.
//	73   invariants        The invariants of package replica hold after every transition.
//
// # What it would notice
//
// A checker that finds nothing shows nothing. So mistakes of the shell and of Redis are
// planted (mistakes_test.go), and each must be found, by the promise that it breaks. Mistakes
// of the core are planted into the code that ships, by e2e/planted, and each must be found by
// the subtest of TestPromises that has the name of the promise.
//
// # What it found
//
//   - A token that was requested without Redis before a forced renewal counted as issued at
//     the earliest issue that may be adopted, and so became the fleet's.
//   - A rotation was over with any token but the one that the replica had. If Redis had lost
//     the record and another replica wrote it back meanwhile, that was the one to go.
//   - A rotation that another replica's renewal had ended did not bound what is adopted. If
//     Redis then evicted the record, the token that was rotated away came back.
//   - An answer counted as issued after what the replica had heard of while it waited. If the
//     lease was lost, a token requested before a rotation so replaced the one that came of it.
//   - An answer to a request without Redis replaced a newer token that the replica had heard
//     of while it waited.
//   - A reply that was sent before a token was issued measured the age of that token, which
//     a notification had brought meanwhile. So the token looked old, and one more was
//     requested.
//   - A newer token that had expired before a slow reply was applied replaced one that was
//     valid, if the provider had shortened lifetimes in between.
//   - A replica whose token has expired takes an older one that is still valid, if the
//     provider has shortened lifetimes in between.
//
// All but the last, which is right, are mended. They are shown with the real parts in
// tokencache/late_test.go, and those about slow replies in replica/adopt_test.go.
package model
