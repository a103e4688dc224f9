package trace

// A State is a place in the refresh of a token: what it does next, or waits for. The
// zero State is Idle.
type State uint8

// The states. What begins with Leased is done under the lease.
const (
	Idle        State = iota // no refresh is in progress, or the first fetch is
	Fetched                  // Redis has answered, and the queued reports are being sent
	WritingBack              // the fleet is to have the token in memory
	Waiting                  // another replica has the lease
	Acquiring                // the lease is to be taken

	Leased            // the lease is taken, and the second fetch is in progress
	LeasedWritingBack // the fleet is to have the token in memory
	LeasedNeeding     // a token request is needed
	LeasedRequesting  // nothing holds it back
	LeasedRewriting   // as LeasedWritingBack, after another way to request this token
	LeasedAdmitting   // the ledger is asked
	LeasedUnadmitted  // it could not be asked
	LeasedSending     // the request is sent, unless the lease is about to end
	LeasedAnswered    // it has brought no token, and the ledger knows or will
	LeasedCommitting  // it has brought one
	LeasedReporting   // the fleet has it, or Redis has failed
	LeasedDone        // the lease is to be given back
	Released          // it is given back, and that is to be published

	Beyond         // Redis has failed, and a token may be requested without it
	BeyondNeeding  // the budget allows it
	BeyondSending  // the request is sent
	BeyondAnswered // it is answered

	LeasedBeyond
	LeasedBeyondNeeding
	LeasedBeyondSending
	LeasedBeyondAnswered

	states
)

// A Row says that an event may happen in a state, and which state follows.
type Row struct {
	From  State
	Event string
	To    State
}

