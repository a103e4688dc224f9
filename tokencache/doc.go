// Package tokencache shares one OAuth 2.0 machine-to-machine token among all
// replicas of a fleet, through Redis.
//
// A provider gives each client a bearer token that lives for hours, and a quota
// of a few dozen token requests an hour. A fleet in which each replica keeps a
// token of its own spends a request for each replica at every start, deploy and
// expiry, until it is locked out. With this package, one replica requests the
// token, and all have it.
//
//	rdb := tokencache.NewRedisClient(&redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}})
//	cache, err := tokencache.New(rdb, nil)
//	source, err := cache.Source(tokencache.Credentials{TokenURL: …, ClientID: …, ClientSecret: …, Audience: …})
//	client := source.Client(ctx) // an *http.Client whose requests carry the token
//
// # Guarantees
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
//  6. No replica serves a token past its expiry, whatever its clock shows, also
//     after a suspend; and none goes back to an older one. The one clock that is
//     trusted is that of Redis, not to go back; see Clocks.
//  7. Secrets and tokens are in no log, error, hook, journal or lock, and not in
//     clear in Redis.
//  8. Every wait ends with the caller's context, and the request that others wait
//     for goes on.
//
// # What is not guaranteed
//
// Exactly one token request is not guaranteed. No lock on one Redis can do that: a
// failover may lose it. Two lease holders cost one request, and the fleet ends with
// the newer token.
//
// A replica that has no token gets none while Redis is unreachable. Callers get an
// error at once, since replicas that each ask for themselves are what spends a
// quota. [Options].RedisDownBudget allows each a small budget.
//
// This package cannot revoke a token. One that was rotated stays valid at the API
// until it expires, and a replica that is cut off from Redis goes on using it.
//
// An attacker who takes the token from one replica has the token of all, and the API
// cannot distinguish them: give applications that must not share that risk clients of their
// own. The token and the client secret are in the memory of each replica, and so in
// its core dumps.
//
// An attacker who has the client secret or an encryption key, and can read Redis, can read
// the token. One who can write Redis can delete or hold back tokens, and put back an
// older one that is still valid, but can neither read nor forge one. The connection
// between a replica and Redis carries the password of Redis: use TLS where others
// may listen.
//
// # How the code is laid out
//
// The decisions of one replica are a value, in internal/replica: a pure state with
// transitions, which package tokencache/model explores in every order of events.
// This package is the shell around it:
//
//	source.go        what callers call, cache.go what makes it
//	wait.go          callers: from memory, or waiting
//	refresh.go       the way of a token: fetch it, and renew it unless another replica does
//	coldstart.go     the first refresh, in as few round trips as there can be
//	renew.go         the lease, the token request and the commit, in order
//	redisdown.go     requests while Redis cannot be used
//	meanwhile.go     what other replicas do during a token request of this one
//	subscription.go  notifications
//	client.go        the state of one OAuth client, one lock, one timer
//	turns.go         how many refreshes a process does at once
//	held.go          the token that callers are served from
//	host.go          what all clients of a Cache share
//
// No two files need each other: each uses only those below it.
//
// internal/endpoint sends the token request and classifies the answer.
// internal/store is the fleet's state in Redis.
//
// # The way of a token
//
//	serve   a valid token in memory           → return it
//	fetch   renewal is due, or there is none  → one command: record, lease, blocks, denials, time
//	          the fleet's is newer            → adopt it
//	          Redis has lost it               → write it back
//	wait    another replica holds the lease
//	          the token here is valid         → serve it; fetch again when the lease would end
//	          callers wait                    → until a notification, the lease's end, or they leave
//	deny    the ledger has denied others what this replica needs
//	                                          → wait until that may be granted; fetch again every
//	                                            minute meanwhile, while callers wait
//	renew   under the lease
//	          fetch again                     → the last lease holder may have been faster
//	          admit                           → the ledger counts the request, or denies it
//	          request                         → one HTTP request, which ends before the lease does
//	          serve, commit, report           → callers here, then the fleet, then the ledger
//	          release the lease, and publish that
//
// A replica that starts cold probes two keys first. If the lease is free, taking it,
// fetching and admitting are one round trip.
//
// The lease is one per client (token URL and client id), since that is what the
// server counts. The lease holder requests each of its tokens of that client that
// is due, those that callers wait for first.
//
// The replica that requested a token looks for the next one at the beginning of the
// renewal window, all others at a random time in the first tenth of it, drawn once
// for each token. So in steady state they find the new token when they fetch, and
// meet no lease. That leaves time for three lease holders in a row to die before the
// token expires.
//
// A replica subscribes to notifications while a caller waits, or always with
// [Options].Subscribe. A notification is a hint; the timer is the guarantee.
//
// # Fresh, stale, expired
//
// A token is fresh until its renewal window begins, stale in it, and expired a
// little before its expiry: ten seconds, or a twentieth of a short life, for it
// has to travel. A fresh one is served; a stale one is served and renewed; an
// expired one is never served.
//
// A source without callers during the whole life of a token lets it expire. The
// next call gets the fleet's.
//
// # Cost
//
// In a simulation of 100,000 replicas that run for thirty days with tokens of ten hours
// and are restarted once within an hour, the fleet makes 80 token requests, and sends
// Redis 8.8 million commands: six from each replica when all start at once, three from
// each at the restart, and one from each for each later token. Redis receives 350 commands
// in a second at most while a token is renewed, 5,000 while all replicas start within
// a minute, and 600,000 if all start in one instant.
//
//	go test ./tokencache/model -run 'Plan/10h|PlanColdStart' -v -args -large
//
// # In Redis
//
// All keys of one client share a hash tag, so that a script sees them together,
// also in a Cluster. What they stand for is hashed.
//
//	…{client}:token:<id>   the record: issued, expires, encrypted token  until it expires
//	…{client}:floor:<id>   the earliest issue that may be adopted        two months
//	…{client}:lock         the lease, with its holder's name             20 s
//	…{client}:quota        the ledger; see package quota                 eight days
//	…{client}:journal      who requested a token, when, why, and with what outcome
//	…{client}:news         a channel: a new record; the lease is free
//
// Of two records, the one that was issued later wins, in whatever order they come and
// however often (commit.lua). That merge is commutative, associative and
// idempotent, so nothing depends on the lease being intact; and a token that
// expires before the one it replaces, as when a provider shortens lifetimes,
// still replaces it. After a forced renewal, by [Source.Invalidate] or
// [Source.Rotate], no record that was issued before it is adopted any more.
//
// Every script is safe to repeat, as Redis clients do when a reply is lost.
//
// # Clocks
//
// No clock is compared with another host's. A token's expiry is kept in the time
// of Redis: what Redis showed before the request was sent, and the lifetime,
// counted from then. A reader turns it into a duration with the time that came
// with the same fetch, counted from before that fetch was sent. Each step can only
// make it shorter. Blocks and quota windows are kept in the same way.
//
// Within a process, the age of a token is measured by the monotonic clock, which
// stands still while a machine sleeps, and by the wall clock, which can be set;
// whichever says more is believed. If they part, the replica fetches again.
//
// The age of a token that came by a notification is an estimate, since it is not
// known when the notification was published. An estimate bounds how long the token
// is served. It is no reason for a token request: the replica fetches first.
//
// If the clock of Redis goes back, as by a failover to a host that is behind, a
// replica that held the token is not deceived, for the time that was left never
// grows. A replica without one may take the fleet's for younger than it is, but
// never for longer than its whole lifetime; then the API refuses it, and it is
// replaced. An account that may publish to the channel can deceive a new replica in the same
// way, and within the same bounds.
//
// # Encryption
//
// Tokens are encrypted with AES-256-GCM and bound to their key, issue and expiry.
// The key is derived from the client secret, or given by [Options].EncryptionKeys.
// With a derived key the record's name depends on the key: while a new secret rolls
// out, the fleet has two tokens, side by side. With given keys the token is shared
// across secrets.
//
// A record under an unknown key is a mistake in a configuration: callers get
// [ErrEncryptionKey], and no token request is made for it. A damaged record is
// replaced, by replicas that hold a good token at no cost, by others within the
// budget for forced renewals.
//
// # Faults
//
//	fault                          what callers see                          what it costs                          shown by
//	Redis is down, token held      nothing, until it expires                 nothing                                RedisAwayWithAToken, Fault/13-22
//	Redis is down, no token        *RedisError at once                       nothing, or the RedisDownBudget        RedisAwayWithoutAToken, Direct
//	Redis refuses, hangs, is full  nothing; with no token *RedisError        nothing                                Fault/28-30, 38, 70
//	Redis loses its data           nothing; replicas write their token back  a request, if a cold one comes first    RedisLosesAll, Fault/26, 27, 69
//	failover loses the lease       nothing; the newer token wins             a request                              Fault/31-37
//	the lease holder dies          nothing; the next one has the lease       a request, if the answer was lost      RenewerDies, Fault/01-04
//	                               after 20 s; only cold callers wait
//	the endpoint is down           nothing, until the token expires; then    what the server may have counted       RenewalFails, Fault/51-56
//	                               *RequestError or *quota.DeniedError
//	quota exhausted (429)          nothing, until the token expires; then    nothing: all wait for the same time    QuotaExceeded, Fault/47-50
//	                               *quota.DeniedError with that time
//	wrong secret                   *RequestError of class credentials        nothing for those with the right one   QuotaUnderAttack, Fault/52, 60
//	API refuses the token          nothing: replaced once, call replayed     a request for the whole fleet          BurstOf401s, Fault/59
//	API refuses every token        the API's own 401                         a tenth of the quota                   APIRefusesEveryToken
//	a replica sleeps               the first call after it gets a valid one  nothing                                Suspend, Fault/44
//	a clock is wrong, or is set    nothing                                   nothing                                ClocksAreOff, Fault/41-45
//	one is set ahead, Redis down   as if the token had expired by that clock nothing                                ClockIsSetAheadWithoutRedis
//	an encryption key is wrong     ErrEncryptionKey                          nothing                                WrongSealKey
//	others write our keys          nothing, or a denial                      a tenth of the quota                   DamagedRecord, Fault/63-71
//	lifetimes become shorter       nothing; the newer token wins             nothing                                TokensBeginToLiveShorter
//	the endpoint repeats a token   nothing; Invalidate reports it            some requests, the shorter it lives    SameTokenAgain
//
// The last column names tests: go test ./... -run 'Fault/13'.
//
// Errors of this package are [*Error]; what it wraps says why. If it is the quota or
// the token endpoint, it names the time of the next attempt; if it is Redis, the next
// caller finds out whether it can be used again.
package tokencache
