package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// warnOfTypos tells of variables that look like settings and are none, but only
// if they are close to one: others may use the same prefix, as Kubernetes does
// for a service of that name.
func (a *app) warnOfTypos() {
	known := allSettings()
	for _, name := range slices.Sorted(maps.Keys(a.env)) {
		if !strings.HasPrefix(name, settingPrefix) || slices.Contains(known, name) {
			continue
		}
		if now, ok := renamed[name]; ok {
			a.say("%s is not a setting any more", name)
			a.hint("it is called %s now", now)
			continue
		}
		for _, meant := range known {
			if edits(name, meant) <= 2 {
				a.say("%s is not a setting", name)
				a.hint("did you mean %s", meant)
				break
			}
		}
	}
}

// renamed are settings that have another name now.
var renamed = map[string]string{
	settingPrefix + "SEAL_KEYS_FILE": settingPrefix + "ENCRYPTION_KEYS_FILE",
}

// allSettings returns the names of all settings.
func allSettings() []string {
	var names []string
	for field := range reflect.TypeFor[settings]().Fields() {
		names = append(names, settingPrefix+field.Tag.Get("env"))
	}
	return names
}

// edits returns how many letters have to be inserted, removed or replaced to
// make a into b (the Levenshtein distance).
func edits(a, b string) int {
	row := make([]int, len(b)+1) // of the distances of a's beginning to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
