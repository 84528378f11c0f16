// Command crosscheck type-checks packages and all their imports for the system given by GOOS and GOARCH. It finds the same errors
// as a build for that system, in seconds instead of minutes, because it compiles nothing. Only the declarations of the standard
// library are checked. With -test it also checks the tests of the named packages.
//
//	GOOS=windows GOARCH=amd64 go run ./internal/crosscheck [-test] ./cmd/handfast
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// listed is a package as go list describes it.
type listed struct {
	ImportPath, Dir string
	GoFiles, SFiles []string
	ImportMap       map[string]string
	Standard        bool
	Error           *struct{ Err string }
}

func main() {
	arch := os.Getenv("GOARCH")
	if arch == "" || os.Getenv("GOOS") == "" {
		fmt.Fprintln(os.Stderr, "crosscheck: set GOOS and GOARCH to the system to check")
		os.Exit(2)
	}
	problems, checked, err := check(arch, os.Args[1:])
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crosscheck:", err)
	}
	if err != nil || len(problems) > 0 {
		os.Exit(1)
	}
	fmt.Printf("%d packages for %s/%s\n", checked, os.Getenv("GOOS"), arch) //nolint:forbidigo // a command prints its result
}

// check returns the problems of packages and their imports, and the number of packages checked. The arguments are those of go list.
func check(arch string, args []string) (problems []error, checked int, err error) {
	// go list prints packages after their imports.
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Dir,GoFiles,SFiles,ImportMap,Standard,Error"}, args...)...)
	cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, 0, fmt.Errorf("go list: %w", err)
	}
	known := map[string]*types.Package{"unsafe": types.Unsafe}
	sizes := types.SizesFor("gc", arch)
	if sizes == nil {
		return nil, 0, fmt.Errorf("no such architecture: %s", arch)
	}
	fset := token.NewFileSet()
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return problems, checked, nil
		} else if err != nil {
			return problems, checked, err
		}
		if p.Error != nil {
			return problems, checked, errors.New(p.Error.Err)
		}
		if p.ImportPath == "unsafe" || strings.HasSuffix(p.ImportPath, ".test") { // the latter is the generated main package of tests
			continue
		}
		pkg, wrong, err := checkOne(fset, &p, known, sizes)
		if err != nil {
			return problems, checked, err
		}
		known[p.ImportPath] = pkg
		problems = append(problems, wrong...)
		checked++
	}
}

// importer resolves imports to the packages that were checked before.
type importer struct {
	known map[string]*types.Package
	names map[string]string
}

// Import implements [types.Importer].
func (i importer) Import(path string) (*types.Package, error) {
	if other := i.names[path]; other != "" {
		path = other
	}
	if p := i.known[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s was not listed", path)
}

func checkOne(fset *token.FileSet, p *listed, known map[string]*types.Package, sizes types.Sizes) (*types.Package, []error, error) {
	mode := parser.SkipObjectResolution | parser.ParseComments
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, mode)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, f)
	}
	var wrong []error
	c := types.Config{
		Importer: importer{known, p.ImportMap}, Sizes: sizes, IgnoreFuncBodies: p.Standard,
		Error: func(err error) {
			if !p.Standard { // the bodies of the standard library's functions are skipped, so its imports look unused
				wrong = append(wrong, err)
			}
		},
	}
	pkg, _ := c.Check(p.ImportPath, fset, files, nil) // the Error function has collected the errors
	if !p.Standard && len(p.SFiles) == 0 {
		wrong = append(wrong, missingBodies(fset, files)...)
	}
	return pkg, wrong, nil
}

// missingBodies returns an error for each function without a body in a package without assembly: the body must then be in another
// package, which needs a linkname directive.
func missingBodies(fset *token.FileSet, files []*ast.File) (wrong []error) {
	for _, f := range files {
		elsewhere := map[string]bool{}
		for _, group := range f.Comments {
			for _, c := range group.List {
				if words := strings.Fields(c.Text); len(words) > 1 && words[0] == "//go:linkname" {
					elsewhere[words[1]] = true
				}
			}
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body == nil && !elsewhere[fn.Name.Name] {
				wrong = append(wrong, fmt.Errorf("%s: %s has no body", fset.Position(fn.Pos()), fn.Name.Name))
			}
		}
	}
	return wrong
}
