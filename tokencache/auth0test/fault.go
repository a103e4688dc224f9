package auth0test

import (
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// A Fault changes what happens to a token request. Hand it to [Server.Inject].
// The zero value of each field leaves its part as it is, unless said otherwise.
//
// The fields of the first group replace the ordinary answer: then the request
// is neither checked nor counted, unless Issue is set. Those of the second
// group let the request be handled in the ordinary way and spoil the answer.
// They combine: a fault with Status and Trickle is an error that arrives slowly.
type Fault struct {
	// Name appears in the ledger. Zero: "unnamed".
	Name string

	// Latency passes before the answer, or before the connection is cut.
	// Zero: Config.Latency.
	Latency time.Duration

	// Hang gives no answer until the client goes away or the server closes.
	Hang bool
	// Cut closes the connection after the request was read, without an answer.
	Cut bool
	// Status and Body are answered. Zero: if only one is given, the status is
	// 200 or the body is empty.
	Status int
	Body   string
	// Handler answers; the request body is there to be read again. Nothing is
	// added to what it writes. Zero: none.
	Handler http.HandlerFunc
	// Issue handles the request in the ordinary way before its answer is
	// replaced: a token may be issued and counted that the client never sees.
	Issue bool

	// QuotaExceeded refuses a request that is otherwise in order as if every
	// quota of the client were spent, whatever was counted.
	QuotaExceeded bool
	// Header replaces headers of the answer, also those of the quota, Date and
	// Retry-After. A name with a nil value removes the header. Names are in
	// canonical form.
	Header http.Header
	// SkipQuotaHeader leaves out the quota headers, which an answer with status
	// 200 or 429 otherwise has.
	SkipQuotaHeader bool
	// Fields replaces fields of the JSON object that carries a token, each by
	// raw JSON, which need not be valid. The empty string removes the field.
	// What the server itself thinks of the token does not change.
	Fields map[string]string
	// CutBody closes the connection in the middle of the body.
	CutBody bool
	// Trickle sends the body one byte at a time, each after this time.
	Trickle time.Duration
}

// injected is a fault and the number of requests that will still suffer it;
// negative: until it is cleared.
type injected struct {
	left  int
	fault Fault
}

// replaces reports whether the fault replaces the ordinary answer.
func (f Fault) replaces() bool {
	return f.Hang || f.Cut || f.Status != 0 || f.Body != "" || f.Handler != nil
}

// answer is what a fault with Status or Body answers.
func (f Fault) answer() answer {
	a := newAnswer(f.Status)
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if !json.Valid([]byte(f.Body)) {
		a.header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	a.body = []byte(f.Body)
	return a
}

// spoil changes the fields and headers of an answer.
func (f Fault) spoil(a *answer) {
	for name, raw := range f.Fields {
		switch {
		case a.fields == nil:
		case raw == "":
			delete(a.fields, name)
		default:
			a.fields[name] = json.RawMessage(raw)
		}
	}
	maps.Copy(a.header, f.Header)
}
