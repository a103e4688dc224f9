// Package model checks the protocol of package tokencache: not its code, but
// what the code is meant to do, in every order in which it can happen. A test
// of the code sees some of the ways in which the steps of replicas and mishaps
// fall together. The model is small enough to see all of them.
//
//	go test ./tokencache/model                    a few seconds, small worlds and all mistakes
//	go test ./tokencache/model -v -args -large    a minute and a gigabyte, ten million states
//
// All of it is in test files, so nothing of it ships.
//
// # How it works
//
// A state is a moment of the fleet: what each replica holds, knows and is about
// to do, what is in Redis, how the token endpoint feels, and what has happened
// so far (state_test.go). From a state, each replica can take its next step
// (protocol_test.go), and time, Redis, the endpoint and the network can do
// something (faults_test.go). The search begins with a cold fleet and follows
// every step from every state, nearest first, until there is no new one
// (check_test.go). In each, the promises are checked (promises_test.go). The way
// to the first broken one is therefore a shortest one, and is printed step by
// step.
//
// A replica that is stopped is one that takes no step while others do. States
// that differ only in which replica is which are the same state.
//
// # What is left out
//
//   - A world is bounded: two to four replicas, a few ticks of time, and each
//     fault once or twice. Mistakes show in small worlds.
//   - A token lives for three ticks, or two after the provider has shortened
//     lives. The last tick is its renewal window. What takes less time than a
//     tick has an order and no length, so there are no timeouts: a lease ends
//     by itself only when nobody who lives has it, and by a fault otherwise.
//   - Each request has a moment of asking that no other one has, and the clock
//     of Redis never goes back.
//   - A step is what one script or one answer does. A token is issued, or not,
//     when the request is sent; the answer comes later, or is lost.
//   - The ledger is one block: either everybody may ask, or nobody. Windows,
//     priorities and the time to wait are those of package quota.
//   - A replica that dies is at once a cold one. It may take no step for long.
//   - There is one token, callers wait for it always, and news may come at any
//     time or never.
//   - Nothing is sealed, and nobody but the fleet writes to Redis.
//
// TestCommitScript runs the model's merge and commit.lua on the same records
// and floors, and compares what they make of them. The rest of the model is
// held to the code by reading.
//
// # What is promised
//
// The names in brackets are those of promises_test.go. With -large, each has
// been kept in as many states (in millions), up to 66 steps from the beginning:
//
//	8.4  One token request is in flight, and one more for each lease that was lost,
//	     also with the data of Redis. Requests past Redis have a budget
//	     of their own. (oneInFlight)
//	10   The record in Redis never goes back, but by loss, eviction and
//	     expiry. (storeNeverBack)
//	10   No replica goes back to an older token while it has a newer one that is
//	     valid. (neverBack)
//	8.8  No replica serves an expired token. (neverExpired)
//	10   There is one token a life, and one more for each fault: a lost lease, lost or
//	     evicted data, a death with what only the dead knew, a cut from Redis, a
//	     request past it, a rotation. Redis that loses its data and somebody's
//	     lease counts as both. (requestsBounded)
//	1.3  Who was told of a block asks nothing. Requests that bring no token are one
//	     for each time of trouble, and one for each loss. (blockHolds)
//	5.0  When a rotation is over, the token is none that the fleet had before, and
//	     nothing that was asked for earlier is adopted any more, until Redis
//	     loses its data. The eviction of the record is no excuse. (rotatedIsGone)
//	10   From every state, if no more faults happen, there is a way to one in which
//	     every replica has a valid token. (recovers)
//	10   If a replica has a token that all may have, and nobody is about to ask, there
//	     is a way without another token request. (recoversAtNoCost)
//
// # What it would notice
//
// A model that can break no promise shows nothing. So mistakes are planted
// (mistakes_test.go), and each must be found out, by the promise that it breaks:
// no look under the lease, the lease as a fence, a lease that is given back
// whoever has it, the last writer wins, an order by a count that is lost with
// the data, no giving back, an error of Redis that is taken for a held lease or
// for an absent token, blocks of which no copy is kept, a floor that nobody
// asks for, endless retries under the lease, a life that counts from the
// answer, and the five below. Every kind of step must also have been taken in some world.
//
// # What it found
//
// The first time, it found five mistakes of this package's own, which no test had
// met. They are mended, shown with the real parts in tokencache/late_test.go, and
// planted here:
//
//   - A token that was asked for past Redis before a forced renewal counted as
//     issued at the floor when its replica was back. If the one that was renewed
//     was gone, or expired earlier since lives had become shorter, the token
//     from before became the fleet's.
//   - A rotation was over with any token but the one that the replica had. If
//     Redis had lost the record and another replica gave it back meanwhile, the
//     token was the one that was to go.
//   - A rotation that somebody else's renewal had answered left no floor. If
//     Redis then evicted the record, a replica that had not looked yet gave back
//     the token that was rotated away.
//   - An answer counted as issued after what the replica had heard of while it
//     waited. If the lease was lost, a token asked for before a rotation so
//     replaced the one that came of it.
//   - An answer from past Redis replaced a newer token that the replica had heard
//     of while it waited.
//
// A sixth is one of words: a replica whose token has expired takes an older one
// that is still valid, if the provider has shortened lives in between.
package model
