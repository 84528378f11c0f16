package tree

import (
	"reflect"
	"strings"
)

// maxValues is the maximum number of values in a document. A document that was written by hand contains fewer, but a few lines of
// aliases can expand to more.
const maxValues = 100_000

// decoder sets values from a document. It continues after a problem, so that all problems are reported.
type decoder struct {
	tree      *Tree
	dir       string            // the directory to which relative paths are relative
	given     map[string]*given // the values of the document that were found so far, by path
	remaining int               // the number of values that are still allowed
	keys      []section         // all known keys; nil until needed
}

// decode sets v and all values in it from a document. v must contain its defaults.
func (t *Tree) decode(v reflect.Value, g *given, path, dir string) {
	d := &decoder{tree: t, dir: dir, given: map[string]*given{path: g}, remaining: maxValues}
	visit(node{value: v, path: path}, d.enter, nil)
}

// enter sets a value, and records which values the document contains for the parts of the value.
func (d *decoder) enter(n node) bool {
	g := d.given[n.path]
	if g == nil || !d.countValue(g, n.path) {
		return false
	}
	if g.kind == scalar && !g.quoted {
		if want := booleanForText(n, g); want != "" {
			d.problem(g, n.path, g.text+" without quotes is not text", want)
			return false
		}
		if word := n.field.wordOf(g.text); word != g.text {
			off := *g
			off.text, g = word, &off
		}
	}
	leaf := isLeaf(n.value.Type())
	if _, known := d.tree.pos[n.path]; !known || leaf && g.kind != null {
		d.tree.pos[n.path] = g.at
	}
	return d.set(n.value, g, n.path)
}

// countValue counts a value. It returns false if the document contains more than maxValues.
func (d *decoder) countValue(g *given, path string) bool {
	if d.remaining--; d.remaining == -1 {
		d.problem(g, path, "there are too many values; aliases may have multiplied them", "")
	}
	return d.remaining >= 0
}

// problem reports a problem with a given value.
func (d *decoder) problem(g *given, path, text, want string) {
	at := g.at
	if key, ok := d.tree.pos[path]; ok && g.kind == null {
		at = key // the value after the key is empty
	}
	d.tree.Report(&Problem{Pos: at, Path: path, Text: text, Want: want})
}

// wrongKind reports that a value is of the wrong kind for its type.
func (d *decoder) wrongKind(g *given, path, want string) {
	text := "this is " + g.kind.String()
	if g.kind == null {
		text = "empty value"
	}
	d.problem(g, path, text, want)
}

// set sets a value. It reports whether the value has parts to set.
func (d *decoder) set(v reflect.Value, g *given, path string) bool {
	t := v.Type()
	if u := unionOf(v); u != nil {
		return d.union(u, g, path)
	}
	switch {
	case isLeaf(t):
		d.leaf(v, g, path)
	case t.Kind() == reflect.Pointer:
		if v.CanSet() {
			v.Set(reflect.New(t.Elem()))
			setDefaults(v.Elem())
		}
		return d.set(v.Elem(), g, path)
	case t.Kind() == reflect.Slice:
		return d.list(v, g, path)
	case t.Kind() == reflect.Map:
		return d.mapping(v, g, path)
	case t.Kind() == reflect.Interface:
		if x := d.any(g, path); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		return d.structure(v, g, path)
	}
	return false
}

// leaf sets a value without parts.
func (d *decoder) leaf(v reflect.Value, g *given, path string) {
	if g.kind != scalar {
		d.wrongKind(g, path, wantOf(v.Type()))
		return
	}
	if k := v.Kind(); g.quoted && k != reflect.String && !isScalar(v.Type()) {
		d.problem(g, path, Quote(g.text)+" is a string because of its quotes", wantOf(v.Type())+" without quotes")
		return
	}
	d.noteText(g, path)
	d.tree.setText(v, g.text, path, d.dir, g.at)
}

// noteText records the position of a text, so that problems inside the text can be located.
func (d *decoder) noteText(g *given, path string) {
	if g.chars != nil {
		d.tree.texts[path] = *g.chars
	}
}

// setText sets a value without parts, or a list of such values, from text.
func (t *Tree) setText(v reflect.Value, text, path, dir string, at Pos) {
	if err := setText(v, text); err != nil {
		shown := Quote(text) + ": "
		if _, hidden := v.Addr().Interface().(Hidden); hidden {
			shown = ""
		}
		t.Report(&Problem{Pos: at, Path: path, Text: shown + err.Error(), Want: wantOf(v.Type())})
		return
	}
	visit(node{value: v}, func(n node) bool {
		if l, ok := n.value.Addr().Interface().(Local); ok {
			l.In(dir)
		}
		return true
	}, nil)
}

// union sets one of the two forms of a Union.
func (d *decoder) union(u Union, g *given, path string) bool {
	if g.kind != mapping && g.kind != list {
		d.noteText(g, path)
		if g.kind == null || !u.SetWord(g.text) {
			d.wrongKind(g, path, wantOf(reflect.TypeOf(u).Elem()))
		}
		return false
	}
	return d.set(reflect.ValueOf(u.Parts()).Elem(), g, path)
}

// list sets a slice. The items replace the defaults.
func (d *decoder) list(v reflect.Value, g *given, path string) bool {
	if g.kind != list {
		if g.kind == mapping && len(g.entries) > 0 {
			if p := splitAddress(g.entries[0], false, path); p != nil {
				p.Want += ", in a list"
				d.tree.Report(p)
				return false
			}
		}
		d.wrongKind(g, path, wantOf(v.Type())+", [] for none")
		return false
	}
	v.Set(reflect.MakeSlice(v.Type(), len(g.items), len(g.items)))
	for i, x := range g.items {
		setDefaults(v.Index(i))
		d.given[item(path, i)] = x
	}
	return true
}

