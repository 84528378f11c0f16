package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A decoder sets values from a YAML document. It goes on after a problem, so that all of them are told at once.
type decoder struct {
	l       *loader
	file    string
	lines   lines               // of the file
	fixed   *Pos                // where everything is, for text that is in no file
	anchors map[string]ast.Node // by name
	left    int                 // how many more values may be decoded: aliases can multiply
	depth   int                 // of the value that is decoded
}

func newDecoder(l *loader, file string, document []byte) *decoder {
	return &decoder{l: l, file: file, lines: linesOf(document), anchors: map[string]ast.Node{}, left: maxValues}
}

// maxValues bounds the values of a document. Nobody writes as many; a few lines of aliases can stand for more.
const maxValues = 100_000

// maxDepth bounds how deep they are nested, of which an alias inside of its own anchor makes no end.
const maxDepth = 100

// at returns the position of a node.
func (d *decoder) at(n ast.Node) Pos {
	if d.fixed != nil {
		return *d.fixed
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key // the token of a mapping is its first colon
	}
	return d.lines.place(d.file, n.GetToken())
}

// problem notes what is wrong at a node.
func (d *decoder) problem(n ast.Node, path, text, want string) { d.hinted(n, path, text, want, "") }

// hinted is problem with a next step.
func (d *decoder) hinted(n ast.Node, path, text, want, hint string) {
	const most = 200
	at := d.at(n)
	if key, ok := d.l.src.pos[path]; ok && isNull(n) {
		at = key // nothing is behind the key
	}
	if len(path) > most {
		path = path[:most] + "…"
	}
	d.l.problem(&Problem{Pos: at, Path: path, Text: text, Want: want, Hint: hint})
}

// decode sets v, which holds its defaults, from a node.
func (d *decoder) decode(v reflect.Value, n ast.Node, path string) {
	d.depth++
	defer func() { d.depth-- }()
	n, ok := d.resolve(n, path)
	if !ok {
		return
	}
	if _, given := d.l.src.pos[path]; !given || isLeaf(v.Type()) && !isNull(n) {
		d.l.src.pos[path] = d.at(n)
	}
	t := v.Type()
	switch {
	case t == originsType:
		d.origins(v, n, path)
	case t == authRefType:
		d.authRef(v, n, path)
	case isLeaf(t):
		d.leaf(v, n, path)
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		setDefaults(p.Elem())
		d.decode(p.Elem(), n, path)
		v.Set(p)
	case t.Kind() == reflect.Slice:
		d.list(v, n, path)
	case t.Kind() == reflect.Map:
		d.mapping(v, n, path)
	case t.Kind() == reflect.Interface:
		if x := d.any(n, path); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		d.structure(v, n, path)
	}
}

// isLeaf reports whether a type is one value in the file.
func isLeaf(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Float64:
		return true
	}
	return isScalar(t)
}

// resolve follows anchors and aliases. It reports false when the node is of no use.
func (d *decoder) resolve(n ast.Node, path string) (ast.Node, bool) {
	if d.left--; d.left < 0 {
		if d.left == -1 {
			d.problem(n, path, "there are too many values; aliases may have multiplied them", "")
		}
		return n, false
	}
	if d.depth > maxDepth {
		d.problem(n, path, "this is nested too deeply", "")
		return n, false
	}
	for range maxDepth { // an alias may stand for another one
		switch x := n.(type) {
		case *ast.AnchorNode:
			d.anchors[x.Name.GetToken().Value] = x.Value
			n = x.Value
		case *ast.AliasNode:
			name := x.Value.GetToken().Value
			to, ok := d.anchors[name]
			if !ok {
				d.problem(n, path, fmt.Sprintf("there is no anchor &%s before this", name), "")
				return n, false
			}
			n = to
		case *ast.TagNode:
			d.problem(n, path, "a tag has no meaning here", "")
			return n, false
		case nil:
			return n, false
		default:
			return n, true
		}
	}
	d.problem(n, path, "aliases lead in a circle", "")
	return n, false
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	at    ast.Node // the key
	value ast.Node
}

// entries returns the keys of a mapping in their order, and false when the node is none. Those that are merged from
// others ("<<: *name") come last, without those that the mapping has itself.
func (d *decoder) entries(n ast.Node, path string) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch x := n.(type) {
	case *ast.MappingNode:
		values = x.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{x}
	default:
		return nil, false
	}
	var list, merged []entry
	for _, v := range values {
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, d.merge(v.Value, path)...)
			continue
		}
		key, ok := keyText(v.Key)
		if !ok {
			d.problem(v.Key, path, "this is no key", "a word")
			continue
		}
		if i := slices.IndexFunc(list, func(e entry) bool { return e.key == key }); i >= 0 {
			first := d.at(list[i].at)
			d.problem(v.Key, join(path, key), fmt.Sprintf("the key is given twice, here and in line %d", first.Line), "")
			continue
		}
		list = append(list, entry{key, v.Key, v.Value})
	}
	for _, e := range merged {
		if !slices.ContainsFunc(list, func(own entry) bool { return own.key == e.key }) {
			list = append(list, e)
		}
	}
	return list, true
}

