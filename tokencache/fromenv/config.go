package fromenv

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache"
)

// A Config is what the settings say, in the terms of package tokencache. Printing it
// shows no secret.
type Config struct {
	Credentials tokencache.Credentials
	Options     tokencache.Options

	// Redis is for tokencache.NewRedisClient. Nil if Parse returned an error.
	Redis *redis.UniversalOptions

	// Warnings are what is allowed and is probably a mistake: a variable whose name
	// begins like that of a setting, a secret file that everybody can read, a password
	// that travels unencrypted. Each is a *SettingError.
	Warnings []*SettingError

	secretSetting string // that the client's secret is from
}

// Load reads the settings from the environment of this process. See [Parse].
func Load() (*Config, error) {
	environ := make(map[string]string)
	for _, entry := range os.Environ() {
		if name, value, ok := strings.Cut(entry, "="); ok {
			environ[name] = value
		}
	}
	return Parse(environ)
}

// Parse reads the settings from environ, which maps names of variables to their values.
// It does no I/O but to read the files that settings name. The error joins a
// [*SettingError] for each mistake, and the Config has what could be read in spite of it.
func Parse(environ map[string]string) (*Config, error) {
	c := new(Config)
	var found findings
	warnOfUnknown(environ, Settings(), &found)
	s := readSettings(environ, &found)
	c.Credentials = tokencache.Credentials{
		TokenURL: s.TokenURL, ClientID: s.ClientID,
		Audience: s.Audience, Organization: s.Organization, Scopes: strings.Fields(s.Scopes),
		GrantType: s.GrantType, Encoding: tokencache.Encoding(s.Encoding), DefaultLifetime: s.DefaultLifetime,
	}
	c.Credentials.ClientSecret, c.secretSetting = clientSecret(s, &found)
	var err error
	if c.Credentials.Params, err = url.ParseQuery(s.Params); err != nil {
		found.mistake("PARAMS", "cannot be read", "write it like a=1&b=2, other characters as % and two hex digits")
	}
	c.Options = tokencache.Options{
		Prefix: s.Prefix, Replica: s.Replica, EncryptionKeys: encryptionKeys(s, &found),
		RenewBefore: s.RenewBefore, RequestTimeout: s.RequestTimeout, RedisTimeout: s.RedisTimeout,
		EnforcedQuota: s.EnforcedQuota, RootCAs: roots("CA_FILE", s.CAFile, &found),
	}
	c.Redis = redisOptions(s, &found)
	c.validate(&found)
	c.Warnings = found.warnings
	return c, found.err()
}

// validate adds what package tokencache finds wrong. What has a mistake of its own, such
// as a secret file that cannot be read, is not reported as empty, too.
func (c *Config) validate(found *findings) {
	for _, err := range []error{c.Credentials.Validate(), c.Options.Validate()} {
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		for _, err := range joined.Unwrap() {
			wrong, ok := err.(*tokencache.ConfigError)
			if !ok {
				continue
			}
			if setting := c.Setting(wrong.Field); !found.has(setting) {
				found.mistake(strings.TrimPrefix(setting, Prefix), wrong.Problem, wrong.Advice)
			}
		}
	}
	// Without Options.InsecureLoopback, which has no setting.
	if at, err := url.Parse(c.Credentials.TokenURL); err == nil && at.Scheme == "http" && !found.has(Prefix+"TOKEN_URL") {
		found.mistake("TOKEN_URL", fmt.Sprintf("is http://%s%s", at.Host, at.EscapedPath()), "it must begin with https://, since the client secret and the token travel over it")
	}
}

// Setting returns the name of the setting that a field of package tokencache is from,
// such as FLEETTOKEN_CLIENT_ID for Credentials.ClientID, or the field's own name if no
// setting sets it. The client's secret may be from either of two settings.
func (c *Config) Setting(field string) string {
	if field == "Credentials.ClientSecret" && c.secretSetting != "" {
		return c.secretSetting
	}
	return settingOf(field)
}

// Secrets returns the secrets of the configuration, for programs that keep them out of
// their output.
func (c *Config) Secrets() (secrets []string) {
	add := func(secret string) {
		if secret != "" {
			secrets = append(secrets, secret)
		}
	}
	add(c.Credentials.ClientSecret)
	if c.Redis != nil {
		add(c.Redis.Password)
		add(c.Redis.SentinelPassword)
	}
	return secrets
}

// String returns which token and which fleet it is, without secrets.
func (c *Config) String() string {
	return fmt.Sprintf("%v, %v", c.Credentials, c.Options)
}

// Format prints String, whatever the verb.
func (c *Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// GoString returns String.
func (c *Config) GoString() string { return c.String() }

// LogValue returns String.
func (c *Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText returns String. It is what encoding/json and others write.
func (c *Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
