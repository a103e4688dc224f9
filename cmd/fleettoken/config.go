package main

import (
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/cmd/fleettoken/internal/redisurl"
	"github.com/fleettoken/fleettoken/tokencache"
)

// A config is what the settings and the flags say, checked, and in the terms of
// the library.
type config struct {
	credentials tokencache.Credentials
	options     tokencache.Options
	redis       *redis.UniversalOptions
	redisFrom   string            // the setting or the flag that redis is from
	names       *strings.Replacer // turns the library's names into those of settings
}

// config reads the configuration. It does no I/O but to read files, so whatever
// is wrong with the configuration itself is told before anything is tried, and
// all of it at once.
func (a *app) config() (*config, error) {
	var problems problems
	a.warnOfTypos()
	s := readSettings(a.env, &problems)
	s.applyPreset(a.flags.preset, &problems)
	secret, secretSetting := a.clientSecret(s, &problems)
	c := &config{
		credentials: tokencache.Credentials{
			TokenURL: s.TokenURL, ClientID: s.ClientID, ClientSecret: secret,
			Audience: s.Audience, Organization: s.Organization, Scopes: strings.Fields(s.Scopes),
			Encoding: tokencache.Encoding(s.Encoding),
		},
		options: tokencache.Options{
			Prefix: s.Prefix, Replica: s.Replica, EncryptionKeys: a.encryptionKeys(s, &problems),
			RenewBefore: max(s.RenewBefore, 0), RequestTimeout: max(s.RequestTimeout, 0), RedisTimeout: max(s.RedisTimeout, 0),
			EnforcedQuota: s.EnforcedQuota,
		},
		names: settingNames(secretSetting),
	}
	var err error
	if c.credentials.Params, err = url.ParseQuery(s.Params); err != nil {
		problems.add("%sPARAMS cannot be read: write it like a=1&b=2, other characters as %% and two hex digits", settingPrefix)
	}
	if trusted, err := roots(settingPrefix+"CA_FILE", s.CAFile); err != nil {
		problems.add("%v", err)
	} else {
		c.options.RootCAs = trusted
	}
	c.redis, c.redisFrom = a.redisOptions(s, &problems), a.redisSetting()
	c.check(secretSetting != "", &problems)
	return c, problems.err()
}

// redisFromEnv is what --redis says if the address is in the environment, as it
// must be if it has a password in it.
const redisFromEnv = "env"

// redisSetting returns where the address of Redis comes from, for people.
func (a *app) redisSetting() string {
	if a.flags.redis == "" || a.flags.redis == redisFromEnv {
		return settingPrefix + "REDIS_URL"
	}
	return "--redis"
}

// redisOptions reads where Redis is.
func (a *app) redisOptions(s settings, problems *problems) *redis.UniversalOptions {
	setting, address := a.redisSetting(), s.RedisURL
	if setting == "--redis" {
		address = a.flags.redis
		if redisurl.HasSecret(address) {
			problems.add("--redis has a password in it, which other users of this machine can see: set %sREDIS_URL instead", settingPrefix)
			return nil
		}
	}
	if address == "" {
		problems.add("%s is not set: set it to the Redis that the fleet shares, such as redis://127.0.0.1:6379", setting)
		return nil
	}
	options, err := redisurl.Parse(address)
	if err != nil {
		problems.add("%s: %v", setting, err)
		return nil
	}
	a.hide(options.Password, options.SentinelPassword)
	if options.TLSConfig == nil && redisurl.HasSecret(address) && !redisurl.Local(options.Addrs) {
		a.say("%s: the password of Redis passes the network in clear, for all to see who are on its way", setting)
		a.hint("if this Redis speaks TLS, write rediss in place of redis in %s", setting)
	}
	trusted, err := roots(settingPrefix+"REDIS_CA_FILE", s.RedisCAFile)
	switch {
	case err != nil:
		problems.add("%v", err)
	case trusted != nil && options.TLSConfig == nil:
		problems.add("%sREDIS_CA_FILE is set, and the connection to Redis is not encrypted: begin %s with rediss, or unset the file", settingPrefix, setting)
	case trusted != nil:
		options.TLSConfig.RootCAs = trusted
	}
	return options
}

// check asks the library what it thinks. New tells the first thing that it minds
// of its options, so they are shown to it one by one.
func (c *config) check(secretKnown bool, problems *problems) {
	rdb := tokencache.NewRedisClient(&redis.UniversalOptions{}) // to have one; nothing is sent
	defer rdb.Close()
	for _, options := range []tokencache.Options{{Prefix: c.options.Prefix}, {RequestTimeout: c.options.RequestTimeout}} {
		_, err := tokencache.New(rdb, &options)
		problems.addLibrary(err, c.names)
	}

	credentials := c.credentials
	if !secretKnown {
		credentials.ClientSecret = "why there is none is told already"
	}
	cache, err := tokencache.New(rdb, nil)
	if err == nil {
		defer cache.Close()
		_, err = cache.Source(credentials)
	}
	problems.addLibrary(err, c.names)
}
