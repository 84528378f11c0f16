// Package libhints lists the library's hints that name one of its options, for the tests of the packages that translate these
// hints.
package libhints

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Named returns the constants of websocket/handshake whose names begin with prefix, by name. root is the directory of the
// repository. If there are none, the test fails.
func Named(t testing.TB, root, prefix string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "websocket/handshake/next_step.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	hints := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s is not a literal", spec.Names[0].Name)
		}
		if hints[spec.Names[0].Name], err = strconv.Unquote(literal.Value); err != nil {
			t.Fatal(err)
		}
		return true
	})
	if len(hints) == 0 {
		t.Fatalf("there is no constant %s…", prefix)
	}
	return hints
}
