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
		for _, pkg := range core { // as it is, all is well; otherwise this shows nothing
			if failed := suite(t, tree, ".", pkg); failed != "" {
				t.Fatalf("nothing is broken yet, and %s fails", failed)
			}
		}
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
			about := packagesOf(t, b)
			if len(about) == 0 {
				t.Fatalf("no package has %s", b.test)
			}
			if !*plant || !strings.Contains(b.name+" "+b.file, *only) {
				return
			}
			broken := bytes.Replace(whole, []byte(b.old), []byte(b.new), 1)
			write(t, filepath.Join(tree, path), broken)
			defer write(t, filepath.Join(tree, path), whole)
			start := time.Now()
			caught := suite(t, tree, b.test, about...)
			if caught == "" {
				t.Errorf("%s is about it, and did not notice", b.test)
				for _, pkg := range nearest(b) {
					if caught = suite(t, tree, ".", pkg); caught != "" {
						break
					}
				}
			}
			if caught == "" {
				t.Fatal("nor did anybody else")
			}
			t.Logf("caught by %s, after %v", caught, time.Since(start).Round(time.Second))
		})
	}
}

// core are the packages whose tests have to notice.
var core = []string{"./lock/...", "./quota/...", "./tokencache/..."}

// packagesOf returns those that have the test of a bug: of the core, or of the command if
// the bug is there.
func packagesOf(t *testing.T, b bug) (packages []string) {
	name, _, _ := strings.Cut(b.test, "/")
	in := core
	if strings.HasPrefix(b.file, "cmd/") {
		in = []string{"./cmd/fleettoken/..."}
	}
	for _, pkg := range in {
		dir := strings.TrimSuffix(pkg, "/...")
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(text, []byte("\nfunc "+name+"(")) {
				return err
			}
			rel, err := filepath.Rel(root, filepath.Dir(path))
			packages = append(packages, "./"+filepath.ToSlash(rel))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return packages
}

// nearest returns them in the order in which they are asked: that of the bug
// first.
func nearest(b bug) []string {
	packages := slices.Clone(core)
	first := "./" + strings.SplitN(b.file, "/", 2)[0] + "/..."
	slices.SortStableFunc(packages, func(x, y string) int {
		switch first {
		case x:
			return -1
		case y:
			return 1
		}
		return 0
	})
	return packages
}

var (
	failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hanging = regexp.MustCompile(`panic: test timed out after \S+\n\s+running tests:\n\s+(\S+)`)
	crash   = regexp.MustCompile(`(?m)^(panic|fatal error): .*`)
)

// suite runs tests of some packages until one fails, and returns its name.
func suite(t *testing.T, tree, run string, packages ...string) string {
	timeout := "-timeout=5m"
	if run != "." {
		timeout = "-timeout=1m"
	}
	cmd := exec.Command("go", append([]string{"test", "-vet=off", "-failfast", "-count=1", timeout, "-run", run}, packages...)...)
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err == nil {
		return ""
	}
	if m := failure.FindAllStringSubmatch(text, -1); m != nil {
		return m[len(m)-1][1] // the innermost of the first that failed, or the last of several
	}
	if m := hanging.FindStringSubmatch(text); m != nil {
		return m[1] + ", which hangs"
	}
	if m := crash.FindString(text); m != "" {
		return m
	}
	t.Fatalf("the tests could not be run, or failed without a reason:\n%s", text)
	return ""
}

// copyTree copies what the tests of the core need.
func copyTree(t *testing.T, to string) {
	for _, name := range []string{"go.mod", "go.sum", "README.md", "lock", "quota", "tokencache", "cmd", "e2e/redistest", "e2e/canary", "e2e/fault_test.go"} {
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
