package handfast_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exported returns the exported names of a package: functions, types, constants, variables, and methods and fields as Type.Name.
func exported(t *testing.T, path string) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}\n{{join .GoFiles \"\\n\"}}", path).Output()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range lines[1:] {
		f, err := parser.ParseFile(fset, filepath.Join(lines[0], name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, path)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	values := func(all []*doc.Value) {
		for _, v := range all {
			for _, name := range v.Names {
				names[name] = true
			}
		}
	}
	functions := func(prefix string, all []*doc.Func) {
		for _, f := range all {
			names[prefix+f.Name] = true
		}
	}
	values(p.Consts)
	values(p.Vars)
	functions("", p.Funcs)
	for _, typ := range p.Types {
		names[typ.Name] = true
		values(typ.Consts)
		values(typ.Vars)
		functions("", typ.Funcs)
		functions(typ.Name+".", typ.Methods)
		ast.Inspect(typ.Decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.StructType:
				for _, field := range n.Fields.List {
					for _, name := range field.Names {
						names[typ.Name+"."+name.Name] = true
					}
				}
			case *ast.InterfaceType:
				return false // the methods of an interface are listed with its implementations
			}
			return true
		})
	}
	for name := range names {
		if _, last, _ := strings.Cut("."+name, "."); !ast.IsExported(last[strings.LastIndex(last, ".")+1:]) {
			delete(names, name)
		}
	}
	return names
}

var quoted = regexp.MustCompile("`([A-Za-z]+(?:\\.[A-Za-z]+)*)`")

// guideTable returns the first two columns of a table in the migration guide: the table with the given head.
func guideTable(t *testing.T, head string) (rows [][2][]string) {
	t.Helper()
	text, err := os.ReadFile("docs/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| "+head+" | handfast | |\n")
	if !ok {
		t.Fatalf("the guide has no table of %s", head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		var r [2][]string
		for i := range r {
			for _, m := range quoted.FindAllStringSubmatch(cells[i+1], -1) {
				r[i] = append(r[i], m[1])
			}
		}
		if len(r[0]) > 0 && len(r[1]) == 0 && strings.TrimSpace(cells[2]) != "none" {
			t.Errorf("no replacement for %v is named", r[0])
		}
		rows = append(rows, r)
	}
	return rows
}

// The migration guide names everything that the other libraries export, once, and nothing else; the replacements that it names
// exist.
func TestGuideToMigration(t *testing.T) {
	const library = "github.com/handfast/handfast/websocket"
	ours := map[string]map[string]bool{"": exported(t, library)}
	for _, sub := range []string{"handshake", "netconn", "wsjson"} {
		ours[sub] = exported(t, library+"/"+sub)
	}
	ours["http"] = exported(t, "net/http")
	ours["context"] = exported(t, "context")
	for head, packages := range map[string]map[string]string{
		"gorilla": {"": "github.com/gorilla/websocket"},
		"coder":   {"": "github.com/coder/websocket", "wsjson.": "github.com/coder/websocket/wsjson"},
	} {
		left := map[string]bool{}
		for prefix, path := range packages {
			for name := range exported(t, path) {
				left[prefix+name] = true
			}
		}
		if len(left) < 50 {
			t.Fatalf("%s exports %v", head, left)
		}
		for _, row := range guideTable(t, head) {
			for _, name := range row[0] {
				if !left[name] {
					t.Errorf("%s has no %s, or it is in the table twice", head, name)
				}
				delete(left, name)
			}
			for _, name := range row[1] {
				in, rest := "", name
				if before, after, ok := strings.Cut(name, "."); ok && ours[before] != nil {
					in, rest = before, after
				}
				if !ours[in][rest] {
					t.Errorf("%s, for %v, does not exist", name, row[0])
				}
			}
		}
		for name := range left {
			t.Errorf("the guide names no replacement for %s of %s", name, head)
		}
	}
}