// merge returns the keys that "<<" adds: those of a mapping, or of a list of mappings, of which the first wins.
func (d *decoder) merge(n ast.Node, path string) []entry {
	d.depth++
	defer func() { d.depth-- }()
	n, ok := d.resolve(n, path)
	if !ok {
		return nil
	}
	if s, ok := n.(*ast.SequenceNode); ok {
		var all []entry
		for _, part := range s.Values {
			all = append(all, d.merge(part, path)...)
		}
		return all
	}
	list, ok := d.entries(n, path)
	if !ok {
		d.problem(n, path, "<< needs a mapping", "")
	}
	return list
}

// keyText returns a key without quotes.
func keyText(n ast.MapKeyNode) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return x.GetToken().Value, true
	}
	return "", false
}

// structure sets the fields of a struct.
func (d *decoder) structure(v reflect.Value, n ast.Node, path string) {
	s := shapeOf(v.Type())
	if isNull(n) {
		return // "auth:" with nothing behind it, or comments only
	}
	list, ok := d.entries(n, path)
	if !ok {
		d.short(v, n, path)
		return
	}
	given := map[string]string{} // field to the key that set it
	for _, e := range list {
		p := join(path, e.key)
		f, fromFile, ok := s.lookup(e.key)
		if !ok {
			d.unknown(e, s.keys(), path)
			continue
		}
		if other, twice := given[f.key]; twice {
			d.problem(e.at, p, fmt.Sprintf("%s is given, too", other), "one of the two")
			continue
		}
		given[f.key] = e.key
		if fromFile {
			d.fromFile(v.Field(f.index), e, join(path, f.key), p)
			continue
		}
		d.l.src.pos[p] = d.at(e.at)
		d.decode(v.Field(f.index), e.value, p)
	}
}

// lookup returns the field that a key sets, and whether the key names a file that holds the value.
func (s *shape) lookup(key string) (f field, fromFile, ok bool) {
	if f, ok := s.field(key); ok {
		return f, false, true
	}
	if base, ok := strings.CutSuffix(key, fileSuffix); ok {
		if f, ok := s.field(base); ok && f.file {
			return f, true, true
		}
	}
	return field{}, false, false
}

// unknown tells about a key that is not there.
func (d *decoder) unknown(e entry, known []string, path string) {
	const text = "there is no such key"
	p := join(path, quotedKey(e.key))
	if near := nearest(e.key, known); near != "" {
		d.hinted(e.at, p, text, "", "did you mean "+near+"?")
		d.l.failed[join(path, near)] = true // that it is missing need not be told as well
		return
	}
	if places := elsewhere(e.key); len(places) > 0 && len(places) <= 3 {
		d.hinted(e.at, p, text, "", "there is "+strings.Join(places, ", "))
		return
	}
	d.problem(e.at, p, text, oneOf(known))
}

// quotedKey keeps a strange key from looking like a path.
func quotedKey(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return r < '0' || r > 'z' }) && !strings.Contains(key, "-") || key == "" {
		return quote(key)
	}
	return key
}

// short sets a struct from one value, when one of its fields takes it: "tls: off", "target: echo".
func (d *decoder) short(v reflect.Value, n ast.Node, path string) {
	s := shapeOf(v.Type())
	text, ok := scalarText(n)
	for _, f := range s.fields {
		if f.short && ok {
			d.decode(v.Field(f.index), n, join(path, f.key))
			return
		}
	}
	if s.only && ok {
		d.onlyShort(v, n, path, text)
		return
	}
	d.problem(n, path, "this is "+kindOf(n), wantOf(v.Type()))
}

// onlyShort sets the field that is named, with its defaults.
func (d *decoder) onlyShort(v reflect.Value, n ast.Node, path, text string) {
	s := shapeOf(v.Type())
	f, ok := s.field(text)
	if !ok {
		if near := nearest(text, s.keys()); near != "" {
			d.hinted(n, path, quote(text)+" is none of its kinds", oneOf(s.keys()), "did you mean "+near+"?")
		} else {
			d.problem(n, path, "this is none of its kinds", oneOf(s.keys())) // it may be a secret in the wrong place
		}
		return
	}
	to := reflect.New(f.typ.Elem())
	setDefaults(to.Elem())
	v.Field(f.index).Set(to)
	d.l.src.pos[join(path, f.key)] = d.at(n)
}

// list sets a slice: from nothing, so that a file replaces what was there.
func (d *decoder) list(v reflect.Value, n ast.Node, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		text := "this is " + kindOf(n)
		if isNull(n) {
			text = "nothing is behind it"
		}
		d.problem(n, path, text, wantOf(v.Type())+", [] for none")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, item := range s.Values {
		setDefaults(v.Index(i))
		d.decode(v.Index(i), item, fmt.Sprintf("%s[%d]", path, i))
	}
}

// mapping sets a map.
func (d *decoder) mapping(v reflect.Value, n ast.Node, path string) {
	if isNull(n) {
		return
	}
	list, ok := d.entries(n, path)
	if !ok {
		d.problem(n, path, "this is "+kindOf(n), wantOf(v.Type()))
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(list)))
	}
	for _, e := range list {
		p := join(path, e.key)
		item := reflect.New(v.Type().Elem()).Elem()
		d.l.src.pos[p] = d.at(e.at)
		d.decode(item, e.value, p)
		v.SetMapIndex(reflect.ValueOf(e.key), item)
	}
}
