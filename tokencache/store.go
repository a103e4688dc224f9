package tokencache

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/seal"
)

//go:embed read.lua
var readLua string

//go:embed commit.lua
var commitLua string

// Both are sent as EVAL, not by their digest: they are short, they are sent once
// a token's life, and a cold fleet does not run into a hundred NOSCRIPTs.
var (
	readScript   = redis.NewScript(readLua)
	commitScript = redis.NewScript(commitLua)
)

// floorLife is how long the floor is remembered: longer than any token lives.
const floorLife = 2 * maxLife

// A view is what one look at Redis tells about one token.
type view struct {
	glance

	record  *record // nil: none, none that may be adopted, or none that can be read
	problem error   // why it cannot be read: seal.ErrUnknownKey or seal.ErrDamaged
	spoilt  []byte  // the sealed record, if it is damaged
	floor   int64   // nothing that was issued before may be adopted
}

// charge returns what a request is charged to that is needed so badly. If there is a
// record, and somebody damages it, the quota is not theirs to spend.
func (v view) charge(priority quota.Priority, why string) (quota.Priority, string) {
	if v.problem != nil && priority == quota.Need {
		return quota.Forced, "damaged"
	}
	return priority, why
}

// A glance is what a look tells about the client, whichever tokens it was for.
type glance struct {
	at   moment    // just before the look
	seen time.Time // and after, by the monotonic clock
	now  int64     // in between, by the clock of Redis; Unix milliseconds

	lease   time.Duration // how long the lease is held; 0: it is free; negative: without an end
	blocked []quota.Blocked
	denied  []*quota.DeniedError // what was denied last, to each priority
}

var priorities = []quota.Priority{quota.Need, quota.Expiring, quota.Early, quota.Forced}

// look asks Redis for all there is to know about some tokens, in one round trip.
// It changes nothing in memory.
func (c *client) look(ctx context.Context, batch ...*Source) ([]view, error) {
	names := []string{c.names.Lock, c.names.Quota}
	args := []any{maxSealed}
	var scopes []quota.Scope
	for _, s := range batch {
		names = append(names, s.key, s.floorKey)
		for _, scope := range s.scopeList {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
				args = append(args, quota.BlockField(scope))
			}
		}
	}
	for _, priority := range priorities {
		args = append(args, c.ledger.DeniedField(priority))
	}
	g := glance{at: c.cache.moment()}
	reply, err := call(ctx, c.cache, func(ctx context.Context) ([]string, error) {
		return readScript.Eval(ctx, c.cache.rdb, names, args...).StringSlice()
	})
	if err != nil {
		return nil, err
	}
	g.seen = time.Now()
	return g.decode(reply, scopes, batch)
}

// decode reads the reply of read.lua.
func (g glance) decode(reply []string, scopes []quota.Scope, batch []*Source) ([]view, error) {
	records := 2 + len(scopes) + len(priorities)
	if len(reply) != records+4*len(batch) {
		return nil, redisError(fmt.Errorf("a reply of %d fields is not one of read.lua", len(reply)))
	}
	now, err1 := strconv.ParseInt(reply[0], 10, 64)
	lease, err2 := strconv.ParseInt(reply[1], 10, 64)
	if err1 != nil || err2 != nil || now <= 0 {
		return nil, redisError(fmt.Errorf("reply %q is not one of read.lua", reply[:2]))
	}
	g.now, g.lease = now, millis(min(max(lease, -1), maxLife.Milliseconds()))
	for i, scope := range scopes {
		if b, ok := quota.ParseBlock(scope, reply[2+i], now); ok {
			g.blocked = append(g.blocked, b)
		}
	}
	for i, priority := range priorities {
		if denied, ok := quota.ParseDenied(priority, reply[2+len(scopes)+i], now, g.seen); ok {
			g.denied = append(g.denied, denied)
		}
	}
	views := make([]view, len(batch))
	for i, s := range batch {
		fields := reply[records+4*i:]
		v := view{glance: g}
		v.floor, _ = strconv.ParseInt(fields[3], 10, 64) // none is zero
		switch {
		case fields[0] == "damaged":
			v.problem = seal.ErrDamaged
		case fields[0] != "" || fields[2] != "":
			v.decodeRecord(s, fields[0], fields[1], []byte(fields[2]))
		}
		views[i] = v
	}
	return views, nil
}