// mapping sets entries of a map. Default entries with other keys stay in the map.
func (d *decoder) mapping(v reflect.Value, g *given, path string) bool {
	if g.kind == null {
		return false
	}
	if g.kind != mapping {
		d.wrongKind(g, path, wantOf(v.Type()))
		return false
	}
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(g.entries)))
	}
	below := v.Type().Elem().Kind() == reflect.Pointer
	for _, e := range g.entries {
		p := Join(path, e.key)
		d.tree.pos[p] = e.at
		x := reflect.New(v.Type().Elem()).Elem()
		switch {
		case e.value == nil: // the value is not valid
		case below:
			x = fresh(x.Type().Elem()).Addr()
			d.given[p] = e.value
		default: // a value in a map cannot be set in place
			d.set(x, e.value, p)
		}
		v.SetMapIndex(reflect.ValueOf(e.key), x)
	}
	return below
}

// structure records which values the document contains for the fields of a struct.
func (d *decoder) structure(v reflect.Value, g *given, path string) bool {
	s := shapeOf(v.Type())
	if g.kind != mapping {
		return g.kind != null && d.short(v, s, g, path) // null: a key without a value, or with only comments below it
	}
	set := map[*Field]string{} // the key that has set each field
	for _, e := range g.entries {
		f, fromFile := s.lookup(e.key)
		if f == nil {
			d.unknown(e, s, path)
			continue
		}
		p := Join(path, e.key)
		other := set[f]
		if f.index < 0 { // f is a kind of a Choice: only one kind may be given, so any earlier key conflicts
			for _, key := range set {
				other = key
			}
		}
		if other != "" {
			d.tree.Report(&Problem{Pos: e.at, Path: p, Text: other + " is also given", Want: "one of the two"})
			continue
		}
		set[f], d.tree.pos[p] = e.key, e.at
		if !fromFile {
			d.given[p] = e.value
			continue
		}
		if x := e.value; x == nil {
			continue
		} else if x.kind != scalar || x.text == "" {
			d.wrongKind(x, p, "the path of a file")
		} else {
			d.tree.fromFile(f.slot(v), Join(path, f.Key), In(d.dir, x.text), x.at)
		}
	}
	return true
}

// unknown reports an unknown key.
func (d *decoder) unknown(e entry, s *shape, path string) {
	known := s.keys()
	if f := s.addressField(); f != nil && Nearest(e.key, known) == "" {
		if p := splitAddress(e, true, path); p != nil {
			d.tree.failed[Join(path, f.Key)] = true
			d.tree.Report(p)
			return
		}
	}
	p := &Problem{Pos: e.at, Path: Join(path, quotedKey(e.key)), Text: "there is no such key"}
	if near := Nearest(e.key, known); near != "" {
		d.tree.failed[Join(path, near)] = true // near was probably meant: do not report that it is missing
		p = p.withSuggestion(near)
	} else if places := d.pathsOfKey(e.key); len(places) > 0 && len(places) <= 3 {
		p.Hint = "the key exists as " + strings.Join(places, ", ")
	} else {
		p.Want = OneOf(known)
	}
	d.tree.Report(p)
}

// pathsOfKey returns the paths where a key is known: "endpoints[].max_message".
func (d *decoder) pathsOfKey(key string) []string {
	if d.keys == nil {
		d.keys = sectionsOf(d.tree.root.Type(), nil)
	}
	var found []string
	for _, s := range d.keys {
		for _, f := range s.fields {
			if f.Key == key || f.hidden && f.Key+fileSuffix == key {
				found = append(found, Join(s.path, key))
			}
		}
	}
	return found
}

// quotedKey quotes a key with unusual characters, so that it does not look like a path.
func quotedKey(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return r < '0' || r > 'z' }) && !strings.Contains(key, "-") || key == "" {
		return Quote(key)
	}
	return key
}

// short sets a struct from a single value: "tls: off", "target: echo".
func (d *decoder) short(v reflect.Value, s *shape, g *given, path string) bool {
	for _, f := range s.fields {
		switch p := Join(path, f.Key); {
		case g.kind != scalar:
		case f.short:
			d.given[p] = g
			return true
		case s.only && f.Key == g.text:
			d.given[p] = &given{at: g.at} // a kind with default settings
			return true
		}
	}
	if !s.only || g.kind != scalar {
		d.wrongKind(g, path, wantOf(v.Type()))
		return false
	}
	p := &Problem{Pos: g.at, Path: path, Text: "not an allowed kind", Want: OneOf(s.keys())} // the text may be a misplaced secret
	if near := Nearest(g.text, s.keys()); near != "" {
		p.Text = Quote(g.text) + " is not an allowed kind"
		p = p.withSuggestion(near)
	}
	d.tree.Report(p)
	return false
}

// any returns a value without a given type: nil, bool, int64, float64, string, []any, map[string]any.
func (d *decoder) any(g *given, path string) any {
	if g == nil || !d.countValue(g, path) {
		return nil
	}
	switch g.kind {
	case list:
		x := []any{}
		for i, part := range g.items {
			x = append(x, d.any(part, item(path, i)))
		}
		return x
	case mapping:
		x := map[string]any{}
		for _, e := range g.entries {
			x[e.key] = d.any(e.value, Join(path, e.key))
		}
		return x
	case scalar:
		return g.value
	}
	return nil
}
