package tokencache_test

import (
	"os"
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
