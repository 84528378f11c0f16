package handfast_test

import (
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// A type beyond these sizes contains more than one object.
const (
	typeFields  = 25
	typeMethods = 40
)

// libraryNames is the maximum number of names that package websocket may export. Low-level names belong in protocol, handshake,
// frame or loop.
const libraryNames = 85

// TestBudgetOfTheLibrarysNames counts functions, types, methods of exported types, constants and variables.
func TestBudgetOfTheLibrarysNames(t *testing.T) {
	names := map[string]bool{} // a name may be declared for several systems
	for _, s := range sources(t) {
		if path.Dir(s.path) != "websocket" || s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range declared(d) {
				typ, method, _ := strings.Cut(name, ".")
				if ast.IsExported(typ) && (method == "" || ast.IsExported(method)) {
					names[name] = true
				}
			}
		}
	}
	if len(names) > libraryNames {
		t.Errorf("package websocket exports %d names; %d are allowed: %v", len(names), libraryNames, slices.Sorted(maps.Keys(names)))
	}
	if len(names) < libraryNames/2 {
		t.Errorf("only %d names were found", len(names))
	}
}

// declared returns the names that d declares; a method's name is "Type.Method".
func declared(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			name = receiver(d) + "." + name
		}
		names = append(names, name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					names = append(names, id.Name)
				}
			}
		}
	}
	return names
}

// size contains the counts of a type that the budget limits, in addition to its lines.
type size struct{ fields, methods int }

func TestBudgetOfTypes(t *testing.T) {
	sizes := typeSizes(sources(t))
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		if got := sizes[name]; got.fields > typeFields || got.methods > typeMethods {
			t.Errorf("%s has %d fields and %d methods; %d and %d are allowed: which two objects are in it?",
				name, got.fields, got.methods, typeFields, typeMethods)
		}
	}
}

// typeSizes counts the fields and methods of every struct, and the methods of every type. A struct whose fields are the keys of a
// configuration file is as long as that section of the file, so its fields do not count.
func typeSizes(all []source) map[string]size {
	sizes := map[string]size{}
	seen := map[string]bool{} // a method may be written for several systems
	for _, s := range all {
		if s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := path.Dir(s.path) + "." + receiver(d)
				if method := name + "." + d.Name.Name; d.Recv != nil && !seen[method] {
					seen[method] = true
					n := sizes[name]
					n.methods++
					sizes[name] = n
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					typ, ok := spec.(*ast.TypeSpec)
					if !ok {
						continue
					}
					name := path.Dir(s.path) + "." + typ.Name.Name
					n := sizes[name]
					n.fields += fieldCount(typ.Type)
					sizes[name] = n
				}
			}
		}
	}
	return sizes
}

// fieldCount returns the number of fields of a struct, including those of anonymous structs within it.
func fieldCount(typ ast.Expr) int {
	n := 0
	ast.Inspect(typ, func(x ast.Node) bool {
		f, ok := x.(*ast.Field)
		if !ok {
			_, isFunc := x.(*ast.FuncType)
			_, isInterface := x.(*ast.InterfaceType)
			return !isFunc && !isInterface
		}
		if f.Tag != nil && strings.Contains(f.Tag.Value, "yaml:") {
			return false
		}
		n += max(1, len(f.Names))
		return true
	})
	return n
}

// receiver returns the name of the type that a function is a method of, or "".
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	typ := f.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
