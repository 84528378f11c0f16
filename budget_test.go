package handfast_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The size budget: a file or function beyond these sizes contains more than one idea. Tests may be longer, because of their tables.
const (
	fileLines     = 500
	testFileLines = 700
	funcLines     = 70
	testFuncLines = 140
)

// generated lists the generated files, which no one reads line by line.
var generated = []string{}

// source is one parsed Go file.
type source struct {
	path  string // slash-separated, relative to the root
	file  *ast.File
	fset  *token.FileSet
	lines int
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) line(p token.Pos) int { return s.fset.Position(p).Line }

// sources parses every Go file of all modules except the generated ones.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata" || base == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		slashed := filepath.ToSlash(name)
		if !strings.HasSuffix(base, ".go") || slices.Contains(generated, slashed) {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{path: slashed, file: f, fset: fset, lines: fset.File(f.FileStart).LineCount()})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBudgetOfLines(t *testing.T) {
	for _, s := range sources(t) {
		inFile, inFunc := fileLines, funcLines
		if s.test() {
			inFile, inFunc = testFileLines, testFuncLines
		}
		if s.lines > inFile {
			t.Errorf("%s has %d lines, more than %d: which two ideas are in it?", s.path, s.lines, inFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > inFunc {
				t.Errorf("%s:%d: %s has %d lines, more than %d", s.path, s.line(f.Pos()), f.Name.Name, n, inFunc)
			}
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	type key struct{ dir, name string }
	documented := map[key]bool{}
	for _, s := range sources(t) {
		k := key{path.Dir(s.path), strings.TrimSuffix(s.file.Name.Name, "_test")}
		documented[k] = documented[k] || s.file.Doc.Text() != ""
	}
	for k, ok := range documented {
		if !ok {
			t.Errorf("package %s in %s has no comment on its purpose", k.name, k.dir)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
					wantSentence(t, s, d.Name, d.Doc)
				}
			case *ast.GenDecl:
				checkSpecs(t, s, d)
			}
		}
	}
}

// checkSpecs checks the exported types, fields, constants and variables of one declaration.
func checkSpecs(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				doc := spec.Doc
				if doc == nil {
					doc = d.Doc
				}
				wantSentence(t, s, spec.Name, doc)
				if !strings.Contains(s.path, "internal/") {
					checkMembers(t, s, spec)
				}
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				// A group's own comment applies to all its names.
				if name.IsExported() && spec.Doc.Text() == "" && spec.Comment.Text() == "" && d.Doc.Text() == "" {
					t.Errorf("%s:%d: %s has no comment", s.path, s.line(name.Pos()), name.Name)
				}
			}
		}
	}
}

// checkMembers checks that every exported field of a struct and every method of an interface has a comment.
func checkMembers(t *testing.T, s source, spec *ast.TypeSpec) {
	t.Helper()
	var members *ast.FieldList
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		members = typ.Fields
	case *ast.InterfaceType:
		members = typ.Methods
	default:
		return
	}
	for i, m := range members.List {
		// Consecutive fields without an empty line between them share the comment above the first one.
		shared := i > 0 && s.line(members.List[i-1].End())+1 == s.line(m.Pos())
		for _, name := range m.Names {
			if typeName(m.Type) == name.Name {
				continue // "Role Role", "Opcode frame.Opcode": the type is the explanation
			}
			if name.IsExported() && m.Doc.Text() == "" && m.Comment.Text() == "" && !shared {
				t.Errorf("%s:%d: %s.%s has no comment", s.path, s.line(name.Pos()), spec.Name.Name, name.Name)
			}
		}
	}
}

// typeName returns the name of a named type without its package, and "" for any other.
func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

var ends = regexp.MustCompile(`[.:)]$`)

// wantSentence checks that a comment is a complete sentence about name, which it begins with, possibly after an article.
func wantSentence(t *testing.T, s source, name *ast.Ident, doc *ast.CommentGroup) {
	t.Helper()
	text := strings.TrimSpace(doc.Text())
	where := s.line(name.Pos())
	if text == "" {
		t.Errorf("%s:%d: %s has no comment", s.path, where, name.Name)
		return
	}
	words := strings.Fields(text)
	if words[0] == "A" || words[0] == "An" || words[0] == "The" || words[0] == "Deprecated:" {
		words = words[1:]
	}
	if len(words) == 0 || strings.TrimRight(words[0], ",:'s") != strings.TrimRight(name.Name, "s") {
		t.Errorf("%s:%d: the comment on %s does not begin with its name", s.path, where, name.Name)
	}
	last := text[strings.LastIndex(text, "\n")+1:]
	if !ends.MatchString(text) && !strings.HasPrefix(last, "\t") {
		t.Errorf("%s:%d: the comment on %s does not end like a sentence", s.path, where, name.Name)
	}
}
