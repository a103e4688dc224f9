package fromenv

import (
	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache/redisurl"
)

// redisOptions reads where Redis is.
func redisOptions(s settings, found *findings) *redis.UniversalOptions {
	const address, authorities = "REDIS_URL", "REDIS_CA_FILE"
	if s.RedisURL == "" {
		found.mistake(address, "is not set", "set it to the Redis that the fleet shares, such as redis://127.0.0.1:6379")
		return nil
	}
	options, err := redisurl.Parse(s.RedisURL)
	if err != nil {
		found.mistake(address, "is not the URL of a Redis", err.Error())
		return nil
	}
	if options.TLSConfig == nil && redisurl.HasSecret(s.RedisURL) && !redisurl.Local(options.Addrs) {
		found.warning(address, "has a password that travels over the network unencrypted", "if this Redis uses TLS, write rediss in place of redis")
	}
	trusted := roots(authorities, s.RedisCAFile, found)
	switch {
	case trusted != nil && options.TLSConfig == nil:
		found.mistake(authorities, "is set, and the connection to Redis is not encrypted", "begin "+Prefix+address+" with rediss, or unset the file")
	case trusted != nil:
		options.TLSConfig.RootCAs = trusted
	}
	return options
}
