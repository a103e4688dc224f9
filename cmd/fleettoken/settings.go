package main

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/fleettoken/fleettoken/tokencache"
)

// settingPrefix begins the name of every environment variable that is read.
const settingPrefix = "FLEETTOKEN_"

// Settings are the environment variables, each with settingPrefix before its
// name. There are no others. The secrets among them are why settings are never
// printed.
type settings struct {
	TokenURL         string   `env:"TOKEN_URL"`
	ClientID         string   `env:"CLIENT_ID"`
	ClientSecret     string   `env:"CLIENT_SECRET"`
	ClientSecretFile string   `env:"CLIENT_SECRET_FILE"`
	Audience         string   `env:"AUDIENCE"`
	Organization     string   `env:"ORGANIZATION"`
	Scopes           string   `env:"SCOPES"`
	Params           string   `env:"PARAMS"`
	Encoding         encoding `env:"ENCODING"`
	CAFile           string   `env:"CA_FILE"`

	RedisURL    string `env:"REDIS_URL"`
	RedisCAFile string `env:"REDIS_CA_FILE"`

	Prefix             string        `env:"PREFIX"`
	Replica            string        `env:"REPLICA"`
	EncryptionKeysFile string        `env:"ENCRYPTION_KEYS_FILE"`
	RenewBefore        time.Duration `env:"RENEW_BEFORE"`
	RequestTimeout     time.Duration `env:"REQUEST_TIMEOUT"`
	RedisTimeout       time.Duration `env:"REDIS_TIMEOUT"`
	EnforcedQuota      bool          `env:"ENFORCED_QUOTA"`
}

// An encoding is the name of a tokencache.Encoding.
type encoding tokencache.Encoding

// UnmarshalText reads a name.
func (e *encoding) UnmarshalText(text []byte) error {
	known := map[string]tokencache.Encoding{"json": tokencache.JSON, "form": tokencache.Form, "basic": tokencache.FormBasic}
	value, ok := known[string(text)]
	if !ok {
		return errors.New("unknown")
	}
	*e = encoding(value)
	return nil
}

// readSettings reads the environment. What cannot be read is left at zero.
func readSettings(environment map[string]string, problems *problems) settings {
	s, err := env.ParseAsWithOptions[settings](env.Options{Environment: environment, Prefix: settingPrefix})
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		for _, err := range all.Errors {
			problems.add("%s", describe(err))
		}
	}
	for name, d := range map[string]time.Duration{
		"RENEW_BEFORE": s.RenewBefore, "REQUEST_TIMEOUT": s.RequestTimeout, "REDIS_TIMEOUT": s.RedisTimeout,
	} {
		if d < 0 {
			problems.add("%s%s is %v: it cannot be negative", settingPrefix, name, d)
		}
	}
	return s
}

// describe says which variable cannot be read, and how to write it. The value is
// not shown: it may be one that belongs elsewhere.
func describe(err error) string {
	wrong, ok := errors.AsType[env.ParseError](err)
	if !ok {
		return err.Error()
	}
	name := wrong.Name
	if field, ok := reflect.TypeFor[settings]().FieldByName(wrong.Name); ok {
		name = settingPrefix + field.Tag.Get("env")
	}
	switch wrong.Type {
	case reflect.TypeFor[time.Duration]():
		return fmt.Sprintf("%s is not a duration: write it like 90s, 5m or 1h30m", name)
	case reflect.TypeFor[bool]():
		return fmt.Sprintf("%s is neither true nor false", name)
	case reflect.TypeFor[encoding]():
		return fmt.Sprintf("%s is not an encoding: use json, form or basic", name)
	}
	return fmt.Sprintf("%s cannot be read", name)
}
