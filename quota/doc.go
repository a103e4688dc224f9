// Package quota reads the quota header of a token endpoint, and keeps a ledger of the
// quota in Redis, which a fleet shares. A request is sent only if the ledger has room for
// it. So no replica is refused for a reason that another replica has met already.
//
// # The header
//
// With every answer to a client-credentials request, Auth0 reports how many tokens the
// client has left in the current UTC hour and UTC day:
//
//	Auth0-Client-Quota-Limit: b=per_hour;q=42;r=41;t=3540,b=per_day;q=100;r=99;t=82740
//
// b is the bucket, q the quota, r what remains, t the seconds until the bucket
// is full again. [ParseLimits] reads it, also with other names, blanks, orders and cases,
// and with parts missing. What cannot be read counts as no observation, never as nothing
// left. [RetryAfter] and [WaitOf] read how long a refusal asks to wait.
//
// # The ledger
//
// A [Ledger] is a hash in Redis, for one client of one token endpoint. Before a request is
// sent, [Ledger.Admit] decides whether it may be sent, and counts it, in one step. When the
// answer has come, or cannot come any more, [Ledger.Observe] accounts for it. [Ledger.Peek]
// and [Ledger.Journal] show the ledger to people.
//
// The use of a bucket is a lower bound that only rises within a window. Each admitted
// request adds one, and it is at least what the server reports. So
//
//   - the server's count may lag, as Auth0's does: requests that it does not report yet were
//     counted here before they were sent;
//   - other programs may use the same client: the header reports their use, and requests
//     admitted later count on top of it;
//   - a request whose answer was lost, or whose replica has died, counts as spent, since the
//     server may have counted it;
//   - an answer that arrives late raises nothing.
//
// A request is uncounted only if it was certainly not sent, or was refused.
//
// A window ends when the server's t says, rounded to the UTC hour or day if the header
// shows that windows end there. The next window is assumed to begin two seconds and a
// jitter later, and to be empty until a header says otherwise. The jitter is drawn once
// for the fleet.
//
// # Priorities
//
// A [Priority] says how badly a token is needed. The lower it is, the more of every bucket it
// leaves to others. An early renewal leaves a fifth. The replacement of a valid token has a
// budget of a tenth, so an API that refuses every token cannot spend the quota.
//
// # Blocks
//
// A refusal blocks a [Scope] for as long as the server asks, or for a time that
// doubles: the client for a spent quota, the tenant for its rate limit, one audience for a
// missing grant, one secret for being wrong. A request that was sent later and succeeds
// lifts the blocks that it disproves. The end of a block, with its jitter, is kept in
// Redis, so all replicas retry by the same clock.
//
// What the ledger denies is not a block, since a higher priority may be granted. It is kept
// until the next answer as well, so that the replicas of a fleet need not ask one by one to
// be denied the same: see [Snapshot].
//
// # Quotas that are not enforced
//
// Auth0 can count a quota without enforcing it, and the header looks the same. So r=0 does
// not stop a fleet that has no token: one request, a probe, finds out. If the probe is
// refused, the ledger remembers that for a week, and admits no request in a window that is
// spent. If it brings a token, the quota counts as advisory until the first refusal.
// [Options] can declare beforehand that it is enforced.
//
// # Why a lease is needed
//
// The ledger decides each question in one script. Any number of processes may ask at once,
// and it never admits more than it knows to be left. But what it knows comes from answers,
// and it does not keep processes from asking at the same time. Two properties hold only if
// the caller lets one process at a time go from Admit to Observe, with a lease such as that
// of package lock:
//
//   - A new window, or a lost ledger, costs one request to find out. With several in flight,
//     all are admitted before the first answer reports how little is left.
//   - After a block, one request finds out whether it has ended.
//
// TestWithoutALease shows the first. TestScenarios of package tokencache starts eight
// replicas at once, with sixty tokens to get from a quota of forty-two, while answers lag,
// lose their header or get lost: under the lease, no request is refused for a reason that
// an earlier answer had reported.
//
// # Faults
//
//	fault                          what happens
//	Redis does not answer          an error that is no [*DeniedError]: do not send
//	a reply of Redis is lost       the client repeats the script, which knows the last 32 attempts and
//	                               counts them once
//	the state is lost              one request finds out, as for a new client
//	the state is damaged           a field that cannot be read, or cannot be true, counts as absent
//	a replica dies                 its attempt stays counted, and is in the journal without an outcome
//	no header, or none to read     the ledger goes by its own counts, and by blocks
//	the clock of Redis jumps       windows end early or late by as much, until the next header; a window
//	                               or a denial that would last longer than it can counts as absent
//
// All times are those of the Redis server. No clock of a caller is compared with
// it, or with another's.
package quota
