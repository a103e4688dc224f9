package quota

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An Attempt is one token request, from the question whether it may be sent to
// the account of what became of it.
type Attempt struct {
	// ID names the attempt. It must be unique, and the same in Admit and
	// Observe. A repeated call under one ID has no further effect, as long as
	// the attempt is among the last 32. After that it is taken for another one,
	// so it may cost one more of the quota, and a block may last longer.
	ID string

	// Priority says how badly the token is needed. The zero value is Need.
	Priority Priority

	// Organization is the organization whose quota is counted beside the
	// client's. Empty means none.
	Organization string

	// Scopes are further scopes whose blocks hold the attempt back, such as the
	// audience or the credentials in use. The client and its organization are
	// among them always.
	Scopes []Scope

	// By, Reason and For go into the journal, for people: who asks, for what
	// reason, and for which token. They must hold no secret.
	By, Reason, For string
}

// An Admission lets one token request be sent.
type Admission struct {
	// Now is the time of the Redis server when it decided, in Unix
	// milliseconds.
	Now int64

	// Probe is true if nothing is left by the server's own account, and this
	// request is to find out whether the server means it.
	Probe bool
}

// An Outcome is what became of a token request, as far as the quota goes.
type Outcome int

const (
	// Unknown means that the server may have issued a token: the request was sent, and no
	// answer came, or none that tells. It stays counted.
	Unknown Outcome = iota
	// Issued means that the server issued a token.
	Issued
	// Refused means that the server issued no token.
	Refused
	// Unsent means that the request was certainly not sent.
	Unsent
)

// String returns the outcome's name.
func (o Outcome) String() string {
	if !o.valid() {
		return "outcome(" + strconv.Itoa(int(o)) + ")"
	}
	return [...]string{"unknown", "issued", "refused", "unsent"}[o]
}

func (o Outcome) valid() bool { return o >= Unknown && o <= Unsent }

// An Answer is what became of an attempt.
type Answer struct {
	Outcome Outcome

	// Header is the header of the response. Nil means that none came.
	Header http.Header

	// Age is how long ago the response came. Zero means just now.
	Age time.Duration

	// Took is how long the token request took, so long before the response it
	// was sent. It goes into the journal, for people, as does Status, its result
	// in a few words.
	Took   time.Duration
	Status string

	// Blocks are what the answer makes all replicas wait for.
	Blocks []Block
}

func (a *Attempt) scopes() []Scope {
	scopes := []Scope{Client}
	if a.Organization != "" {
		scopes = append(scopes, Organization(a.Organization))
	}
	return append(scopes, a.Scopes...)
}

func (a *Attempt) check() error {
	if a.ID == "" {
		return fmt.Errorf("quota: attempt without an ID: give each token request one of its own")
	}
	if strings.ContainsAny(a.ID+a.By, " |@") {
		return fmt.Errorf("quota: ID %q or By %q has a space, '|' or '@' in it", a.ID, a.By)
	}
	if !a.Priority.valid() {
		return fmt.Errorf("quota: %v is no priority: use Need, Expiring, Early or Forced", a.Priority)
	}
	for _, scope := range a.Scopes {
		if !scope.valid() {
			return fmt.Errorf("quota: scope %q has a character other than letters, digits, '-', '_' and ':'", scope)
		}
	}
	return nil
}
