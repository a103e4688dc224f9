package fromenv

import (
	"cmp"
	"errors"
	"slices"
)

// Prefix begins the name of every setting.
const Prefix = "FLEETTOKEN_"

// A SettingError is one mistake in the settings.
type SettingError struct {
	// Setting is the variable, such as FLEETTOKEN_CLIENT_ID.
	Setting string

	// Problem says what is wrong with it, such as "is empty". It has no secret in it.
	Problem string

	// Advice says what to do.
	Advice string
}

// Error returns the setting, the problem and the advice, in this order and in one line.
func (e *SettingError) Error() string { return e.Setting + " " + e.Problem + ": " + e.Advice }

// findings collect what is wrong with the settings, so that all of it is reported at
// once, and what is allowed and probably a mistake.
type findings struct {
	mistakes, warnings []*SettingError
}

// mistake adds a mistake. The setting is without its prefix.
func (f *findings) mistake(setting, problem, advice string) {
	f.mistakes = append(f.mistakes, &SettingError{Setting: Prefix + setting, Problem: problem, Advice: advice})
}

// warning adds a warning. The setting is without its prefix.
func (f *findings) warning(setting, problem, advice string) {
	f.warnings = append(f.warnings, &SettingError{Setting: Prefix + setting, Problem: problem, Advice: advice})
}

// has reports whether a setting has a mistake already.
func (f *findings) has(setting string) bool {
	return slices.ContainsFunc(f.mistakes, func(e *SettingError) bool { return e.Setting == setting })
}

// err returns the mistakes as one error, ordered by their text.
func (f *findings) err() error {
	slices.SortFunc(f.mistakes, func(a, b *SettingError) int { return cmp.Compare(a.Error(), b.Error()) })
	var errs []error
	for _, e := range f.mistakes {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}
