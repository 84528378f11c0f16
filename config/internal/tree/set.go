package tree

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Set sets the value at a path from text. A single value is written as in a document, a list of such values as "a, b" or [a, b], and
// anything else as YAML. from is the source, for messages. If path is that of a secret with the suffix _file, text names the file
// that contains the secret.
func (t *Tree) Set(path, text, from string) {
	at := Pos{File: from}
	if t.find(path, func(n node) { t.setAt(n, text, at) }) {
		return
	}
	if base, ok := strings.CutSuffix(path, fileSuffix); ok && t.secretFile(base, text, at) {
		return
	}
	p := &Problem{Pos: at, Path: path, Text: "there is no such key"}
	t.Report(p.withSuggestion(Nearest(path, t.settable())))
}

// find calls f with the value at a path. It replaces nil pointers on the way with new values. It returns false if there is no such
// value.
func (t *Tree) find(path string, f func(node)) (found bool) {
	visit(node{value: t.root}, func(n node) bool {
		rest, within := strings.CutPrefix(path, n.path)
		switch {
		case path == n.path && path != "": // the root itself cannot be set
			found = true
			f(n)
			return false
		case n.path != "" && (!within || rest[0] != '.' && rest[0] != '['):
			return false
		case n.value.Kind() == reflect.Pointer && n.value.IsNil():
			n.value.Set(fresh(n.value.Type().Elem()).Addr())
		}
		return true
	}, nil)
	return found
}

// settable returns the paths of all values that are not in a list or a map.
func (t *Tree) settable() []string {
	var paths []string
	visitTypes(t.root.Type(), func(n node) bool {
		if n.field != nil {
			paths = append(paths, n.path)
		}
		k := n.value.Kind()
		return k != reflect.Slice && k != reflect.Map && unionOf(n.value) == nil
	})
	return paths
}

// setAt sets a value from text.
func (t *Tree) setAt(n node, text string, at Pos) {
	v, typ := n.value, n.value.Type()
	t.pos[n.path] = at
	delete(t.texts, n.path)
	bracketed := strings.HasPrefix(strings.TrimSpace(text), "[")
	if isLeaf(typ) || typ.Kind() == reflect.Slice && isLeaf(typ.Elem()) && !bracketed {
		t.setText(v, n.field.wordOf(text), n.path, "", at)
		return
	}
	list := typ.Kind() == reflect.Slice && reflect.PointerTo(typ.Elem()).Implements(unionType)
	if u := unionOf(v); u != nil {
		list = !u.SetWord(text)
	}
	if list && !strings.ContainsAny(text, "[{") {
		text = "[" + text + "]"
	}
	g, p := read([]byte(text), at.File, &at, t.Report)
	if p != nil {
		t.Report(&Problem{Pos: at, Path: n.path, Text: p.Text, Want: wantOf(typ)})
		return
	}
	if g == nil {
		g = &given{at: at}
	}
	v.SetZero()
	setDefaults(v)
	t.decode(v, g, n.path, "")
}

// Environ sets values from environment variables. The name of the variable is the prefix followed by the path, in capitals and with
// "_" between its parts; values in lists and in maps have no variable. Empty variables, and those for which skip returns true, are ignored.
func (t *Tree) Environ(prefix string, environ []string, skip func(name string) bool) {
	paths := map[string]string{} // the path of each variable
	for _, path := range t.settable() {
		paths[prefix+strings.ToUpper(strings.ReplaceAll(path, ".", "_"))] = path
	}
	set := map[string]string{}
	for _, kv := range environ {
		if name, text, _ := strings.Cut(kv, "="); strings.HasPrefix(name, prefix) && text != "" && !skip(name) {
			set[name] = text
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		at := Pos{File: "environment variable " + name}
		base, fromFile := strings.CutSuffix(name, strings.ToUpper(fileSuffix))
		switch {
		case paths[name] != "":
			t.Set(paths[name], set[name], at.File)
		case fromFile && t.secretFile(paths[base], set[name], at):
			if set[base] != "" {
				t.Report(&Problem{Pos: at, Path: paths[base] + fileSuffix, Text: base + " is also given", Want: "one of the two"})
			}
		default:
			t.Report(&Problem{Pos: at, Text: "there is no such setting", Hint: hintOf(prefix, name, paths)})
		}
	}
}

// hintOf returns a hint about an unknown environment variable, such as the name of a similar variable.
func hintOf(prefix, name string, paths map[string]string) string {
	var names []string
	for _, known := range slices.Sorted(maps.Keys(paths)) {
		names = append(names, strings.TrimPrefix(known, prefix))
		if rest, ok := strings.CutPrefix(name, known+"_"); ok && rest[0] >= '0' && rest[0] <= '9' {
			return known + " takes the whole list as YAML"
		}
	}
	if near := Nearest(strings.TrimPrefix(name, prefix), names); near != "" {
		return "did you mean " + prefix + near + "?"
	}
	return "the variables are the keys outside lists and named mappings, in capitals, with " + prefix + " before it"
}

// secretFile sets the secret at a path from a file. It returns false if there is no secret at the path.
func (t *Tree) secretFile(path, file string, at Pos) (found bool) {
	return path != "" && t.find(path, func(n node) {
		if _, found = n.value.Addr().Interface().(Hidden); found {
			t.fromFile(n.value, path, In("", file), at)
		}
	}) && found
}
