package tokencache_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// Every Go block of the README stands in an example, which compiles, or is a program.
func TestReadme(t *testing.T) {
	var code strings.Builder
	for _, file := range []string{"example_test.go", "example_synctest_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.WriteString(unindent(string(text)))
	}
	blocks := readmeBlocks(t)
	if len(blocks) < 5 {
		t.Fatalf("found %d Go blocks in the README, want five or more", len(blocks))
	}
	for _, block := range blocks {
		if !strings.HasPrefix(block, "package main") && !strings.Contains(code.String(), unindent(block)) {
			t.Errorf("this block of the README is in no example:\n%s", block)
		}
	}
}

// The program of the README runs: several of it request one token.
func TestReadmeProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("-short builds no programs")
	}
	i := slices.IndexFunc(readmeBlocks(t), func(block string) bool { return strings.HasPrefix(block, "package main") })
	if i < 0 {
		t.Fatal("the README has no program")
	}
	dir := t.TempDir()
	source, program, ca := filepath.Join(dir, "main.go"), filepath.Join(dir, "program"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(source, []byte(readmeBlocks(t)[i]), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tenant := auth0test.NewServer(nil)
	defer tenant.Close()
	if err := os.WriteFile(ca, tenant.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	server := miniredis.RunT(t)
	for range 3 {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "FLEETTOKEN_TOKEN_URL="+tenant.TokenURL(), "FLEETTOKEN_CLIENT_ID=test-client",
			"FLEETTOKEN_CLIENT_SECRET=test-secret", "FLEETTOKEN_CA_FILE="+ca, "FLEETTOKEN_REDIS_URL=redis://"+server.Addr())
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "valid until") {
			t.Errorf("got %v and %s", err, out)
		}
	}
	if got := tenant.Issued(); got != 1 {
		t.Errorf("got %d tokens, want one", got)
	}
}

func readmeBlocks(t *testing.T) (blocks []string) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(readme), "```go\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

// unindent removes the indentation of every line.
func unindent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimLeft(line, "\t "))
	}
	return b.String()
}

// The tests that the table of failures names are there.
func TestTableOfFailures(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(doc), "what it costs")
	table, _, ended := strings.Cut(table, "//\n")
	if !found || !ended {
		t.Fatal("doc.go has no table of failures")
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "../e2e/fault_test.go")
	var tests strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	numbered := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?:\{|number: |Run\(")(\d[\d ]*)(?:, "|, name: | )`).FindAllStringSubmatch(tests.String(), -1) {
		for number := range strings.FieldsSeq(found[1]) {
			numbered[strings.TrimLeft(number, "0")] = true
		}
	}
	gap := regexp.MustCompile(`\s{2,}|\t`)
	lines := strings.Split(table, "\n")[1:]
	for _, line := range lines {
		cells := gap.Split(strings.TrimSpace(line), -1)
		if len(cells) < 4 {
			continue // the rest of a row
		}
		for name := range strings.SplitSeq(cells[len(cells)-1], ", ") {
			name, numbers, _ := strings.Cut(name, "/")
			if name[0] >= '0' && name[0] <= '9' { // more faults
				name, numbers = "Fault", name
			}
			if first, last, _ := strings.Cut(numbers, "-"); numbers != "" {
				for number := range strings.FieldsSeq(first + " " + last) {
					if !numbered[strings.TrimLeft(number, "0")] {
						t.Errorf("there is no fault %s, which this row names: %s", number, line)
					}
				}
			}
			if !strings.Contains(tests.String(), "func Test"+name+"(") {
				t.Errorf("there is no Test%s, which this row names: %s", name, line)
			}
		}
	}
	if len(lines) < 15 {
		t.Errorf("got %d rows, want the whole table", len(lines))
	}
}
