package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// isNull reports whether nothing is there.
func isNull(n ast.Node) bool {
	switch n.(type) {
	case nil, *ast.NullNode:
		return true
	}
	return false
}

// scalarText returns the text of one value, as it stands in the file; escapes and line folding are undone.
func scalarText(n ast.Node) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		return x.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// quoted reports whether a value is a text because of its quotes.
func quoted(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.LiteralNode:
		return true
	case *ast.StringNode:
		return x.Token.Type == token.SingleQuoteType || x.Token.Type == token.DoubleQuoteType
	}
	return false
}

// kindOf says what a node is.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case nil, *ast.NullNode:
		return "nothing"
	}
	return "one value"
}

// wantOf says what belongs where a type is.
func wantOf(t reflect.Type) string {
	switch {
	case t == originsType:
		return "a list of web origins, or any"
	case t == authRefType:
		return "the name of a method under auth, " + Anonymous + ", or a method in place"
	case isScalar(t):
		return reflect.New(t).Interface().(scalar).Expected()
	case t.Kind() == reflect.Pointer:
		return wantOf(t.Elem())
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.Map:
		return "a mapping of names"
	case t.Kind() == reflect.Struct:
		if s := shapeOf(t); len(s.fields) > 0 {
			return "a mapping with " + oneOf(s.keys())
		}
		return "nothing, or {}"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a text"
}

// oneOf lists what there is.
func oneOf(list []string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

// leaf sets one value.
func (d *decoder) leaf(v reflect.Value, n ast.Node, path string) {
	text, ok := scalarText(n)
	if !ok {
		what := "this is " + kindOf(n)
		if isNull(n) {
			what = "nothing is behind it"
		}
		d.problem(n, path, what, wantOf(v.Type()))
		return
	}
	if k := v.Kind(); quoted(n) && (k == reflect.Bool || k == reflect.Float64 || k == reflect.Int) && !isScalar(v.Type()) {
		d.problem(n, path, quote(text)+" is a text, because of its quotes", wantOf(v.Type())+" without quotes")
		return
	}
	d.noteText(n, path)
	if err := setText(v, text); err != nil {
		d.badText(n, v.Type(), path, text, err)
		return
	}
	if p, ok := v.Addr().Interface().(*Path); ok {
		*p = d.l.absolute(*p, d.file)
	}
}

// badText tells about a value that its type does not take.
func (d *decoder) badText(n ast.Node, t reflect.Type, path, text string, err error) {
	d.l.problem(&Problem{Pos: d.at(n), Path: path, Text: quote(text) + ": " + err.Error(), Want: wantOf(t)})
}

// noteText remembers where the characters of a text are.
func (d *decoder) noteText(n ast.Node, path string) {
	if d.fixed != nil {
		return
	}
	start := d.at(n)
	switch x := n.(type) {
	case *ast.LiteralNode:
		if x.Start == nil || x.Start.Type != token.LiteralType {
			return // lines that are folded have no columns of their own
		}
		text := x.Value.GetToken().Origin
		first, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), "\n")
		indent := len(first) - len(strings.TrimLeft(first, " "))
		d.l.src.texts[path] = textPos{Pos{start.File, start.Line + 1, indent + 1}, true}
		return
	case *ast.StringNode:
		if quoted(n) {
			start.Column++
		}
	}
	d.l.src.texts[path] = textPos{start, false}
}

// origins sets an Origins.
func (d *decoder) origins(v reflect.Value, n ast.Node, path string) {
	text, ok := scalarText(n)
	switch {
	case ok && text == "any":
		v.Set(reflect.ValueOf(Origins{Any: true}))
	case ok:
		d.problem(n, path, "this is one value", wantOf(originsType))
	default:
		var list []Origin
		d.list(reflect.ValueOf(&list).Elem(), n, path)
		v.Set(reflect.ValueOf(Origins{List: list}))
	}
}

// authRef sets an AuthRef.
func (d *decoder) authRef(v reflect.Value, n ast.Node, path string) {
	if text, ok := scalarText(n); ok {
		d.noteText(n, path)
		v.Set(reflect.ValueOf(AuthRef{Name: text}))
		return
	}
	if isNull(n) {
		d.problem(n, path, "nothing is behind it", wantOf(authRefType))
		return
	}
	m := newDefault[Method]()
	d.structure(reflect.ValueOf(&m).Elem(), n, path)
	v.Set(reflect.ValueOf(AuthRef{Method: &m}))
}

// any returns a value of whatever kind: nil, bool, int64, float64, string, []any, map[string]any.
func (d *decoder) any(n ast.Node, path string) any {
	d.depth++
	defer func() { d.depth-- }()
	n, ok := d.resolve(n, path)
	if !ok || isNull(n) {
		return nil
	}
	switch x := n.(type) {
	case *ast.SequenceNode:
		list := []any{}
		for i, item := range x.Values {
			list = append(list, d.any(item, fmt.Sprintf("%s[%d]", path, i)))
		}
		return list
	case *ast.BoolNode:
		return x.Value
	case *ast.IntegerNode:
		if i, err := strconv.ParseInt(x.GetToken().Value, 0, 64); err == nil {
			return i
		}
	case *ast.FloatNode:
		if f, err := strconv.ParseFloat(x.GetToken().Value, 64); err == nil && !math.IsInf(f, 0) {
			return f
		}
	}
	if list, ok := d.entries(n, path); ok {
		m := map[string]any{}
		for _, e := range list {
			m[e.key] = d.any(e.value, join(path, e.key))
		}
		return m
	}
	if text, ok := scalarText(n); ok {
		return text
	}
	d.problem(n, path, "this is no value", "")
	return nil
}
