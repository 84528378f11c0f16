package explain_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"testing"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/explain/internal/faults"
)

// docs/explain.md states the numbers of servers and responses that the tests use.
func TestDocumentCountsServersAndResponses(t *testing.T) {
	text, err := os.ReadFile("../docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	handshakes, servers, stripped := pythonServers(t)
	for _, want := range []string{
		fmt.Sprintf("| %d servers for %d faults |", len(faults.All()), len(explain.Faults())),
		fmt.Sprintf("| %d servers |", len(faults.Healthy())),
		fmt.Sprintf("| %d responses |", explain.KnownResponses),
		fmt.Sprintf("| %d handshakes with %d servers, %d of them behind HAProxy |", handshakes, servers, stripped),
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("docs/explain.md lacks %q", want)
		}
	}
}

// pythonServers returns the number of handshakes with Python servers in e2e/explain, the number of different servers, and the
// number of handshakes through a proxy that removes Upgrade.
func pythonServers(t *testing.T) (handshakes, servers, stripped int) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../e2e/explain/servers_test.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "faults" {
			return true
		}
		for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
			handshakes++
			for _, field := range e.(*ast.CompositeLit).Elts {
				switch kv := field.(*ast.KeyValueExpr); kv.Key.(*ast.Ident).Name {
				case "server":
					names[kv.Value.(*ast.BasicLit).Value] = true
				case "stripped":
					stripped++
				}
			}
		}
		return false
	})
	return handshakes, len(names), stripped
}
