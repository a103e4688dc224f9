// Package quota reads the quota header of a token endpoint, and keeps a ledger
// of the quota in Redis that a fleet shares. A request is sent only if the
// ledger has room for it, so nobody is refused for what somebody else has
// learnt already.
//
// # The header
//
// Auth0 tells with every answer to a client-credentials request what is left of
// the client's tokens, in fixed windows of a UTC hour and a UTC day:
//
//	Auth0-Client-Quota-Limit: b=per_hour;q=42;r=41;t=3540,b=per_day;q=100;r=99;t=82740
//
// b is the bucket, q the quota, r what remains, t the seconds until the bucket
// is full again. [ParseLimits] reads it, and whatever else is sent in its place:
// bare names, blanks, other orders and cases, missing parts. What cannot be read
// is "no observation" and never "nothing left". [RetryAfter] and [WaitOf] read how
// long a refusal asks to wait.
//
// # The ledger
//
// A [Ledger] is a hash in Redis, for one client of one token endpoint. Before a
// request is sent, [Ledger.Admit] asks whether it may be and counts it, in one
// step. When the answer is there, or is known not to come, [Ledger.Observe]
// accounts for it. [Ledger.Peek] and [Ledger.Journal] tell people.
//
// What is used of a bucket is a lower bound of the truth that only rises within
// a window: one more for each request that is admitted, and at least what the
// server shows. So
//
//   - the server's count may lag, as Auth0's does: what it does not show yet was
//     counted here before it was sent;
//   - others may use the same client: what they use shows in the header, and
//     what is admitted later counts on top;
//   - an answer that was lost, or whose renewer has died, counts as spent, as
//     the server may have counted it;
//   - an older answer that comes late raises nothing.
//
// It is taken back only if the request provably was not sent, or was refused.
//
// A window ends when the server's own t says, put right to the UTC hour or day
// where the header shows that windows end there. The next one is presumed to
// begin a guard of two seconds and a jitter later, drawn once for everybody, and
// to be empty until a header says otherwise.
//
// # Who goes first
//
// A [Priority] says how badly a token is needed, and leaves the more of every
// bucket the less it is. A token that is renewed early leaves a fifth; one that
// is replaced although it is valid has a tenth to spend and no more, so an API
// that refuses every token cannot burn the quota.
//
// # Blocks
//
// A refusal blocks a [Scope] for as long as the server asks, or for a time that
// doubles: the client for a spent quota, the tenant for its rate limit, one
// audience for a missing grant, one secret for being wrong. A success of a
// request that was sent later lifts the blocks it disproves. Nobody counts
// down by themselves: the end, with its jitter, is kept in Redis.
//
// What the ledger itself denies is no block, for a greater need may be granted.
// It is written down as well, until the next answer, so that a fleet need not ask
// one by one to be told the same: see [Snapshot].
//
// # Quotas that are only watched
//
// Auth0 can count a quota without enforcing it, and the header looks the same.
// So r=0 does not stop a fleet that has no token: one request, a probe, finds
// out. If it is refused, that is remembered for a week, and nobody tries again
// in a window that is spent. If it brings a token, the quota is only watched,
// until the first refusal. [Options] can say beforehand that it is enforced.
//
// # What it needs a lease for
//
// The ledger decides each question in one script, so any number of processes may
// ask at once, and it never admits more than what it knows to be left. But it
// does not keep them from asking at the same moment, and what it knows comes from
// answers. Two things hold only if the caller lets one process at a time go from
// Admit to Observe, with a lease such as that of package lock:
//
//   - A new window, or a ledger that was lost, is found out by one request. With
//     several in flight, all of them are let in before the first answer tells
//     how little is left.
//   - After a block, one request finds out whether it is over.
//
// TestWithoutALease shows the first. TestScenarios of package tokencache starts
// eight replicas at once, with sixty tokens to get from a quota of forty-two,
// while answers lag, lose their header or get lost: under the lease, nobody is
// refused for what an answer had told.
//
// # When things go wrong
//
//	fault                          what happens
//	Redis does not answer          an error that is no [*DeniedError]: do not send
//	a reply of Redis is lost       the client repeats the script, which knows the last 32 attempts and
//	                               counts them once
//	the state is lost              one request finds out, as on the first day
//	the state is damaged           what does not read as it should, or cannot be, counts as absent
//	the asker dies                 its attempt stays counted, and shows in the journal without an outcome
//	no header, or none to read     own counts, and blocks, go on
//	the clock of Redis jumps       windows end early or late by as much, until the next header; a window
//	                               or a denial that would last longer than it can counts as absent
//
// All times are those of the Redis server. No clock of a caller is compared with
// it, or with another's.
package quota
