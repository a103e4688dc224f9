// Package model checks the decisions of package replica in every order in which the
// steps of a fleet can happen. A test of the whole library sees some of the ways in
// which steps of replicas and faults fall together. The worlds of this package are small
// enough to see all of them.
//
//	go test ./tokencache/model                    a few seconds: small worlds, and all mistakes
//	go test ./tokencache/model -skip Plan -v -timeout 30m -args -large
//	                                              five minutes and eight gigabytes: fifteen million states
//	go test ./tokencache/model -run Plan -v -timeout 1h -args -large
//	                                              a quarter of an hour and half a gigabyte: 100,000 replicas
//	                                              for thirty days; a minute with -run Plan/10h
//
// All of it is in test files, so nothing of it ships.
//
// # How it works
//
// A state is what each replica holds, knows and is about to do, what is in Redis, how the
// token endpoint answers, and what has happened so far (state_test.go). From a state, each
// replica can take its next step (shell_test.go), and time, Redis, the endpoint and the
// network can do something (faults_test.go). The search begins with a cold fleet and
// follows every step from every state, nearest first, until there is no new one
// (check_test.go). In each, the promises are checked (promises_test.go). The way to the
// first broken promise is therefore a shortest one, and is printed step by step.
//
// What a replica decides is not modelled. What is remembered of it makes a replica.State,
// the transitions that ship are applied to that, their invariants are checked, and what
// came of them is remembered (core_test.go). The shell around it, which does the I/O, is
// written down here once more. Its order is held to the table of package trace in every
// step, and so is each refresh of the stories of package tokencache: a trace that was
// recorded there is a path here.
//
// A replica that is stopped is one that takes no step while others do. States that differ
// only in which replica is which are the same state.
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
//   - A token lives for three ticks, or two after the provider has shortened lifetimes.
//     The last tick is its renewal window. What takes less time than a tick has an order
//     and no length, so there are no timeouts: a lease ends by itself only when no live
//     replica has it, and by a fault otherwise.
//   - Token requests are sent at times that differ, and the clock of Redis never goes back.
//   - A step is what one script or one answer does. A token is issued, or not, when the
//     request is sent; the answer comes later, or is lost. No other reply is lost.
//   - The ledger is one block: either every replica may send a request, or none. Windows,
//     priorities and the time to wait are those of package quota.
//   - A replica that dies is at once a cold one. It may take no step for long. When a
//     replica would refresh next is not remembered, so it may at any time.
//   - There is one token, callers wait for it always, and notifications may come at any
//     time or never. Their age is known, so no life is an estimate.
//   - Nothing is encrypted, and only the fleet writes to Redis.
//
// TestCommitScript runs the merge of this package and commit.lua on the same records and
// earliest issues, and compares what they make of them.
//
// # What is promised
//
// The names in brackets are those of promises_test.go.
//
//	One token request is in flight, and one more for each lease that was lost, also with the
//	data of Redis. Requests without Redis have a budget of their own. (oneInFlight)
//	The record in Redis never goes back, but by loss, eviction and expiry. (storeNeverBack)
//	No replica goes back to an older token while it has a newer one that is valid. (neverBack)
//	No replica serves an expired token. (neverExpired)
//	There is one token a life, and one more for each fault: a lost lease, lost or evicted
//	data, a death with what only the dead replica knew, a cut from Redis, a request without
//	it, a rotation. Redis that loses its data and a lease counts as both. (requestsBounded)
//	A replica that knows of a block sends no request. Requests that bring no token are one
//	for each time of trouble, and one for each loss. (blockHolds)
//	When a rotation is over, the token is none that the fleet had before, and nothing that
//	was requested earlier is adopted any more, until Redis loses its data. The eviction of
//	the record is no excuse. (rotatedIsGone)
//	From every state, if no more faults happen, there is a way to one in which every replica
//	has a valid token. (recovers)
//	If a replica has a token that all may have, and none is about to send a request, there is
//	such a way without another token request. (recoversAtNoCost)
//	The invariants of package replica hold after every transition. (invariants)
//	The steps of a refresh are in the order of package trace. (inOrder)
//
// # What it would notice
//
// A checker that finds nothing shows nothing. So mistakes of the shell are planted
// (mistakes_test.go), and each must be found, by the promise that it breaks. Mistakes of
// the core are planted into the code that ships, by e2e/planted.
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
//   - A replica whose token has expired takes an older one that is still valid, if the
//     provider has shortened lifetimes in between.
//
// All but the last, which is right, are mended, and shown with the real parts in
// tokencache/late_test.go.
package model
