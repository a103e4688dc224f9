// Package fromenv reads the configuration of a fleet from the environment, in the
// settings that the command fleettoken has. A program that uses it and the command are
// configured alike.
//
//	config, err := fromenv.Load()
//	if err != nil {
//		log.Fatal(err)
//	}
//	rdb := tokencache.NewRedisClient(config.Redis)
//	defer rdb.Close()
//	cache, err := tokencache.New(rdb, &config.Options)
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer cache.Close()
//	source, err := cache.Source(config.Credentials)
//
// # Settings
//
//	FLEETTOKEN_TOKEN_URL             Credentials.TokenURL; required
//	FLEETTOKEN_CLIENT_ID             Credentials.ClientID; required
//	FLEETTOKEN_CLIENT_SECRET         Credentials.ClientSecret; this or the next is required
//	FLEETTOKEN_CLIENT_SECRET_FILE    a file that holds it; one newline at its end is no part of it
//	FLEETTOKEN_AUDIENCE              Credentials.Audience
//	FLEETTOKEN_ORGANIZATION          Credentials.Organization
//	FLEETTOKEN_SCOPES                Credentials.Scopes, separated by spaces
//	FLEETTOKEN_PARAMS                Credentials.Params, like a=1&b=2
//	FLEETTOKEN_GRANT_TYPE            Credentials.GrantType
//	FLEETTOKEN_ENCODING              Credentials.Encoding: json, form, basic or basic-plain
//	FLEETTOKEN_DEFAULT_LIFETIME      Credentials.DefaultLifetime, like 10h
//	FLEETTOKEN_CA_FILE               a PEM file of certificate authorities for token requests, beside the system's
//	FLEETTOKEN_REDIS_URL             where Redis is, as package redisurl reads it; required
//	FLEETTOKEN_REDIS_CA_FILE         a PEM file of certificate authorities for Redis, beside the system's
//	FLEETTOKEN_PREFIX                Options.Prefix
//	FLEETTOKEN_REPLICA               Options.Replica
//	FLEETTOKEN_ENCRYPTION_KEYS_FILE  Options.EncryptionKeys: one a line, in base64 or hex; # begins a comment
//	FLEETTOKEN_RENEW_BEFORE          Options.RenewBefore, like 90s, 5m or 1h30m
//	FLEETTOKEN_REQUEST_TIMEOUT       Options.RequestTimeout
//	FLEETTOKEN_REDIS_TIMEOUT         Options.RedisTimeout
//	FLEETTOKEN_ENFORCED_QUOTA        Options.EnforcedQuota: true or false
//
// A setting that is empty counts as not set. Files are read once. The other options are
// for the program to set in [Config].Options before it calls tokencache.New.
package fromenv
