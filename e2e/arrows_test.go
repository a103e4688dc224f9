package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/fleettoken/fleettoken/"

// TestArrows holds the project's structure: dependencies point one way, from the
// command to the library to the two packages that know nothing of each other.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		imports[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	for _, want := range []string{"lock", "quota", "tokencache", "tokencache/internal/replica", "tokencache/internal/endpoint", "tokencache/internal/store", "tokencache/auth0test", "cmd/fleettoken", "e2e/redistest"} {
		if imports[want] == nil {
			t.Errorf("package %s is gone, or imports nothing: this test looks at the wrong place", want)
		}
	}
	within := func(path, tree string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }
	for _, rule := range []struct{ tree, mayNot, because string }{
		{"lock", module, "a lease knows nothing of what it is for"},
		{"quota", module, "a quota knows nothing of leases and tokens"},
		{"tokencache", module + "cmd", "a library does not know its command"},
		{"tokencache", module + "e2e", "nothing that ships imports a test kit for servers"},
		{"cmd", module + "e2e", "nothing that ships imports a test kit for servers"},
		{"tokencache", "github.com/alicebob/miniredis", "a fake Redis is for tests and for the demo"},
		{"lock", "github.com/alicebob/miniredis", "a fake Redis is for tests and for the demo"},
		{"quota", "github.com/alicebob/miniredis", "a fake Redis is for tests and for the demo"},
		{"tokencache/internal/replica", module + "tokencache", "a decision knows nothing of how it is carried out"},
		{"tokencache/internal/replica", module + "lock", "a decision knows nothing of how it is carried out"},
		{"tokencache/internal/endpoint", module + "tokencache/internal/store", "a token request knows nothing of Redis"},
		{"tokencache/internal/endpoint", module + "tokencache/internal/replica", "an answer decides nothing"},
		{"tokencache/internal/store", module + "tokencache/internal/endpoint", "Redis knows nothing of the token endpoint"},
		{"tokencache/internal/store", module + "tokencache/internal/replica", "a record decides nothing"},
		{"e2e/redistest", module, "it runs servers, whatever they are for"},
		{"e2e/canary", module, "it searches text, whatever it is of"},
	} {
		for path, imported := range imports {
			if !within(path, rule.tree) {
				continue
			}
			for _, other := range imported {
				if within(strings.TrimPrefix(other, module), rule.tree) {
					continue // within the tree itself
				}
				if strings.HasPrefix(other, rule.mayNot) {
					t.Errorf("%s imports %s: %s", path, other, rule.because)
				}
			}
		}
	}
	// The endpoint for tests is a part of the library's tree, and not of the
	// library.
	for path, imported := range imports {
		for _, other := range imported {
			if other == module+"tokencache/auth0test" && !within(path, "cmd") {
				t.Errorf("%s imports %s: it is for tests and for the demo", path, other)
			}
		}
	}
}
