package handfast_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// testsIn contains the tests of a directory, and the strings in its Go files, from which the names of subtests are made.
type testsIn struct {
	tests map[string]bool
	texts map[string]bool
}

// goTests returns the tests of each directory in the repository.
func goTests(t *testing.T) map[string]*testsIn {
	t.Helper()
	all := map[string]*testsIn{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if all[dir] == nil {
			all[dir] = &testsIn{tests: map[string]bool{}, texts: map[string]bool{}}
		}
		return all[dir].read(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// read adds the tests of a file.
func (in *testsIn) read(path string) error {
	source, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(source, []byte("testing")) && !strings.HasSuffix(path, "_test.go") {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && strings.HasPrefix(n.Name.Name, "Test") && strings.HasSuffix(path, "_test.go") {
				in.tests[n.Name.Name] = true
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				in.texts[text] = true
			}
		}
		return true
	})
	return nil
}

// namedTest matches a test, possibly with a subtest, as documents name it.
var namedTest = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9_]*)(?:/([^`]+))?`")

// has reports whether there is a test of that name in dirs, or anywhere if dirs is empty. The name of a subtest must be a string,
// or two strings together, in the directory or in the suite that it runs.
func has(all map[string]*testsIn, dirs []string, test, sub string) bool {
	for dir, in := range all {
		if !in.tests[test] || len(dirs) > 0 && !slices.Contains(dirs, dir) {
			continue
		}
		name := strings.ReplaceAll(sub, "_", " ")
		text := func(s string) bool { return in.texts[s] || all["hub/enginetest"].texts[s] }
		if sub == "" || text(name) || text(sub) {
			return true
		}
		for i := range name {
			if name[i] == ' ' && text(name[:i+1]) && text(name[i+1:]) {
				return true
			}
		}
	}
	return false
}

// Every test that a document names exists. Package rfctable checks those in docs/rfc.md.
func TestTestsInDocumentsExist(t *testing.T) {
	all := goTests(t)
	found := 0
	for _, name := range documents(t) {
		if name == "docs/rfc.md" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range namedTest.FindAllStringSubmatch(string(text), -1) {
			found++
			if !has(all, nil, m[1], m[2]) {
				t.Errorf("%s names %s, which does not exist", name, m[0])
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d names were found", found)
	}
}

// Each row of a table of guarantees names a test of the packages that the head of the table or the cell names.
func TestGuaranteesHaveTests(t *testing.T) {
	all := goTests(t)
	quoted := regexp.MustCompile("`([a-z0-9/]+)`")
	packages := func(cell string) (dirs []string) {
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			if all[m[1]] == nil {
				t.Errorf("there is no package %s", m[1])
			}
			dirs = append(dirs, m[1])
		}
		return dirs
	}
	tables := 0
	for _, name := range documents(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var dirs []string // the directories that the table's head names; nil outside of a table
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			last := strings.TrimSpace(cells[len(cells)-1])
			switch {
			case !strings.HasPrefix(line, "|"):
				dirs = nil
			case dirs == nil && strings.HasPrefix(last, "test in "):
				tables++
				dirs = packages(last)
			case dirs != nil && strings.Trim(last, "- :") != "":
				named := namedTest.FindAllStringSubmatch(last, -1)
				if len(named) == 0 {
					t.Errorf("%s: no test: %s", name, line)
				}
				for _, m := range named {
					if where := append(packages(last), dirs...); !has(all, where, m[1], m[2]) {
						t.Errorf("%s: %s is not in %v: %s", name, m[0], where, line)
					}
				}
			}
		}
	}
	if tables < 3 {
		t.Errorf("%d tables", tables)
	}
}
