package tree

import (
	"reflect"
	"strings"
)

// YAML returns the struct that root points to as a YAML document without comments. It contains the defaults, too. Secrets are
// [redacted].
func YAML(root any) string { return write(root, &writer{}) }

// Example is like YAML, with the comment of each key. Keys without a value are commented out, without a space after the #. Example
// changes the struct that root points to.
func Example(root any, c Comments) string { return write(root, &writer{comments: c}) }

func write(root any, w *writer) string {
	visit(node{value: reflect.ValueOf(root).Elem()}, w.enter, w.leave)
	return w.b.String()
}

// writer writes a YAML document.
type writer struct {
	b        strings.Builder
	comments Comments // if nil, neither comments nor keys without a value are written
	indent   int
	dash     bool     // the next line begins an item of a list
	marks    []int    // the columns of the # characters that comment out the next line
	hidden   []string // the paths of the parts that are commented out
	pending  []header // the keys of the open structs
}

// header is a key of a struct, which is written before the first value of the struct, and not if there is no value.
type header struct {
	indent int
	key    string // "" after the key was written
}

// line writes one line at the current indent.
func (w *writer) line(text string) {
	for i, h := range w.pending {
		if h.key != "" {
			w.put(h.indent, h.key+":")
		}
		w.pending[i].key = ""
	}
	w.put(w.indent, text)
}

func (w *writer) put(indent int, text string) {
	if w.dash {
		w.dash = false
		indent -= 2
		text = "- " + text
	}
	column := 0
	for _, mark := range w.marks {
		w.b.WriteString(strings.Repeat(" ", mark-column) + "#")
		column = mark
	}
	w.b.WriteString(strings.Repeat(" ", indent-column) + text + "\n")
}

// hide makes the writer comment out everything until show is called for the path.
func (w *writer) hide(path string) {
	w.marks, w.hidden = append(w.marks, w.indent), append(w.hidden, path)
}

// show ends the effect of hide.
func (w *writer) show(path string) {
	if n := len(w.hidden) - 1; n >= 0 && w.hidden[n] == path {
		w.marks, w.hidden = w.marks[:n], w.hidden[:n]
	}
}

func (w *writer) enter(n node) bool {
	switch {
	case n.path == "":
		return true
	case n.field == nil && n.key == "": // an item of a list
		w.indent, w.dash = w.indent+4, true
		return true
	case n.field == nil:
		return w.entry(n)
	}
	v := n.value
	if v.Kind() == reflect.Pointer && v.IsNil() && (w.comments == nil || len(w.hidden) > 0 && shapeOf(n.in.Type()).only) {
		return false // there is no value, or the example shows another kind
	}
	if n.field.index < 0 && v.IsNil() && n.in.FieldByName("Kind").String() != "" {
		return false // another kind is given
	}
	if w.comments != nil && (len(w.hidden) == 0 || !shapeOf(n.in.Type()).only) {
		if w.indent == 0 {
			w.b.WriteString("\n")
		}
		w.comment(w.comments[n.field.Name])
	}
	switch t := v.Type(); {
	case isAtomic(v) || t.Kind() == reflect.Slice && shapeOf(t.Elem()) == nil:
		w.writeScalar(n)
		return false
	case v.IsZero() && t.Kind() != reflect.Struct:
		return w.writeEmpty(n)
	}
	return w.open(n)
}

func (w *writer) comment(text string) {
	for line := range strings.SplitSeq(wrap(text, "", 108-w.indent), "\n") {
		w.line("# " + line)
	}
}

// open writes the key of a value with parts.
func (w *writer) open(n node) bool {
	v := resolve(n.value)
	switch {
	case v.Kind() == reflect.Slice && v.Len() == 0:
		w.line(n.key + ": []") // omitting the key would mean the default
	case v.Kind() == reflect.Struct && len(shapeOf(v.Type()).fields) == 0:
		w.line(n.key + ": {}")
	case v.Kind() == reflect.Slice:
		w.line(n.key + ":")
		return true
	case w.comments != nil:
		w.line(n.key + ":")
		w.indent += 2
		return true
	default:
		w.pending = append(w.pending, header{w.indent, n.key})
		w.indent += 2
		return true
	}
	w.show(n.path)
	return false
}

func (w *writer) leave(n node) {
	v := resolve(n.value)
	switch {
	case n.path == "":
		return
	case n.field == nil && n.key == "":
		w.indent -= 4
	case v.Kind() != reflect.Slice:
		w.indent -= 2
		if w.comments == nil {
			w.pending = w.pending[:len(w.pending)-1]
		}
	}
	w.show(n.path)
}

// writeEmpty writes a nil pointer, an empty list of structs or an empty map; with comments, it writes an example instead.
func (w *writer) writeEmpty(n node) bool {
	v := n.value
	switch {
	case w.comments == nil && v.Kind() == reflect.Slice:
		w.line(n.key + ": []")
		return false
	case w.comments == nil:
		return false
	case v.Kind() == reflect.Map:
		samples(v)
		return w.open(n)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, fresh(v.Type().Elem())))
	default:
		v.Set(fresh(v.Type().Elem()).Addr())
	}
	w.hide(n.path)
	if v.Kind() == reflect.Pointer && w.indent > 4 {
		w.line(n.key + ": {}") // the keys of the struct are not repeated
		w.show(n.path)
		return false
	}
	return w.open(n)
}

// samples adds an example of each kind to a map.
func samples(m reflect.Value) {
	m.Set(reflect.MakeMap(m.Type()))
	for _, f := range shapeOf(m.Type().Elem().Elem()).fields {
		x := fresh(m.Type().Elem().Elem())
		f.slot(x).Set(fresh(f.Type.Elem()).Addr())
		m.SetMapIndex(reflect.ValueOf(f.Example), x.Addr())
	}
}

// entry writes the name of an entry of a map.
func (w *writer) entry(n node) bool {
	v := resolve(n.value)
	if s := shapeOf(v.Type()); w.comments != nil && s.only {
		for _, f := range s.fields {
			if f.Example == n.key && !f.slot(v).IsNil() { // the entry was added by samples
				w.comment(w.comments[f.Name])
				w.hide(n.path)
			}
		}
	}
	return w.open(n)
}

// writeScalar writes a value on one line.
func (w *writer) writeScalar(n node) {
	f, text, empty := n.field, inline(n.value), "''"
	switch k := n.value.Kind(); {
	case k == reflect.Slice || unionOf(n.value) != nil:
		empty = "[]"
	case k == reflect.Map:
		empty = "{}"
	}
	if f.hasDefault || !isEmpty(n.value) || n.value.Kind() == reflect.Bool {
		if text == "" {
			text = empty
		}
		w.line(f.Key + ": " + text)
		return
	}
	if w.comments == nil {
		return
	}
	key := f.Key
	switch {
	case f.hidden && f.Example == "":
		key, text = f.Key+fileSuffix, strings.ReplaceAll(f.Key, "_", "-")
	case f.Example == "":
		text = empty
	case strings.ContainsAny(f.Example[:1], "['"):
		text = f.Example
	default:
		text = yamlText(f.Example)
	}
	if f.Required { // the key is commented out with its struct
		w.line(key + ": " + text)
		return
	}
	w.hide(n.path)
	w.line(key + ": " + text)
	w.show(n.path)
}
