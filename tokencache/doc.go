// Package tokencache shares one OAuth 2.0 machine-to-machine token among all
// replicas of a fleet, through Redis.
//
// A provider gives each client a bearer token that lives for hours, and a quota
// of a few dozen token requests an hour. A fleet in which each replica keeps a
// token of its own spends a request for each replica at every start, deploy and
// expiry, until it is locked out. Here, one replica asks, and all have it.
//
//	rdb := tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}})
//	cache, err := tokencache.New(rdb, nil)
//	source, err := cache.Source(tokencache.Credentials{TokenURL: …, ClientID: …, ClientSecret: …, Audience: …})
//	client := source.Client(ctx) // an *http.Client whose requests carry the token
//
// # What it promises
//
//  1. A replica that holds a valid token serves it from memory: no lock, no I/O,
//     no allocation, whatever happens to Redis or the token endpoint.
//  2. A token is renewed in the background while the old one is valid. In steady
//     state no caller ever waits.
//  3. Without faults the fleet makes ceil(H / (TTL − W)) token requests in a time
//     H, however many replicas, goroutines, restarts and deploys; W is the
//     renewal window, an hour by default. Each fault adds one at most.
//  4. One replica at a time speaks to the token endpoint for a client, and what it
//     learns is the fleet's before the next request is sent. No request is sent
//     that the ledger of the quota knows to be refused.
//  5. A broken lock costs quota, never correctness.
//  6. No replica serves a token past its expiry, whatever its clock says, also
//     after a suspend; and none goes back to an older one.
//  7. Secrets and tokens are in no log, error, hook, journal or lock, and not in
//     clear in Redis.
//  8. Every wait ends with the caller's context, and the request that others wait
//     for goes on.
//
// # What it does not promise
//
// It does not promise exactly one token request. No lock on one Redis can: a
// failover may lose it. Two holders cost one request, and the fleet ends with the
// newer token.
//
// It does not promise a token while Redis is away and none is in memory. It
// refuses then, at once, since every replica for itself is what spends a quota;
// [Options].RedisDownBudget allows each a small budget.
//
// It cannot revoke. A token that was rotated away stays valid at the API until it
// expires, and a replica that is partitioned from Redis goes on using it.
//
// Whoever takes the token from one replica has what all have, and the API cannot
// tell them apart: give those that shall not share that fate clients of their
// own. The token and the client secret are in the memory of each replica, and so
// in its core dumps.
//
// Whoever has the client secret, or a sealing key, and can read Redis, can read
// the token. Whoever can write Redis can delete or hold back tokens, and put
// back an older one that is still valid, but can neither read nor forge one.
// What passes between a replica and Redis is no more than that, but for the
// password of Redis: use TLS where others may listen.
//
// # The way of a token
//
// Each replica runs the same loop; renew.go has it, top to bottom.
//
//	serve   a valid token in memory          → return it
//	look    renewal is due, or there is none → one command: record, lease, blocks, denials, time
//	          newer than mine                → adopt it
//	          gone, and mine is good         → give it back to the fleet
//	wait    somebody holds the lease
//	          mine is valid                  → serve it; look again when the lease would end
//	          I have none                    → until news, the lease's end, or the caller leaves
//	rest    nobody does, and the ledger has denied to others what I need
//	                                         → until that may be granted; look again every minute
//	                                           meanwhile, while somebody calls
//	renew   I got the lease: I am the renewer
//	          look again                     → the last renewer may have been faster
//	          admit                          → the ledger counts the request, or denies it
//	          ask                            → one HTTP request, which ends before the lease does
//	          serve, commit, account         → callers here, then the fleet, then the ledger
//	          give the lease back, and say so
//
// The lease is one per client (token URL and client id), since that is what the
// server counts. The renewer asks for each of its tokens of that client that is
// due, those it does not have first.
//
// The renewer of a token looks for the next one at the beginning of the window,
// all others at a moment of their own in the first tenth of it, drawn once for
// each token. So in steady state they find the new token when they look, and
// nobody meets a lease. The moments leave time for three renewers in a row to die
// before the token expires.
//
// A replica listens to news only while a caller waits, or always with
// [Options].Subscribe. News is a hint; the timers are the guarantee. It listens
// before it tries for the lease, and looks again after it began to listen, so
// nothing falls in between.
//
// # Fresh, stale, expired
//
// A token is fresh until its renewal window begins, stale in it, and expired a
// little before its expiry: ten seconds, or a twentieth of a short life, for it
// has to travel. A fresh one is served; a stale one is served and renewed; an
// expired one is never served.
//
// A source that nobody asked for a token during the whole of its life is left to
// expire. The next call gets the fleet's.
//
// # In Redis
//
// All keys of one client share a hash tag, so that a script sees them together,
// also in a Cluster. What they stand for is hashed.
//
//	…{client}:token:<id>   the record: issued, expires, sealed token  until it expires
//	…{client}:floor:<id>   when its last forced renewal was           two months
//	…{client}:lock         the lease, with its holder's name          20 s
//	…{client}:quota        the ledger; see package quota              eight days
//	…{client}:journal      who asked for a token, when, why, and what came of it
//	…{client}:news         a channel: a new record; "look"
//
// Of two records, the one that was issued later wins, whoever comes last and
// however often (commit.lua). That merge is commutative, associative and
// idempotent, so nothing depends on the lease being intact; and a token that
// expires before the one it replaces, as when a provider shortens their lives,
// still replaces it. A forced renewal, by [Source.Invalidate] or [Source.Rotate], is
// a floor: no record that was issued before it is adopted any more.
//
// Every script is safe to repeat, as Redis clients do when a reply is lost.
//
// # Clocks
//
// No clock is compared with another host's. A token's expiry is kept in the time
// of Redis: what Redis showed before the request was sent, and the lifetime,
// counted from then. A reader turns it into a duration with the time that came
// with the same look, counted from before that look was sent. Each step can only
// make it shorter. Blocks and quota windows are kept in the same way.
//
// Within a process, the age of a token is measured by the monotonic clock, which
// stands still while a machine sleeps, and by the wall clock, which can be set;
// whichever says more is believed. If they part, the replica looks again.
//
// The one clock that is trusted is that of Redis, not to go back. If it does, as
// by a failover to a host that is behind, whoever held the token is not deceived,
// for the time that was left never grows. A replica without one may take the
// fleet's for younger than it is, but never for longer than its whole life; then
// the API refuses it, and it is replaced. Whoever may publish to the channel can
// deceive a new replica in the same way, and within the same bounds.
//
// # Sealing
//
// Tokens are sealed with AES-256-GCM and bound to their key, issue and expiry.
// The key is derived from the client secret, or given by [Options].EncryptionKeys. With a
// derived key the record's name depends on the key: while a new secret rolls
// out, the fleet has two tokens, and nobody fights. With given keys the token is
// shared across secrets.
//
// A record under an unknown key is a mistake in somebody's configuration: it is
// said, and no token request is made for it. A damaged record is replaced, by
// those who hold a good token at no cost, by others within the budget for forced
// renewals.
//
// # When things go wrong
//
//	fault                          what callers see                          what it costs                          shown by
//	Redis away, token held         nothing, until it expires                 nothing                                RedisAwayWithAToken, Fault/13-22
//	Redis away, no token           *RedisError at once                       nothing, or the budget of Direct       RedisAwayWithoutAToken, Direct
//	Redis refuses, hangs, is full  nothing; with no token *RedisError        nothing                                Fault/28-30, 38, 70
//	Redis loses its data           nothing; replicas give their token back   a request, if a cold one comes first    RedisLosesAll, Fault/26, 27, 69
//	failover loses the lease       nothing; the newer token wins             a request                              Fault/31-37
//	the renewer dies               nothing; the next one has the lease       a request, if the answer was lost      RenewerDies, Fault/01-04
//	                               after 20 s; only the cold wait
//	the endpoint is down           nothing, until the token expires; then    what the server may have counted       RenewalFails, Fault/51-56
//	                               *RequestError or *quota.DeniedError
//	quota spent (429)              nothing, until the token expires; then    nothing: all wait for the same moment  QuotaExceeded, Fault/47-50
//	                               *quota.DeniedError with the moment
//	wrong secret                   *RequestError of class credentials        nothing for those with the right one   QuotaUnderAttack, Fault/52, 60
//	API refuses the token          nothing: replaced once, call replayed     a request for the whole fleet          BurstOf401s, Fault/59
//	API refuses every token        the API's own 401                         a tenth of the quota                   APIRefusesEveryToken
//	a replica sleeps               the first call after it gets a valid one  nothing                                Suspend, Fault/44
//	a clock is wrong, or is set    nothing                                   nothing                                ClocksAreOff, Fault/41-45
//	one is set ahead, Redis away   as if the token had ended by that clock   nothing                                ClockIsSetAheadWithoutRedis
//	a sealing key is wrong         ErrSealKey                                nothing                                WrongSealKey
//	somebody writes our keys       nothing, or a denial                      a tenth of the quota                   DamagedRecord, Fault/63-71
//	lives become shorter           nothing; the newer token wins             nothing                                TokensBeginToLiveShorter
//	the endpoint repeats a token   nothing; Reject says so                   some requests, the shorter it lives    SameTokenAgain
//
// The last column names tests: go test ./... -run 'Fault/13'. Package model, which
// is nothing but tests, goes through every state of the protocol.
//
// Errors of this package are [*Error]; what it wraps says why. If it is the quota or
// the token endpoint, it says when the next attempt is; if it is Redis, the next
// caller finds out whether it is back.
package tokencache
