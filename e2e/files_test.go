package e2e

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFiles holds the order of the files within a package: no two need each other, by the
// functions, methods, types, variables and constants that they use. A method belongs to
// the file that it is in.
func TestFiles(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-export", "-f", `{{.ImportPath}} {{.Export}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			exports[path] = file
		}
	}
	out, err = exec.Command("go", "list", "-f", `{{.ImportPath}} {{.Dir}} {{join .GoFiles " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		if knots := knotsOf(t, fields[0], fields[1], fields[2:], exports); len(knots) > 0 {
			t.Errorf("%s: files that need each other: %v", fields[0], knots)
		}
		checked++
	}
	if checked < 14 {
		t.Errorf("%d packages were checked: this test looks at the wrong place", checked)
	}
}

// knotsOf returns the groups of files of a package that need each other.
func knotsOf(t *testing.T, path, dir string, names []string, exports map[string]string) (knots []string) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	lookup := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	}
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}
	pkg, err := conf.Check(path, fset, files, info)
	if err != nil {
		t.Fatal(err)
	}
	needs := make(map[string]map[string]bool)
	base := func(pos token.Pos) string { return filepath.Base(fset.Position(pos).Filename) }
	for id, object := range info.Uses {
		if object.Pkg() != pkg {
			continue
		}
		if v, ok := object.(*types.Var); ok && v.IsField() {
			continue // a field belongs to its type
		}
		from, to := base(id.Pos()), base(object.Pos())
		if from != to {
			if needs[from] == nil {
				needs[from] = make(map[string]bool)
			}
			needs[from][to] = true
		}
	}
	reaches := func(from, to string) bool {
		seen := map[string]bool{}
		todo := []string{from}
		for len(todo) > 0 {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			for next := range needs[at] {
				if next == to {
					return true
				}
				if !seen[next] {
					seen[next] = true
					todo = append(todo, next)
				}
			}
		}
		return false
	}
	for _, name := range names {
		if reaches(name, name) {
			knots = append(knots, name)
		}
	}
	slices.Sort(knots)
	return knots
}
