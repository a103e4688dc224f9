package tokencache_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every Go block of the README stands in an example, which compiles.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := unindent(string(examples))
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("found %d Go blocks in the README, want four or more", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(code, unindent(block)) {
			t.Errorf("this block of the README is in no example:\n%s", block)
		}
	}
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