func (v *view) decodeRecord(s *Source, issued, expires string, sealed []byte) {
	i, err1 := strconv.ParseInt(issued, 10, 64)
	x, err2 := strconv.ParseInt(expires, 10, 64)
	r, err := openRecord(s.ring, s.key, i, x, sealed)
	switch {
	case err1 != nil || err2 != nil:
		v.problem, v.spoilt = seal.ErrDamaged, sealed
	case err != nil:
		v.problem, v.spoilt = err, sealed
	case i < v.floor: // from before a forced renewal: somebody put it back
	case x <= v.now: // over, and Redis has not noticed yet
	case x-v.now > maxLife.Milliseconds(): // no token lives so long
		v.problem, v.spoilt = seal.ErrDamaged, sealed
	default:
		v.record = &r
	}
}

// A glimpse is what can be seen in one command.
type glimpse struct{ record, lease bool }

// glimpse asks Redis whether there is a record, and whether the lease is held.
// EXISTS counts a key as often as it is named, so its answer tells both.
func (c *client) glimpse(ctx context.Context, s *Source) (glimpse, error) {
	n, err := call(ctx, c.cache, func(ctx context.Context) (int64, error) {
		return c.cache.rdb.Exists(ctx, c.names.Lock, s.key, s.key).Result()
	})
	return glimpse{record: n >= 2, lease: n%2 == 1}, err
}

// commit merges r into what the fleet has, and tells those who listen. It
// returns one of the words of commit.lua.
func (s *Source) commit(ctx context.Context, r record, spoilt []byte) (string, error) {
	sealed, err := sealRecord(s.ring, s.key, r)
	if err != nil {
		return "", err
	}
	c := s.client
	return call(ctx, c.cache, func(ctx context.Context) (string, error) {
		return commitScript.Eval(ctx, c.cache.rdb, []string{s.key, s.floorKey},
			r.issued, r.expires, sealed, c.names.News, s.id, floorLife.Milliseconds(), spoilt, maxSealed, r.body.Forced).Text()
	})
}

// kept reports whether what was committed is what the fleet has now: somebody
// else may have been faster.
func kept(word string) bool { return word == "stored" || word == "same" }

// expiry returns when a token expires by the clock of Redis, at the earliest: it
// was asked for at sent, and lives for life. Redis showed now at some moment
// before seen.
func expiry(now int64, seen, sent time.Time, life time.Duration) int64 {
	return now + (sent.Sub(seen) + life).Milliseconds()
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// lookNews is the message that says: look yourselves. The other kind carries a
// record, to those who wait for it: "token <id> <issued> <expires> <now> <sealed>",
// made by commit.lua. A message is a hint. Whoever misses it finds out a little
// later.
const lookNews = "look"

// news is a parsed message. Its id is empty if it says to look.
type news struct {
	id              string
	issued, expires string
	now             int64 // what the clock of Redis showed
	sealed          []byte
}

func parseNews(message []byte) (news, bool) {
	if string(message) == lookNews {
		return news{}, true
	}
	fields := bytes.SplitN(message, []byte(" "), 6)
	if len(fields) != 6 || string(fields[0]) != "token" || len(fields[1]) == 0 || len(message) > 2*maxSealed {
		return news{}, false
	}
	now, err := strconv.ParseInt(string(fields[4]), 10, 64)
	if err != nil || now <= 0 {
		return news{}, false
	}
	return news{id: string(fields[1]), issued: string(fields[2]), expires: string(fields[3]), now: now, sealed: fields[5]}, true
}
