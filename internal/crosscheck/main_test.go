package main

import (
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"testing"
)

// A mistake in a package of ours is found, in the body of a function, too; one of another's is not ours to find.
func TestCheckOne(t *testing.T) {
	dir := t.TempDir()
	const text = "package p\n\nfunc f() { var s string = 1; var n uintptr = 1 << 40; _, _ = s, n }\n"
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path, arch string
		want       int
	}{{home + "/p", "amd64", 1}, {home + "/p", "386", 2}, {"example.com/p", "386", 0}} {
		p := &listed{ImportPath: tt.path, Dir: dir, GoFiles: []string{"p.go"}}
		_, wrong, err := checkOne(token.NewFileSet(), p, map[string]*types.Package{}, types.SizesFor("gc", tt.arch))
		if err != nil || len(wrong) != tt.want {
			t.Errorf("%s, %s: %v, %v", tt.path, tt.arch, wrong, err)
		}
	}
}

// A package is checked with all that it imports.
func TestCheck(t *testing.T) {
	t.Setenv("GOOS", "windows")
	t.Setenv("GOARCH", "amd64")
	problems, checked, err := check("amd64", []string{"."})
	if err != nil || len(problems) > 0 || checked < 50 {
		t.Errorf("%d packages, %v, %v", checked, problems, err)
	}
	if _, _, err := check("amd64", []string{"./none"}); err == nil {
		t.Error("a package that is missing was found")
	}
}
