package fromenv

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// warnOfUnknown warns of each variable whose name begins like that of a setting and is
// none.
func warnOfUnknown(environ map[string]string, known []string, found *findings) {
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		unprefixed, ok := strings.CutPrefix(name, Prefix)
		if !ok || slices.Contains(known, name) || ofKubernetes.MatchString(name) {
			continue
		}
		problem, advice := "is not a setting", "unset it, or correct its name"
		if now, ok := renamed[name]; ok {
			problem, advice = "is not a setting any more", "it is called "+now+" now"
		} else if meant := nearest(name, known); meant != "" {
			advice = "did you mean " + meant
		}
		found.warning(unprefixed, problem, advice)
	}
}

// renamed are settings that have another name now.
var renamed = map[string]string{
	Prefix + "SEAL_KEYS_FILE": Prefix + "ENCRYPTION_KEYS_FILE",
}

// ofKubernetes matches the variables that Kubernetes sets for a service of the name
// fleettoken.
var ofKubernetes = regexp.MustCompile(`^` + Prefix + `(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+)$`)

// nearest returns the first of the known names that differs from name in at most two
// letters, or "".
func nearest(name string, known []string) string {
	for _, k := range known {
		if edits(name, k) <= 2 {
			return k
		}
	}
	return ""
}

// edits returns how many letters have to be inserted, removed or replaced to make a into
// b (the Levenshtein distance).
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
