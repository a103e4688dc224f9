package tokencache

import (
	"context"
	"errors"
	"slices"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// This file is about reading Redis, and translates between what the store keeps and what
// the replica decides on.

// A snapshot is one read of Redis, and when it was sent.
type snapshot struct {
	store.Snapshot
	sent
}

// sent is when a read was sent, and the subscription that was open then.
type sent struct {
	at    replica.Instant
	heard int
}

// sending returns what is noted of a read that is about to be sent.
func (c *client) sending() (s sent) {
	c.apply(func(now replica.Instant, state *replica.State) { s = sent{now, state.Listening()} })
	return s
}

// A view is what a snapshot has about one token, and what a commit needs to replace
// its record if that is damaged.
type view struct {
	replica.Snapshot
	damaged []byte
}

// view returns what the snapshot has about the i-th token that was asked for.
func (s snapshot) view(i int) view { return view{s.of(i), s.Tokens[i].Damaged} }

func (s snapshot) of(i int) replica.Snapshot {
	t := s.Tokens[i]
	v := replica.Snapshot{
		At: s.at, Heard: s.heard, Now: s.Now, Lease: s.Lease, Blocked: s.Quota.Blocked, Denied: s.Quota.Denied, MinIssued: t.MinIssued,
	}
	if t.Record != nil {
		r := replicaRecord(*t.Record)
		v.Record = &r
	}
	switch {
	case errors.Is(t.Problem, store.ErrUnknownKey):
		v.Problem = replica.UnknownKey
	case t.Problem != nil:
		v.Problem = replica.DamagedRecord
	}
	return v
}

// tokensOf returns the tokens of some sources, and all scopes whose blocks may hold
// them back.
func tokensOf(batch []*source) (tokens []*store.Token, scopes []quota.Scope) {
	for _, s := range batch {
		tokens = append(tokens, s.token)
		for _, scope := range s.scopeList {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return tokens, scopes
}

// fetch reads from Redis, in one round trip, all there is to know about some tokens.
func (c *client) fetch(ctx context.Context, batch ...*source) (snapshot, error) {
	tokens, scopes := tokensOf(batch)
	sent := c.sending()
	read, err := call(ctx, c.host, func(ctx context.Context) (store.Snapshot, error) {
		return c.store.Fetch(ctx, tokens, scopes)
	})
	return snapshot{read, sent}, err
}
