package main

import (
	"fmt"
	"slices"

	"github.com/fleettoken/fleettoken/tokencache/fromenv"
	"github.com/fleettoken/fleettoken/tokencache/pliant"
)

// A preset is a provider whose token URL and audience are known.
type preset struct {
	name               string
	tokenURL, audience string
}

func presets() []preset {
	var known []preset
	for _, e := range []pliant.Environment{pliant.Production, pliant.Sandbox} {
		known = append(known, preset{"pliant-" + e.Name, e.TokenURL, e.Audience})
	}
	return known
}

func presetNames() []string {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	return names
}

// applyPreset sets the variables that a preset knows. A variable that has another value
// is an error, and not overridden: one of the two is a mistake, and it may be the one
// between a sandbox and production.
func applyPreset(name string, environ map[string]string) (problems []problem) {
	if name == "" {
		return nil
	}
	known := presets()
	i := slices.IndexFunc(known, func(p preset) bool { return p.name == name })
	if i < 0 {
		return []problem{{text: fmt.Sprintf("--preset %q is not known: use %s or %s", name, known[0].name, known[1].name)}}
	}
	fill := func(setting, value string) {
		if has := environ[setting]; has != "" && has != value {
			problems = append(problems, problem{text: fmt.Sprintf("%s differs from --preset %s, which makes it %s: unset the one or leave out the other", setting, name, value)})
		}
		environ[setting] = value
	}
	fill(fromenv.Prefix+"TOKEN_URL", known[i].tokenURL)
	fill(fromenv.Prefix+"AUDIENCE", known[i].audience)
	return problems
}
