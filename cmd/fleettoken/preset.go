package main

import (
	"slices"

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

// applyPreset fills in what a preset knows. A variable that says something else
// is an error, whichever of them should win: one of the two is a mistake, and
// it may be the one between a sandbox and production.
func (s *settings) applyPreset(name string, problems *problems) {
	if name == "" {
		return
	}
	known := presets()
	i := slices.IndexFunc(known, func(p preset) bool { return p.name == name })
	if i < 0 {
		problems.add("--preset %q is not known: use %s or %s", name, known[0].name, known[1].name)
		return
	}
	fill := func(setting string, value *string, preset string) {
		if *value != "" && *value != preset {
			problems.add("%s says otherwise than --preset %s, which makes it %s: unset the one or leave out the other", setting, name, preset)
		}
		*value = preset
	}
	fill("FLEETTOKEN_TOKEN_URL", &s.TokenURL, known[i].tokenURL)
	fill("FLEETTOKEN_AUDIENCE", &s.Audience, known[i].audience)
}
