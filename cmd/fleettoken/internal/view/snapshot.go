package view

import "time"

// A Snapshot is all there is to see at one moment. The view shows the latest one
// it was given, and remembers none.
type Snapshot struct {
	Title string        // what runs, in a few words
	At    time.Duration // since the beginning

	Chapters []Chapter // the whole story, in its order

	Token    Token    // the fleet's; the zero Token is none
	Away     bool     // Redis does not answer
	Buckets  []Bucket // the quota, as the ledger and the endpoint have it
	Replicas []Replica
	Events   []Event // the latest ones, the oldest first
	Totals   Totals
}

// A Chapter is one part of the story.
type Chapter struct {
	Title string // what happens
	Watch string // what to look at
	State ChapterState
}

// A ChapterState is how far a chapter has come.
type ChapterState int

const (
	Ahead ChapterState = iota
	Current
	Kept   // over, and it went as promised
	Broken // over, and it did not
)

// current returns the chapter that is on, or the last one that was. Its number
// counts from one; zero means that the story has not begun.
func (s Snapshot) current() (int, Chapter) {
	number, found := 0, Chapter{}
	for i, c := range s.Chapters {
		if c.State != Ahead {
			number, found = i+1, c
		}
	}
	return number, found
}

// A Token is what the fleet holds.
type Token struct {
	Number  int           // the how manieth of this run; zero: there is none
	By      string        // who asked for it
	Life    time.Duration // from its issue to its expiry
	Left    time.Duration // until it expires
	Window  time.Duration // how long before its expiry it is renewed
	Renewer string        // who is asking for the next one; empty: nobody
	Lease   time.Duration // how long the lease lasts yet; zero: nobody has it
	Blocked time.Duration // how long nobody asks, since the endpoint said so
}

// due reports whether the renewal window has begun.
func (t Token) due() bool { return t.Number > 0 && t.Left <= t.Window }

// A Bucket is one part of the quota.
type Bucket struct {
	Name  string // "per_hour"
	Quota int64  // how many tokens it allows
	Used  int64  // how many are used, by the endpoint's account
}

// A Replica is one process of the fleet.
type Replica struct {
	Name  string
	State State
	Token int           // the number of the token it serves; zero: none
	Left  time.Duration // until that expires
	Life  time.Duration
	Rate  float64 // API calls a second
}

// A State says what a replica does.
type State int

const (
	Starting State = iota // it has no token yet
	Serving               // it serves a fresh token
	Due                   // it serves its token, and looks for the next one
	Renewing              // it serves its token, and asks for the next one
	Backing               // it serves its token, and asks for none, as the endpoint wants
	Dead
)

// String returns the state in a word.
func (s State) String() string {
	return [...]string{"starting", "serving", "due", "renewing", "backs off", "dead"}[s]
}

// An Event is something that happened.
type Event struct {
	At   time.Duration // since the beginning
	Kind Kind
	Text string
}

// A Kind says what to make of an event.
type Kind int

const (
	News    Kind = iota // something happened
	Fault               // something was broken, on purpose
	Result              // what a chapter came to
	Failure             // a promise was broken
	Opening             // a chapter begins; the text is its title
	Hint                // what to watch
)

// Totals are counted from the beginning.
type Totals struct {
	Requests int // token requests, by the endpoint's ledger
	Unshared int // what they would be if every replica asked for itself
	Calls    int // API calls that were answered with 200
	Failed   int // API calls that failed
	Expired  int // API calls with a token that had expired
	Rate     float64
	Commands int // Redis commands of all replicas
}
