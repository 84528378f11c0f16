package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A mutant is one change to one file, and its result.
type mutant struct {
	File   string // relative to the current directory
	Line   int
	Func   string
	Kind   string // negate, operator, constant or remove
	Old    string // the line before the change
	New    string // the line after the change
	Result string // caught, timed out, survived, equivalent or invalid

	source []byte // the whole file, changed
}

// key identifies a mutant in equivalent.txt: it contains no line number and no comment, because these change too often.
func (m *mutant) key() string {
	return strings.Join([]string{m.File, m.Func, trailingComment.ReplaceAllString(m.Old, ""), trailingComment.ReplaceAllString(m.New, "")}, "\n")
}

var trailingComment = regexp.MustCompile(`\s+//.*$`)

// swaps maps an operator to its replacement.
var swaps = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.EQL: "!=",
	token.NEQ: "==", token.LAND: "||", token.LOR: "&&", token.ADD: "-", token.SUB: "+"}

// places returns every mutant of a file's function bodies. Declarations outside of functions are excluded, because most of their
// constants are sizes and pauses that could be one larger without any harm.
func places(name string) ([]*mutant, error) {
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(file) {
		return nil, err
	}
	var all []*mutant
	var in string
	offset := func(p token.Pos) int { return fset.Position(p).Offset }
	change := func(kind string, from, to token.Pos, text string) {
		i, j := offset(from), offset(to)
		first := bytes.LastIndexByte(src[:i], '\n') + 1
		last := len(src)
		if n := bytes.IndexByte(src[j:], '\n'); n >= 0 {
			last = j + n
		}
		all = append(all, &mutant{
			File: filepath.ToSlash(name), Line: fset.Position(from).Line, Func: in, Kind: kind,
			Old:    oneLine(string(src[first:last])),
			New:    oneLine(string(src[first:i]) + text + string(src[j:last])),
			source: bytes.Join([][]byte{src[:i], []byte(text), src[j:]}, nil),
		})
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			in = f.Name.Name
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.IfStmt:
					change("negate", n.Cond.Pos(), n.Cond.End(), "!("+string(src[offset(n.Cond.Pos()):offset(n.Cond.End())])+")")
				case *ast.BinaryExpr:
					if text, ok := swaps[n.Op]; ok {
						change("operator", n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), text)
					}
				case *ast.BasicLit:
					if n.Kind == token.INT {
						change("constant", n.Pos(), n.End(), "("+n.Value+"+1)")
					}
				case *ast.AssignStmt:
					if n.Tok != token.DEFINE {
						change("remove", n.Pos(), n.End(), "")
					}
				case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt:
					change("remove", n.Pos(), n.End(), "")
				}
				return true
			})
		}
	}
	return all, nil
}

// oneLine returns code on one line, without indentation.
func oneLine(code string) string { return strings.Join(strings.Fields(code), " ") }
