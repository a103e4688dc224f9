package store

import (
	"context"
	_ "embed"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/bearer"
)

//go:embed read.lua
var readLua string

//go:embed commit.lua
var commitLua string

// Both are sent as EVAL, not by their digest: they are short, they are sent once a
// token's life, and a cold fleet does not run into a hundred NOSCRIPTs.
var (
	readScript   = redis.NewScript(readLua)
	commitScript = redis.NewScript(commitLua)
)

// minIssuedFor is how long the earliest issue that may be adopted is remembered: longer
// than any token lives.
const minIssuedFor = 2 * bearer.MaxLifetime

// A Store is the state of one OAuth client in Redis. It is safe for concurrent use. Its
// calls are bounded by their contexts alone.
type Store struct {
	rdb    redis.UniversalClient
	names  Names
	ledger *quota.Ledger
}

// New returns the Store of the client with these keys. It does no I/O.
func New(rdb redis.UniversalClient, names Names, ledger *quota.Ledger) *Store {
	return &Store{rdb, names, ledger}
}

// Fetch reads all there is to know about some tokens, in one round trip: their records,
// the lease, the blocks of the scopes, and what was denied.
func (s *Store) Fetch(ctx context.Context, tokens []*Token, scopes []quota.Scope) (Snapshot, error) {
	keys, args := s.readArgs(tokens, scopes)
	reply, err := readScript.Eval(ctx, s.rdb, keys, args...).StringSlice()
	if err != nil {
		return Snapshot{}, err
	}
	return decode(reply, len(args)-1, time.Now(), scopes, tokens)
}

// A PendingFetch is a fetch in a pipeline that has yet to be executed.
type PendingFetch struct {
	cmd    *redis.Cmd
	fields int
	tokens []*Token
	scopes []quota.Scope
}

// QueueFetch queues a fetch in pipe.
func (s *Store) QueueFetch(ctx context.Context, pipe redis.Pipeliner, tokens []*Token, scopes []quota.Scope) *PendingFetch {
	keys, args := s.readArgs(tokens, scopes)
	return &PendingFetch{readScript.Eval(ctx, pipe, keys, args...), len(args) - 1, tokens, scopes}
}

// Result returns the snapshot once the pipeline was executed.
func (p *PendingFetch) Result() (Snapshot, error) {
	reply, err := p.cmd.StringSlice()
	if err != nil {
		return Snapshot{}, err
	}
	return decode(reply, p.fields, time.Now(), p.scopes, p.tokens)
}

func (s *Store) readArgs(tokens []*Token, scopes []quota.Scope) (keys []string, args []any) {
	keys = []string{s.names.Lock, s.names.Quota}
	args = []any{MaxRecordSize}
	for _, t := range tokens {
		keys = append(keys, t.key, t.floor)
	}
	for _, field := range s.ledger.SnapshotFields(scopes...) {
		args = append(args, field)
	}
	return keys, args
}

// Probe reports, with one small command, whether there is a record, and whether the
// lease is held. EXISTS counts a key as often as it is named, so its answer shows both.
func (s *Store) Probe(ctx context.Context, t *Token) (record, lease bool, err error) {
	n, err := s.rdb.Exists(ctx, s.names.Lock, t.key, t.key).Result()
	return n >= 2, n%2 == 1, err
}

// A Result is what a commit came to.
type Result string

const (
	Stored   Result = "stored"
	Same     Result = "same"     // it was there already
	Older    Result = "older"    // a newer record is there
	Outdated Result = "outdated" // it was issued before the earliest issue that may be adopted
)

// Kept reports whether the fleet has the record now.
func (r Result) Kept() bool { return r == Stored || r == Same }

// Commit merges a record into what the fleet has, and notifies subscribers. sealed is the
// record as t.Seal made it. damaged is an
// encrypted record that is known to be damaged, and counts as none; nil: there is none.
func (s *Store) Commit(ctx context.Context, t *Token, r Record, sealed, damaged []byte) (Result, error) {
	word, err := commitScript.Eval(ctx, s.rdb, []string{t.key, t.floor},
		r.Issued, r.Expires, sealed, s.names.Channel, t.ID, minIssuedFor.Milliseconds(), damaged, MaxRecordSize, r.Forced).Text()
	return Result(word), err
}

// PublishReleased notifies subscribers that the lease is free.
func (s *Store) PublishReleased(ctx context.Context) error {
	return s.rdb.Publish(ctx, s.names.Channel, released).Err()
}
