package handfast_test

import (
	"go/ast"
	"go/parser"
	"go/token"
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

func TestBudgetOfTypes(t *testing.T) {
	shapes := shapesOf(sources(t))
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		fields, methods := map[string]bool{}, map[string]bool{}
		shapes.reach(name, strings.TrimSuffix(name, path.Ext(name)), fields, methods, map[string]bool{})
		if len(fields) > typeFields || len(methods) > typeMethods {
			t.Errorf("%s has %d fields and %d methods; %d and %d are allowed: which two objects are in it?",
				name, len(fields), len(methods), typeFields, typeMethods)
		}
	}
}

// TestBudgetOfTypesCountsEmbedded holds the budget's counting against a type of each kind.
func TestBudgetOfTypesCountsEmbedded(t *testing.T) {
	fset := token.NewFileSet()
	parse := func(name, text string) source {
		f, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return source{path: name, file: f, fset: fset}
	}
	shapes := shapesOf([]source{
		parse("a/a.go", `package a
			import "github.com/handfast/handfast/b"
			type Outer struct { *middle; b.Other; own, two int; in struct { deep int } }
			func (Outer) F() {}
			type middle struct { inner; Key int "yaml:\"key\"" }
			func (*middle) F() {}
			func (*middle) g() {}
			type inner struct { *middle; leaf int }
			type calls interface { F(); more }
			type more interface { H() }`),
		parse("b/b.go", `package b
			type Other struct { Shown, hidden int }
			func (Other) Exported() {}
			func (Other) unexported() {}`),
	})
	for name, want := range map[string][2]int{"a.Outer": {6, 3}, "a.middle": {1, 2}, "a.inner": {1, 2}, "a.calls": {0, 2}, "b.Other": {2, 2}} {
		fields, methods := map[string]bool{}, map[string]bool{}
		shapes.reach(name, strings.TrimSuffix(name, path.Ext(name)), fields, methods, map[string]bool{})
		if got := [2]int{len(fields), len(methods)}; got != want {
			t.Errorf("%s: got %v fields and methods, want %v: %v %v", name, got, want, fields, methods)
		}
	}
}

// shape contains the names of a type's own fields and methods, and the types that it embeds.
type shape struct{ fields, methods, embeds []string }

// shapes maps the names of types to their shapes. A name is the folder of the package, a dot and the type's own name.
type shapes map[string]shape

// reach adds the names of the fields and methods that code in the package named by from can select on the type named by name: its own,
// and those of the types of this repository that it embeds. A type that is divided into embedded parts is still one object.
func (all shapes) reach(name, from string, fields, methods, seen map[string]bool) {
	if seen[name] {
		return
	}
	seen[name] = true
	typ := all[name]
	dir := strings.TrimSuffix(name, path.Ext(name))
	for _, f := range typ.fields {
		if dir == from || ast.IsExported(f) {
			fields[f] = true
		}
	}
	for _, m := range typ.methods {
		if dir == from || ast.IsExported(m) {
			methods[m] = true
		}
	}
	for _, e := range typ.embeds {
		all.reach(e, from, fields, methods, seen)
	}
}

// shapesOf finds the shape of every type. A struct whose fields are the keys of a configuration file is as long as that section of the
// file, so its fields do not count.
func shapesOf(files []source) shapes {
	all := shapes{}
	for _, s := range files {
		if s.test() {
			continue
		}
		dir := path.Dir(s.path)
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name := dir + "." + receiver(d); d.Recv != nil {
					typ := all[name]
					typ.methods = append(typ.methods, d.Name.Name)
					all[name] = typ
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if spec, ok := spec.(*ast.TypeSpec); ok {
						name := dir + "." + spec.Name.Name
						typ := all[name]
						s.addMembers(&typ, spec.Type)
						all[name] = typ
					}
				}
			}
		}
	}
	return all
}

// addMembers adds what a declaration gives a type: the fields of a struct, including those of anonymous structs within it, or the methods
// of an interface.
func (s source) addMembers(to *shape, declared ast.Expr) {
	ast.Inspect(declared, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.FuncType:
			return false
		case *ast.InterfaceType:
			if x != declared {
				return false
			}
			for _, m := range x.Methods.List {
				for _, name := range m.Names {
					to.methods = append(to.methods, name.Name)
				}
				if embedded := s.embedded(m.Type); len(m.Names) == 0 && embedded != "" {
					to.embeds = append(to.embeds, embedded)
				}
			}
			return false
		case *ast.Field:
			if x.Tag != nil && strings.Contains(x.Tag.Value, "yaml:") {
				return false
			}
			for _, name := range x.Names {
				to.fields = append(to.fields, name.Name)
			}
			if embedded := s.embedded(x.Type); len(x.Names) == 0 && embedded != "" {
				to.embeds = append(to.embeds, embedded)
			} else if len(x.Names) == 0 {
				to.fields = append(to.fields, typeName(x.Type))
			}
		}
		return true
	})
}

// embedded returns the name of an embedded type in a map of shapes, and "" if the type is not one of this repository.
func (s source) embedded(typ ast.Expr) string {
	switch x := typ.(type) {
	case *ast.StarExpr:
		return s.embedded(x.X)
	case *ast.IndexExpr:
		return s.embedded(x.X)
	case *ast.Ident:
		return path.Dir(s.path) + "." + x.Name
	case *ast.SelectorExpr:
		pkg, _ := x.X.(*ast.Ident)
		for _, i := range s.file.Imports {
			dir, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "github.com/handfast/handfast/")
			if ours && pkg != nil && (i.Name != nil && i.Name.Name == pkg.Name || i.Name == nil && path.Base(dir) == pkg.Name) {
				return dir + "." + x.Sel.Name
			}
		}
	}
	return ""
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
