package auth0test

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A Request is one row of the ledger: a request that reached the token
// endpoint. It never holds the secret or the token.
type Request struct {
	Number  int       // 1 for the first request
	Arrived time.Time // when its headers had been read, UTC
	Ended   time.Time // when it was answered or given up; zero while it is in flight

	// Concurrent is the number of token requests that were in flight at the
	// arrival of this one, with itself: 1 if it was alone. A request whose
	// client has left counts until the server notices.
	Concurrent int

	Method     string // such as "POST"
	Path       string // such as "/oauth/token"
	RemoteAddr string // the client's address; one name for each connection on a pipe server
	UserAgent  string // as the client calls itself

	// What the request asks for; empty until its body was read.
	Encoding       string // "json", "form" or "other"
	Authentication string // where the credentials were: "body", "basic", "both" or "none"
	ClientID       string
	SecretOK       bool // whether the secret was right
	GrantType      string
	Audience       string
	Organization   string
	Scope          string

	Fault   string    // the name of the injected fault; empty: none
	Status  int       // the HTTP status of the answer; zero while there was none
	Error   string    // the "error" field of the answer, such as "too_many_requests"
	Issued  bool      // whether a token was issued and counted, even if its answer was lost
	Expires time.Time // when that token expires, UTC; zero: none was issued

	// The quota headers of the answer as they were sent, several field lines
	// joined by commas; empty: none.
	ClientQuota       string
	OrganizationQuota string
}

// InFlight is the time from the arrival of the request to its end, or zero
// while it has not ended.
func (r Request) InFlight() time.Duration {
	if r.Ended.IsZero() {
		return 0
	}
	return r.Ended.Sub(r.Arrived)
}

// String returns the row in one line.
func (r Request) String() string { return strings.Join(r.cells(), "  ") }

// A Ledger is a list of token requests in the order of their arrival. Print it
// in the message of a failing test.
type Ledger []Request

// Issued returns how many of the requests were issued a token.
func (l Ledger) Issued() int {
	return l.count(func(r Request) bool { return r.Issued })
}

// Answered returns how many of the requests were answered with a status.
func (l Ledger) Answered(status int) int {
	return l.count(func(r Request) bool { return r.Status == status })
}

// MaxConcurrent returns the largest number of requests that were in flight at
// the same moment.
func (l Ledger) MaxConcurrent() int {
	most := 0
	for _, r := range l {
		most = max(most, r.Concurrent)
	}
	return most
}

func (l Ledger) count(match func(Request) bool) int {
	n := 0
	for _, r := range l {
		if match(r) {
			n++
		}
	}
	return n
}

// String returns the ledger as a table.
func (l Ledger) String() string {
	var b strings.Builder
	_ = l.write(&b) // a strings.Builder does not fail
	return b.String()
}

func (l Ledger) write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, strings.Join(columns(), "\t")) // Flush returns the error
	for _, r := range l {
		_, _ = fmt.Fprintln(table, strings.Join(r.cells(), "\t"))
	}
	return table.Flush()
}

func columns() []string {
	return []string{"#", "ARRIVED (UTC)", "CLIENT", "AUDIENCE", "ASKED AS", "STATUS", "IN FLIGHT", "AT ONCE", "OUTCOME", "QUOTA", "FROM"}
}

func (r Request) cells() []string {
	audience := r.Audience
	if r.Organization != "" {
		audience += " for " + r.Organization
	}
	status := ""
	if r.Status != 0 {
		status = fmt.Sprint(r.Status)
	}
	cells := []string{
		fmt.Sprint(r.Number),
		r.Arrived.Format("2006-01-02 15:04:05.000"),
		r.ClientID,
		audience,
		r.Encoding + "/" + r.Authentication,
		status,
		r.InFlight().String(),
		fmt.Sprint(r.Concurrent),
		r.outcome(),
		strings.Trim(r.ClientQuota+" "+r.OrganizationQuota, " "),
		strings.Trim(r.RemoteAddr+" "+r.UserAgent, " "),
	}
	for i, c := range cells {
		// What a client sends must not break the table.
		c = strings.Map(printable, c)
		if c == "" {
			c = "-"
		}
		cells[i] = c
	}
	return cells
}

// outcome says in words what came of the request.
func (r Request) outcome() string {
	var parts []string
	if r.Issued {
		parts = append(parts, "token until "+r.Expires.Format("2006-01-02 15:04:05"))
	}
	if r.Error != "" {
		parts = append(parts, r.Error)
	}
	if !r.SecretOK && r.Authentication != "" {
		parts = append(parts, "wrong secret")
	}
	switch {
	case r.Ended.IsZero():
		parts = append(parts, "in flight")
	case r.Status == 0:
		parts = append(parts, "no answer")
	}
	if r.Fault != "" {
		parts = append(parts, "fault: "+r.Fault)
	}
	return strings.Join(parts, ", ")
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}
