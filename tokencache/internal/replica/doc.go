// Package replica decides. Its State is all that one replica knows of one OAuth
// client: the tokens in memory and what each needs, who waits, why there is no token,
// which blocks hold requests back, the outage of Redis, and the reports that Redis has
// not had.
//
// It reads no clock, draws no random number, does no I/O, logs nothing, locks nothing
// and starts nothing. Package tokencache does all that, in this order:
//
//	what happened, when, and a random number  → a transition
//	what to do, and when                      ← a question, such as Next
//	what to log, and whom to wake             ← Drain
//
// So a table can test it, package tokencache/model explores it in every order of events,
// and a fleet of a hundred thousand replicas can be simulated.
//
// # The way of a token
//
//	Next          a refresh is due
//	Fetched       what one read of Redis found        → Done, WriteBack, Wait or Renew
//	WroteBack     the fleet has the token in memory, which it had lost or had an older one of
//	LeaseHeld     another replica holds the lease
//	              -- under the lease --
//	Fetched       once more: the last lease holder may have been faster
//	Request       which request to admit
//	Denied        the ledger does not admit it
//	Issued        the answer is a token: callers here are served, then the fleet
//	Committed     the fleet has it
//	RequestFailed the answer is no token
//	              -- at any time --
//	Heard         a notification carried a record
//	Released      a notification says that the lease is free
//	RedisFailed   Redis could not be used; RedisWorked ends that
//	Invalidate    an API refused a token; Rotate: an operator replaces it
//	Wait, Leave   callers come and go; Answer returns what they get
//	Close, Forget a token is wanted no longer, and its id is free
//
// # Deadlines
//
// No deadline is kept by hand. [Token.Due] derives it from what is known:
//
//	valid, fresh        the age at which this replica looks for the next token
//	valid, put off      the end of the Hold: the lease is held, a request was denied, Redis is unreachable
//	valid, to replace   at once, or the end of the Hold
//	none, callers wait  at once; the end of the Hold, if the lease is held; if it is known
//	                    why there is none, in a minute, or when that is over
//	any, FetchAt set    then, if that is earlier: a notification was missed or is old, a clock
//	                    was set, the fleet does not have the token yet
//	idle                never: no caller would miss it
//
// # Estimates
//
// The age of a token that came with a fetch is measured. The age of one that came with
// a notification is estimated: the token is at most that old. An estimate bounds how
// long a token is served, and it is no reason to request one: a token that looks old
// by an estimate is fetched, and the measurement replaces the estimate, as far as the
// estimate's slack allows. A second measurement of one token can only shorten its life,
// since the clock of Redis may have been set back.
//
// # Invariants
//
// [State.Check] holds a state to these, and [CheckStep] a step:
//
//	I1  A token's plan is ordered, and no token has more left than its lifetime.
//	I2  A token has both times or none; one without is not the fleet's.
//	I3  Only the token that is held is to be replaced, and only if that was not refused.
//	I4  No caller leaves twice.
//	I5  While callers wait for a token, a refresh is due at some time.
//	I6  No refresh is put off for longer than any token lives.
//	I7  There is one block for a scope.
//	I8  A bounded number of reports is queued.
//	I9  Requests while Redis is unreachable keep within their budget.
//	S1  A valid token is not replaced by an older one.
//	S2  What must not be adopted any more is never adopted again.
//	S3  A token in memory stays until there is another one.
//	S4  A token's life does not grow, but for the slack of an estimate.
package replica
