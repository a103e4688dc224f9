package fromenv

import (
	"errors"
	"reflect"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/fleettoken/fleettoken/tokencache"
)

// settings are the variables, each with Prefix before its name. The field of package
// tokencache that a variable sets is named beside it.
type settings struct {
	TokenURL         string        `env:"TOKEN_URL" sets:"Credentials.TokenURL"`
	ClientID         string        `env:"CLIENT_ID" sets:"Credentials.ClientID"`
	ClientSecret     string        `env:"CLIENT_SECRET" sets:"Credentials.ClientSecret"`
	ClientSecretFile string        `env:"CLIENT_SECRET_FILE"`
	Audience         string        `env:"AUDIENCE" sets:"Credentials.Audience"`
	Organization     string        `env:"ORGANIZATION" sets:"Credentials.Organization"`
	GrantType        string        `env:"GRANT_TYPE" sets:"Credentials.GrantType"`
	Scopes           string        `env:"SCOPES" sets:"Credentials.Scopes"`
	Params           string        `env:"PARAMS" sets:"Credentials.Params"`
	Encoding         encoding      `env:"ENCODING" sets:"Credentials.Encoding"`
	DefaultLifetime  time.Duration `env:"DEFAULT_LIFETIME" sets:"Credentials.DefaultLifetime"`
	CAFile           string        `env:"CA_FILE" sets:"Options.RootCAs"`

	RedisURL    string `env:"REDIS_URL"`
	RedisCAFile string `env:"REDIS_CA_FILE"`

	Prefix             string        `env:"PREFIX" sets:"Options.Prefix"`
	Replica            string        `env:"REPLICA" sets:"Options.Replica"`
	EncryptionKeysFile string        `env:"ENCRYPTION_KEYS_FILE" sets:"Options.EncryptionKeys"`
	RenewBefore        time.Duration `env:"RENEW_BEFORE" sets:"Options.RenewBefore"`
	RequestTimeout     time.Duration `env:"REQUEST_TIMEOUT" sets:"Options.RequestTimeout"`
	RedisTimeout       time.Duration `env:"REDIS_TIMEOUT" sets:"Options.RedisTimeout"`
	EnforcedQuota      bool          `env:"ENFORCED_QUOTA" sets:"Options.EnforcedQuota"`
}

// Settings returns the names of all settings.
func Settings() (names []string) {
	for field := range reflect.TypeFor[settings]().Fields() {
		names = append(names, Prefix+field.Tag.Get("env"))
	}
	return names
}

// settingOf returns the name of the setting that sets a field of package tokencache, or
// the field's own name if none does.
func settingOf(field string) string {
	for f := range reflect.TypeFor[settings]().Fields() {
		if f.Tag.Get("sets") == field {
			return Prefix + f.Tag.Get("env")
		}
	}
	return field
}

// An encoding is the name of a tokencache.Encoding.
type encoding tokencache.Encoding

// UnmarshalText reads a name.
func (e *encoding) UnmarshalText(text []byte) error {
	known := map[string]tokencache.Encoding{"json": tokencache.JSON, "form": tokencache.Form, "basic": tokencache.FormBasic, "basic-plain": tokencache.FormBasicPlain}
	value, ok := known[string(text)]
	if !ok {
		return errors.New("unknown")
	}
	*e = encoding(value)
	return nil
}

// readSettings reads the variables. What cannot be read is left at zero.
func readSettings(environ map[string]string, found *findings) settings {
	s, err := env.ParseAsWithOptions[settings](env.Options{Environment: environ, Prefix: Prefix})
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		for _, err := range all.Errors {
			setting, problem, advice := describe(err)
			found.mistake(setting, problem, advice)
		}
	}
	return s
}

// describe says which variable cannot be read, and how to write it. The value is not
// shown: it may be one that belongs elsewhere.
func describe(err error) (setting, problem, advice string) {
	wrong, ok := errors.AsType[env.ParseError](err)
	if !ok {
		return "", "cannot be read", err.Error()
	}
	setting = wrong.Name
	if field, ok := reflect.TypeFor[settings]().FieldByName(wrong.Name); ok {
		setting = field.Tag.Get("env")
	}
	switch wrong.Type {
	case reflect.TypeFor[time.Duration]():
		return setting, "is not a duration", "write it like 90s, 5m or 1h30m"
	case reflect.TypeFor[bool]():
		return setting, "is neither true nor false", "write one of the two"
	case reflect.TypeFor[encoding]():
		return setting, "is not an encoding", "use json, form, basic or basic-plain"
	}
	return setting, "cannot be read", "check how it is written"
}
