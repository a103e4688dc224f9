package main

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/fleettoken/fleettoken/tokencache/fromenv"
	"github.com/fleettoken/fleettoken/tokencache/redisurl"
)

// A config is what the settings and the flags say, checked.
type config struct {
	*fromenv.Config
	redisFrom string // the setting or the flag that the address of Redis is from
}

const redisSetting = fromenv.Prefix + "REDIS_URL"

// redisFromEnv is what --redis says if the address is in the environment, as it must be
// if it has a password in it.
const redisFromEnv = "env"

// config reads the configuration. It does no I/O but to read files, so whatever is wrong
// with the configuration itself is reported before anything is tried, and all of it at
// once.
func (a *app) config() (*config, error) {
	environ := maps.Clone(a.env)
	problems := applyPreset(a.flags.preset, environ)
	c, mistakes := a.parse(environ)
	if problems = append(problems, mistakes...); len(problems) > 0 {
		return nil, &failure{exitUsage, problems}
	}
	return c, nil
}

// parse reads the settings, and --redis in place of the address of Redis. It reports what
// is allowed and is probably a mistake. With names, the problems are only those of these
// settings.
func (a *app) parse(environ map[string]string, names ...string) (*config, []problem) {
	c := &config{redisFrom: redisSetting}
	var problems []problem
	if address := a.flags.redis; address != "" && address != redisFromEnv {
		c.redisFrom = "--redis"
		if redisurl.HasSecret(address) {
			problems = append(problems, problem{text: "--redis has a password in it, which other users of this machine can see: set " + redisSetting + " instead"})
			address = "redis://127.0.0.1" // to find what else is wrong
		}
		environ = maps.Clone(environ)
		environ[redisSetting] = address
	}
	var err error
	c.Config, err = fromenv.Parse(environ)
	a.hide(c.Secrets()...)
	for _, w := range c.Warnings {
		a.say("%s %s", c.named(w.Setting), w.Problem)
		a.hint("%s", w.Advice)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			wrong, ok := errors.AsType[*fromenv.SettingError](err)
			if ok && (len(names) == 0 || slices.Contains(names, wrong.Setting)) {
				problems = append(problems, problem{text: c.named(wrong.Setting) + strings.TrimPrefix(wrong.Error(), wrong.Setting)})
			}
		}
	}
	return c, problems
}

// named returns the name of a setting, or of the flag that stands in for it.
func (c *config) named(setting string) string {
	if setting == redisSetting {
		return c.redisFrom
	}
	return setting
}
