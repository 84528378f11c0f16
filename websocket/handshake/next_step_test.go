package handshake

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A next step that refers to an option must be a constant in next_step.go. Otherwise no test would detect a step that programs with other
// names for the options fail to replace.
func TestHintsThatNameOptions(t *testing.T) {
	names := regexp.MustCompile(`(Accept|Dial)Options\b|TLS\.[A-Z]|\(MaxRedirects\)|\(Subprotocols\)|Endpoint\.[A-Z]|allowed origins|trusted proxies`)
	found := 0
	look := func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || !names.MatchString(literal.Value) {
				return true
			}
			found++
			about := strings.HasPrefix(literal.Value, `"websocket: `) || strings.HasPrefix(literal.Value, `"entry %d of `)
			if filepath.Base(path) != "next_step.go" && !about {
				t.Errorf("%s: %s: if this is a next step, it belongs in next_step.go", path, literal.Value)
			}
			return true
		})
	}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			look(path)
		}
		return err
	})
	if err != nil || found < 15 {
		t.Errorf("%d literals, %v", found, err)
	}
}
