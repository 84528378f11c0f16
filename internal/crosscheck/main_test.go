package main

import (
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"testing"
)

// An error in a package is found, even in the body of a function; an error in the standard library is not reported.
func TestCheckOne(t *testing.T) {
	dir := t.TempDir()
	const text = "package p\n\nfunc f() { var s string = 1; var n uintptr = 1 << 40; _, _ = s, n }\n"
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		standard bool
		arch     string
		want     int
	}{{false, "amd64", 1}, {false, "386", 2}, {true, "386", 0}} {
		p := &listed{ImportPath: "example.com/p", Dir: dir, GoFiles: []string{"p.go"}, Standard: tt.standard}
		_, wrong, err := checkOne(token.NewFileSet(), p, map[string]*types.Package{"unsafe": types.Unsafe}, types.SizesFor("gc", tt.arch))
		if err != nil || len(wrong) != tt.want {
			t.Errorf("standard %v, %s: %v, %v", tt.standard, tt.arch, wrong, err)
		}
	}
}

// A function without a body is an error, unless a directive names the location of the body, or the package has assembly.
func TestBodiless(t *testing.T) {
	dir := t.TempDir()
	const text = "package p\n\nimport _ \"unsafe\"\n\nfunc f()\n\n//go:linkname g runtime.g\nfunc g()\n"
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		assembly []string
		want     int
	}{{nil, 1}, {[]string{"p.s"}, 0}} {
		p := &listed{ImportPath: "example.com/p", Dir: dir, GoFiles: []string{"p.go"}, SFiles: tt.assembly}
		_, wrong, err := checkOne(token.NewFileSet(), p, map[string]*types.Package{"unsafe": types.Unsafe}, types.SizesFor("gc", "amd64"))
		if err != nil || len(wrong) != tt.want {
			t.Errorf("assembly %v: %v, %v", tt.assembly, wrong, err)
		}
	}
}

// A package is checked with all its imports.
func TestCheck(t *testing.T) {
	t.Setenv("GOOS", "windows")
	t.Setenv("GOARCH", "amd64")
	problems, checked, err := check("amd64", []string{"."})
	if err != nil || len(problems) > 0 || checked < 50 {
		t.Errorf("%d packages, %v, %v", checked, problems, err)
	}
	if _, _, err := check("amd64", []string{"./none"}); err == nil {
		t.Error("a missing package was found")
	}
}
