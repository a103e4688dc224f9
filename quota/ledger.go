package quota

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed common.lua
var commonLua string

//go:embed admit.lua
var admitLua string

//go:embed only.lua
var onlyLua string

//go:embed observe.lua
var observeLua string

//go:embed peek.lua
var peekLua string

var (
	admitScript   = redis.NewScript(commonLua + admitLua)
	admitOnlyIf   = redis.NewScript(onlyLua + commonLua + admitLua)
	observeScript = redis.NewScript(commonLua + observeLua)
	peekScript    = redis.NewScript(commonLua + peekLua)
)

// DefaultJournalLength is how many events a journal keeps: two a token request.
const DefaultJournalLength = 512

// Options configures a Ledger. A nil *Options is ready for use.
type Options struct {
	// Journal is the key of a stream with an entry for every attempt and every
	// answer. In a cluster it must share the ledger's hash tag. Empty means no
	// journal.
	Journal string

	// JournalLength is how many events the journal keeps. Zero means
	// DefaultJournalLength.
	JournalLength int

	// Enforced says that the server is known to refuse what exceeds the quota.
	// Zero means that it is found out: the header looks the same where a quota
	// is only watched, so a fleet without a token sends one request, the probe,
	// into a spent bucket, and a refusal is remembered for a week.
	Enforced bool
}

// A Ledger keeps a client's quota in Redis, for all who share the client. It is
// safe for concurrent use, but see the package documentation for what it does
// not promise without a lease.
type Ledger struct {
	rdb      redis.Scripter
	keys     []string
	length   string
	enforced string
}

// NewLedger returns the ledger that is kept in the hash named key. It does no
// I/O. Give each client of a token endpoint a key of its own, and all tokens of
// that client the same: the server counts by client, not by token.
func NewLedger(rdb redis.Scripter, key string, opts *Options) *Ledger {
	if opts == nil {
		opts = &Options{}
	}
	l := &Ledger{rdb: rdb, keys: []string{key}, enforced: flag(opts.Enforced)}
	if opts.Journal != "" {
		l.keys = append(l.keys, opts.Journal)
	}
	length := opts.JournalLength
	if length <= 0 {
		length = DefaultJournalLength
	}
	l.length = strconv.Itoa(length)
	return l
}

// Admit asks whether the request may be sent and, if it may, counts it: from
// then on it is spent unless Observe takes it back. If it may not, the error is
// a [*DeniedError]; any other error means that Redis could not be asked, and
// then the request must not be sent.
func (l *Ledger) Admit(ctx context.Context, a *Attempt) (Admission, error) {
	if err := a.check(); err != nil {
		return Admission{}, err
	}
	reply, err := admitScript.Run(ctx, l.rdb, l.keys, l.admission(a)...).StringSlice()
	if err != nil {
		return Admission{}, fmt.Errorf("quota: admit: %w", err)
	}
	return decodeAdmit(reply, a.Priority, time.Now())
}

// admission returns the arguments of admit.lua.
func (l *Ledger) admission(a *Attempt) []any {
	counted := 1
	if a.Organization != "" {
		counted = 2
	}
	args := []any{a.ID, a.Priority.String(), dice(), l.enforced, a.By, a.Reason, a.For, l.length, counted}
	for _, scope := range a.scopes() {
		args = append(args, string(scope))
	}
	return args
}

// Observe accounts for an attempt: it takes the count back if the outcome
// allows, learns from the header, lifts the blocks that a success disproves and
// sets those that the answer asks for. It returns the blocks that are on for
// this attempt's scopes.
func (l *Ledger) Observe(ctx context.Context, a *Attempt, answer *Answer) ([]Blocked, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	if !answer.Outcome.valid() {
		return nil, fmt.Errorf("quota: %v is no outcome: use Unknown, Issued, Refused or Unsent", answer.Outcome)
	}
	return decodeObserve(observeScript.Run(ctx, l.rdb, l.keys, l.observation(a, answer)...).StringSlice())
}

// Peek returns the ledger's state, for people.
func (l *Ledger) Peek(ctx context.Context) (State, error) {
	reply, err := peekScript.Run(ctx, l.rdb, l.keys).StringSlice()
	if err != nil {
		return State{}, fmt.Errorf("quota: peek: %w", err)
	}
	return decodeState(reply, time.Now())
}

func (l *Ledger) observation(a *Attempt, answer *Answer) []any {
	client, _ := ClientLimits(answer.Header)
	organization, _ := OrganizationLimits(answer.Header)
	if a.Organization == "" {
		organization = nil
	}
	args := []any{a.ID, answer.Outcome.String(), answer.Age.Milliseconds(), dice(), a.By,
		answer.Status, client.String(), answer.Took.Milliseconds(), l.length}
	scopes := a.scopes()
	args = append(args, len(scopes))
	for _, scope := range scopes {
		args = append(args, string(scope))
	}
	args = append(args, len(client)+len(organization))
	date, _ := ServerDate(answer.Header)
	args = client.appendArgs(args, Client, date)
	args = organization.appendArgs(args, Organization(a.Organization), date)
	args = append(args, len(answer.Blocks))
	for _, b := range answer.Blocks {
		args = append(args, string(b.Scope), string(b.Reason), b.Wait.Milliseconds(),
			b.Base.Milliseconds(), b.Cap.Milliseconds(), flag(b.Quorum))
	}
	return append(args, a.Reason, a.For, a.Priority.String())
}

func (l Limits) appendArgs(args []any, scope Scope, date time.Time) []any {
	for _, limit := range l {
		remaining, left := "", ""
		if limit.HasRemaining {
			remaining = strconv.FormatInt(limit.Remaining, 10)
		}
		if d, ok := l.left(limit, date); ok {
			left = strconv.FormatInt(d.Milliseconds(), 10)
		}
		args = append(args, string(scope), limit.Bucket, Length(limit.Bucket).Milliseconds(), limit.Quota, remaining, left)
	}
	return args
}

// dice decides the jitter of one call. It is drawn here and not in the script,
// which must do the same again when it is replayed.
func dice() int { return rand.IntN(1e6) }

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