// Rows is the table. It must not be changed.
var Rows = []Row{
	{Idle, "RedisFailed:false", Idle},
	{Idle, "RedisFailed:true", Beyond},
	{Idle, "Probed:held", Waiting}, // a cold start
	{Idle, "Probed:free", Acquiring},
	{Idle, "TakeReports", Fetched},
	{Fetched, "Reported", Fetched},     // each of the queued reports,
	{Fetched, "QueueReports", Fetched}, // until one cannot be sent
	{Fetched, "Fetched:Done", Idle},
	{Fetched, "Fetched:WriteBack", WritingBack},
	{Fetched, "Fetched:Wait", Waiting},
	{Fetched, "Fetched:Renew", Acquiring},
	{WritingBack, "WroteBack:Done", Idle},
	{WritingBack, "WroteBack:Wait", Waiting},
	{WritingBack, "WroteBack:Renew", Acquiring},
	{Waiting, "LeaseHeld", Idle},
	{Acquiring, "RedisFailed:false", Idle},
	{Acquiring, "RedisFailed:true", Beyond},
	{Acquiring, "LeaseHeld", Idle},
	{Acquiring, "LeaseTaken", Leased},

	{Leased, "RedisFailed:false", LeasedDone},
	{Leased, "RedisFailed:true", LeasedBeyond},
	{Leased, "Fetched:Done", LeasedDone},
	{Leased, "Fetched:WriteBack", LeasedWritingBack},
	{Leased, "Fetched:Renew", LeasedNeeding},
	{LeasedWritingBack, "WroteBack:Done", LeasedDone},
	{LeasedWritingBack, "WroteBack:Renew", LeasedNeeding},
	{LeasedNeeding, "RedisFailed:false", LeasedDone}, // too little of the lease is left
	{LeasedNeeding, "RedisFailed:true", LeasedBeyond},
	{LeasedNeeding, "HeldBack:true", LeasedDone},
	{LeasedNeeding, "HeldBack:false", LeasedRequesting},

	// Another way to request this token was tried under the same lease.
	{LeasedRequesting, "RedisFailed:false", LeasedDone},
	{LeasedRequesting, "RedisFailed:true", LeasedBeyond},
	{LeasedRequesting, "Fetched:Done", LeasedDone},
	{LeasedRequesting, "Fetched:WriteBack", LeasedRewriting},
	{LeasedRequesting, "Fetched:Renew", LeasedRequesting},
	{LeasedRewriting, "WroteBack:Done", LeasedDone},
	{LeasedRewriting, "WroteBack:Renew", LeasedRequesting},

	{LeasedRequesting, "Request:false", LeasedDone}, // the callers have left
	{LeasedRequesting, "Request:true", LeasedAdmitting},
	{LeasedAdmitting, "Denied", LeasedDone},
	{LeasedAdmitting, "QueueReports", LeasedUnadmitted}, // it may have been counted
	{LeasedUnadmitted, "RedisFailed:false", LeasedDone},
	{LeasedUnadmitted, "RedisFailed:true", LeasedBeyond},
	{LeasedAdmitting, "Admitted", LeasedSending},
	{LeasedSending, "Reported", LeasedAnswered},
	{LeasedSending, "QueueReports", LeasedAnswered},
	{LeasedAnswered, "RequestFailed", LeasedDone},
	{LeasedAnswered, "RedisFailed:false", LeasedDone}, // it was not sent: too little of the lease was left
	{LeasedAnswered, "RedisFailed:true", LeasedBeyond},
	{LeasedSending, "Issued", LeasedCommitting},
	{LeasedCommitting, "Reported", LeasedReporting},
	{LeasedCommitting, "QueueReports", LeasedReporting},
	{LeasedReporting, "Committed", LeasedDone},
	{LeasedReporting, "CommitFailed", LeasedDone},
	{LeasedDone, "LeaseReleased", Released},
	{Released, "Published", Idle},
	{Released, "RedisFailed:false", Idle},  // it is not published after too short a lease,
	{Released, "RedisFailed:true", Beyond}, // so this is the next refresh
	{Released, "TakeReports", Fetched},
	{Released, "Probed:held", Waiting},
	{Released, "Probed:free", Acquiring},

	{Beyond, "RequestBeyondRedis:false", Idle},
	{Beyond, "RequestBeyondRedis:true", BeyondNeeding},
	{BeyondNeeding, "Request:false", Idle},
	{BeyondNeeding, "Request:true", BeyondSending},
	{BeyondSending, "QueueReports", BeyondAnswered},
	{BeyondAnswered, "Issued", Idle},
	{BeyondAnswered, "RequestFailed", Idle},

	{LeasedBeyond, "RequestBeyondRedis:false", LeasedDone},
	{LeasedBeyond, "RequestBeyondRedis:true", LeasedBeyondNeeding},
	{LeasedBeyondNeeding, "Request:false", LeasedDone},
	{LeasedBeyondNeeding, "Request:true", LeasedBeyondSending},
	{LeasedBeyondSending, "QueueReports", LeasedBeyondAnswered},
	{LeasedBeyondAnswered, "Issued", LeasedDone},
	{LeasedBeyondAnswered, "RequestFailed", LeasedDone},
}

// Next returns the state after an event. It returns false if the event may not happen
// in s.
func (s State) Next(event string) (State, bool) {
	for _, row := range Rows {
		if row.From == s && row.Event == event {
			return row.To, true
		}
	}
	return s, false
}

// UnderLease reports whether this replica has the lease in s, as far as it knows.
func (s State) UnderLease() bool {
	return s >= Leased && s <= LeasedDone || s >= LeasedBeyond
}

// String returns the name of s.
func (s State) String() string {
	return [states]string{
		"idle", "fetched", "writing back", "waiting", "acquiring the lease",
		"fetching under the lease", "writing back under the lease", "needing a token", "requesting a token",
		"writing back once more", "asking the ledger", "not admitted", "sending the request", "answered without a token",
		"committing", "reporting", "done under the lease", "released",
		"without Redis", "requesting without Redis", "sending without Redis", "answered without Redis",
		"without Redis under the lease", "requesting without Redis under the lease",
		"sending without Redis under the lease", "answered without Redis under the lease",
	}[s]
}
