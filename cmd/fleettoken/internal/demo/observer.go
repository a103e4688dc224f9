package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache"
)

// An observer looks at the fleet from outside, as fleettoken status does. It is
// no replica: it never wants a token.
type observer struct {
	meter  *meter
	rdb    redis.UniversalClient
	cache  *tokencache.Cache
	source *tokencache.Source

	mu      sync.Mutex
	last    tokencache.Status // what it saw when Redis answered last
	seen    time.Time         // and when that was
	away    bool
	journal map[string]quota.Entry // all that was ever in it: a Redis may lose it
}

func newObserver(cfg ReplicaConfig) (*observer, error) {
	o := &observer{
		meter: newMeter(cfg.Options.Prefix), rdb: tokencache.NewRedisClient(cfg.Redis), journal: make(map[string]quota.Entry),
	}
	o.rdb.AddHook(o.meter)
	options := cfg.Options
	options.Replica, options.Subscribe = "observer", false
	var err error
	o.cache, err = tokencache.New(o.rdb, &options)
	if err == nil {
		o.source, err = o.cache.Source(cfg.Credentials)
	}
	if err != nil {
		return nil, errors.Join(err, o.rdb.Close())
	}
	return o, nil
}

// look asks Redis how the fleet does.
func (o *observer) look(ctx context.Context) error {
	status, err := o.source.Status(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away = err != nil
	if err != nil {
		return err
	}
	o.last, o.seen = status, time.Now()
	for _, e := range status.Journal {
		o.journal[e.ID] = e
	}
	return nil
}

// watch looks again and again until ctx ends.
func (o *observer) watch(ctx context.Context) {
	for pause(ctx, 200*time.Millisecond) {
		_ = o.look(ctx) // that Redis is away is a part of the story
	}
}

// saw returns what was seen last, how long ago, and whether Redis is away.
func (o *observer) saw() (status tokencache.Status, age time.Duration, away bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last, time.Since(o.seen), o.away
}

// entries returns the whole journal, the oldest entry first.
func (o *observer) entries() []quota.Entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]quota.Entry, 0, len(o.journal))
	for _, e := range o.journal {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b quota.Entry) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	return list
}

// tidyUp removes what the fleet has left in Redis. All keys of a client have one
// hash tag, so one command removes them from a Cluster, too.
func (o *observer) tidyUp(ctx context.Context) error {
	keys := o.meter.seen()
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := o.rdb.Del(ctx, keys...).Err(); err != nil {
		return fmt.Errorf("the keys %q could not be removed from Redis: %w", keys, err)
	}
	return nil
}

func (o *observer) close() {
	_ = o.cache.Close() // it has no error to tell
	_ = o.rdb.Close()
}
