package demo

import "time"

// A Command tells a replica what to do. In a process of its own, a replica reads
// commands from its standard input, one JSON object a line.
type Command struct {
	Do string `json:"do"`

	// ID comes back in the event that answers the command.
	ID int `json:"id,omitempty"`

	// Rate is how many API calls a second DoLoad makes. Zero means 25.
	Rate float64 `json:"rate,omitempty"`

	// WithinMS bounds the waiting of DoToken and DoRotate, in milliseconds.
	// Zero means half a minute.
	WithinMS int64 `json:"within_ms,omitempty"`
}

// What a replica can do.
const (
	DoToken  = "token"  // get a token; answered by EventToken
	DoLoad   = "load"   // get a token, answered by EventToken, and call the API from then on
	DoStop   = "stop"   // call the API no more; answered by EventCounters
	DoCount  = "count"  // answered by EventCounters
	DoRotate = "rotate" // replace the fleet's token; answered by EventRotated
	DoStatus = "status" // answered by EventStatus
	DoCut    = "cut"    // cut the connections to Redis, and refuse new ones; answered by EventCut
	DoMend   = "mend"   // let Redis be reached again; answered by EventMended
	DoQuit   = "quit"   // end politely; answered by EventBye, the last event
)

// An Event tells what happened in a replica. In a process of its own, a replica
// writes events to its standard output, one JSON object a line. No event holds a
// token or a secret.
type Event struct {
	Event string `json:"event"`

	// ID is that of the command that the event answers; zero: it answers none.
	ID int `json:"id,omitempty"`

	// Error says why it failed. Empty means that it did not.
	Error string `json:"error,omitempty"`

	Replica string  `json:"replica,omitempty"` // EventReady: its name in the lease and the journal
	Token   string  `json:"token,omitempty"`   // EventToken, EventAdopted: which one, by a digest
	By      string  `json:"by,omitempty"`      // EventAdopted: who asked for the token
	Why     string  `json:"why,omitempty"`     // EventRequested: "cold", "expiring", "rotated" and so on; EventDenied: the reason
	Status  int     `json:"status,omitempty"`  // EventRequested: of the response; zero: none came
	Quota   string  `json:"quota,omitempty"`   // EventRequested: the quota header
	TookMS  float64 `json:"took_ms,omitempty"` // EventToken, EventRequested, EventRotated
	LifeMS  int64   `json:"life_ms,omitempty"` // EventRequested: of the token
	LeftMS  int64   `json:"left_ms,omitempty"` // EventAdopted: until it expires; EventDenied: until it may be asked again

	Counters *Counters `json:"counters,omitempty"` // EventCounters
	Info     any       `json:"info,omitempty"`     // EventStatus: a tokencache.Status
}

// What a replica tells.
const (
	EventReady     = "ready"     // it stands, and waits for commands; the first event
	EventToken     = "token"     // it has a token, or could get none
	EventAsking    = "asking"    // it sends a token request
	EventRequested = "requested" // the token request was answered, or was not
	EventAdopted   = "adopted"   // it serves a new token
	EventDenied    = "denied"    // it sends no token request, as it would be in vain
	EventRedis     = "redis"     // Redis went away, with the error, or came back, without
	EventCounters  = "counters"  // what it has done so far
	EventRotated   = "rotated"   // the fleet has another token, or the rotation failed
	EventStatus    = "status"    // all there is to know about the fleet's token
	EventCut       = "cut"       // its connections to Redis are cut
	EventMended    = "mended"    // it may reach Redis again
	EventUnknown   = "unknown"   // it does not know the command
	EventBye       = "bye"       // it ends
)

// Counters are what a replica has done since it started.
type Counters struct {
	Calls    int    `json:"calls"`                // API calls that were answered with 200
	Failed   int    `json:"failed"`               // API calls that were not
	Commands int    `json:"commands"`             // Redis commands
	LastFail string `json:"last_error,omitempty"` // why the last call failed
}

func (c Counters) plus(o Counters) Counters {
	c.Calls += o.Calls
	c.Failed += o.Failed
	c.Commands += o.Commands
	if o.LastFail != "" {
		c.LastFail = o.LastFail
	}
	return c
}

// within is how long a command may take.
func (c Command) within() time.Duration {
	if c.WithinMS <= 0 {
		return 30 * time.Second
	}
	return time.Duration(c.WithinMS) * time.Millisecond
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
