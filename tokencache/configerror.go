package tokencache

import "errors"

// A ConfigError is one mistake in [Options] or [Credentials]. What [Options.Validate],
// [Credentials.Validate], [New] and [Cache.Source] return may join several.
type ConfigError struct {
	// Field is the field with the mistake, such as "Credentials.ClientID" or
	// "Options.EncryptionKeys[1]".
	Field string

	// Problem says what is wrong with it, such as "is empty". It has no secret in it.
	Problem string

	// Advice says what to do.
	Advice string
}

// Error returns the field, the problem and the advice in one line.
func (e *ConfigError) Error() string { return e.Field + " " + e.Problem + ": " + e.Advice }

// configErrors collects the mistakes in a struct.
type configErrors struct {
	of   string // the struct
	errs []error
}

func (c *configErrors) add(field, problem, advice string) {
	c.errs = append(c.errs, &ConfigError{Field: c.of + "." + field, Problem: problem, Advice: advice})
}

func (c *configErrors) join() error { return errors.Join(c.errs...) }
