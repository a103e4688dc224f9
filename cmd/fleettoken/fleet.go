package main

import (
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache"
)

// A fleet is this process's place in one: its Redis, and the token that it
// shares. It must be closed.
type fleet struct {
	rdb    redis.UniversalClient
	cache  *tokencache.Cache
	source *tokencache.Source
}

// join opens what a configuration describes. It does no I/O.
func (c *config) join() (*fleet, error) {
	rdb := tokencache.NewRedisClient(c.Redis)
	cache, err := tokencache.New(rdb, &c.Options)
	if err != nil {
		_ = rdb.Close()
		return nil, c.explain(err)
	}
	source, err := cache.Source(c.Credentials)
	if err != nil {
		_ = cache.Close()
		_ = rdb.Close()
		return nil, c.explain(err)
	}
	return &fleet{rdb, cache, source}, nil
}

// close waits for a token request that is under way: the fleet has paid for it.
func (f *fleet) close() {
	_ = f.cache.Close()
	_ = f.rdb.Close()
}
