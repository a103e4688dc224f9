package planted

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	plant = flag.Bool("plant", false, "break the core, and see whether its tests notice")
	only  = flag.String("bug", "", "only the bugs whose name or file has this in it")
)

// root is the module's.
const root = "../.."

func TestPlanted(t *testing.T) {
	tree := ""
	if *plant {
		tree = t.TempDir()
		copyTree(t, tree)
	}
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			path := filepath.FromSlash(b.file)
			whole, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(whole, []byte(b.old)); n != 1 {
				t.Fatalf("%s has %d places for this bug, want one: %s", b.file, n, b.old)
			}
			if !*plant || !strings.Contains(b.name+" "+b.file, *only) {
				return
			}
			broken := bytes.Replace(whole, []byte(b.old), []byte(b.new), 1)
			write(t, filepath.Join(tree, path), broken)
			defer write(t, filepath.Join(tree, path), whole)
			start := time.Now()
			caught := suite(t, tree, "./"+strings.SplitN(b.file, "/", 2)[0]+"/...")
			if caught == "" {
				t.Fatal("nobody noticed")
			}
			t.Logf("caught by %s, after %v", caught, time.Since(start).Round(time.Second))
		})
	}
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// suite runs the tests of the core until one fails, those of one package before
// the others, and returns its name.
func suite(t *testing.T, tree, first string) string {
	packages := []string{"./lock/...", "./quota/...", "./tokencache/..."}
	slices.SortStableFunc(packages, func(a, b string) int {
		switch first {
		case a:
			return -1
		case b:
			return 1
		}
		return 0
	})
	for _, pkg := range packages {
		cmd := exec.Command("go", "test", "-vet=off", "-failfast", "-count=1", "-timeout=3m", pkg)
		cmd.Dir = tree
		out, err := cmd.CombinedOutput()
		switch text := string(out); {
		case err == nil:
			continue
		case strings.Contains(text, "[build failed]") || strings.Contains(text, "[setup failed]"):
			t.Fatalf("the bug does not compile:\n%s", text)
		case strings.Contains(text, "panic: test timed out"):
			return "the deadline of " + pkg
		case failure.MatchString(text):
			names := failure.FindAllStringSubmatch(text, -1)
			return names[len(names)-1][1] // the innermost of the first that failed, or the last of several
		default:
			return "a crash of " + pkg
		}
	}
	return ""
}

// copyTree copies what the tests of the core need.
func copyTree(t *testing.T, to string) {
	for _, name := range []string{"go.mod", "go.sum", "README.md", "lock", "quota", "tokencache", "e2e/redistest"} {
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			target := filepath.Join(to, rel)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return os.WriteFile(target, data, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
