package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Example returns a file that says what [Default] says, with a comment on everything. What has no value stands there as a
// comment without a space behind the #; other comments have one.
func Example() string {
	w := &yamlWriter{explain: true}
	w.line("# Everything that handfast can be told, with its defaults. \"handfast config check\" tells what is wrong with a file.")
	w.line("# A line that begins with # and no space is a setting that is not given: take the # away.")
	w.structure(reflect.ValueOf(Default()).Elem())
	return w.b.String()
}

// YAML returns the configuration as a file: every value, whether it was given or not, without comments. Secrets are [redacted].
func (c *Config) YAML() string {
	w := &yamlWriter{}
	w.structure(reflect.ValueOf(c).Elem())
	return w.b.String()
}

// A yamlWriter writes a file.
type yamlWriter struct {
	b       strings.Builder
	explain bool // with comments, and with what is not given
	indent  int
	marks   []int // the columns of the # of the parts that are not given, and in which this is
	dash    bool  // the next line begins an item of a list
}

// line writes one line at the current indent.
func (w *yamlWriter) line(text string) {
	indent := w.indent
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

// hidden writes something that is not given.
func (w *yamlWriter) hidden(write func()) {
	if !w.explain {
		return
	}
	w.marks = append(w.marks, w.indent)
	write()
	w.marks = w.marks[:len(w.marks)-1]
}

// below writes something one step further in.
func (w *yamlWriter) below(write func()) {
	w.indent += 2
	write()
	w.indent -= 2
}

// structure writes the keys of a struct.
func (w *yamlWriter) structure(v reflect.Value) {
	for _, f := range shapeOf(v.Type()).fields {
		if w.explain {
			if w.indent == 0 {
				w.b.WriteString("\n")
			}
			for line := range strings.SplitSeq(wrap(comments[v.Type().Name()+"."+f.name], "", 108-w.indent), "\n") {
				w.line("# " + line)
			}
		}
		w.field(f, v.Field(f.index))
	}
}

// field writes one key.
func (w *yamlWriter) field(f field, v reflect.Value) {
	t := v.Type()
	switch {
	case t == originsType || isLeaf(t) || t.Kind() == reflect.Slice && shapeOf(t.Elem()) == nil:
		w.value(f, v)
	case t.Kind() == reflect.Pointer:
		w.pointer(f, v)
	case t.Kind() == reflect.Slice:
		w.list(f, v)
	case t.Kind() == reflect.Map:
		w.mapping(f, v)
	default:
		w.open(f.key, v)
	}
}

// open writes a struct below its key.
func (w *yamlWriter) open(key string, v reflect.Value) {
	if len(shapeOf(v.Type()).fields) == 0 {
		w.line(key + ": {}")
		return
	}
	if !w.explain {
		w.bare(key, v)
		return
	}
	w.line(key + ":")
	w.below(func() { w.structure(v) })
}

// bare writes a struct below its key, and nothing when nothing is in it.
func (w *yamlWriter) bare(key string, v reflect.Value) {
	inside := &yamlWriter{indent: w.indent + 2}
	inside.structure(v)
	if inside.b.Len() == 0 {
		return
	}
	w.line(key + ":")
	w.b.WriteString(inside.b.String())
}

// value writes what fits in a line.
func (w *yamlWriter) value(f field, v reflect.Value) {
	given := f.hasDef || !isEmpty(v) || v.Kind() == reflect.Bool
	text := inline(v)
	switch {
	case given && text == "" && v.Kind() == reflect.Slice:
		w.line(f.key + ": []")
	case given && text == "":
		w.line(f.key + ": ''")
	case given:
		w.line(f.key + ": " + text)
	case f.file && f.example == "":
		w.hidden(func() { w.line(f.key + fileSuffix + ": " + strings.ReplaceAll(f.key, "_", "-")) })
	case f.required && len(w.marks) > 0:
		w.line(f.key + ": " + w.sample(f))
	default:
		w.hidden(func() { w.line(f.key + ": " + w.sample(f)) })
	}
}

// sample returns a value for what is not given.
func (w *yamlWriter) sample(f field) string {
	switch {
	case f.example != "":
		return yamlExample(f.example)
	case f.typ.Kind() == reflect.Slice, f.typ == originsType:
		return "[]"
	}
	return "''"
}

// yamlExample quotes what the tag of a field has without quotes.
func yamlExample(text string) string {
	if strings.ContainsAny(text[:1], "['") {
		return text
	}
	return yamlText(text)
}

// pointer writes what may not be there.
func (w *yamlWriter) pointer(f field, v reflect.Value) {
	if !v.IsNil() {
		w.open(f.key, v.Elem())
		return
	}
	w.hidden(func() {
		if only := shapeOf(f.typ.Elem()); len(only.fields) == 0 || w.indent > 4 {
			w.line(f.key + ": {}") // its keys are explained where they stand first
			return
		}
		fresh := reflect.New(f.typ.Elem()).Elem()
		setDefaults(fresh)
		w.open(f.key, fresh)
	})
}

// list writes a list of structs, or an example of an item.
func (w *yamlWriter) list(f field, v reflect.Value) {
	if v.Len() == 0 {
		w.hidden(func() {
			fresh := reflect.New(f.typ.Elem()).Elem()
			setDefaults(fresh)
			w.items(f.key, fresh)
		})
		if !w.explain {
			w.line(f.key + ": []") // which is something else than not given where there is a default
		}
		return
	}
	items := make([]reflect.Value, v.Len())
	for i := range items {
		items[i] = v.Index(i)
	}
	w.items(f.key, items...)
}

func (w *yamlWriter) items(key string, items ...reflect.Value) {
	w.line(key + ":")
	for _, item := range items {
		w.indent += 4
		w.dash = true
		w.structure(item)
		w.indent -= 4
	}
}

// sampleNames are names for the methods of the example.
var sampleNames = map[string]string{
	"jwt": "users", "apikey": "programs", "basic": "staff", "cookie": "pages", "ticket": "tickets", "certificate": "devices",
	"forward": "portal",
}

// mapping writes a map. Of methods that are not given there is one of each kind.
func (w *yamlWriter) mapping(f field, v reflect.Value) {
	switch {
	case v.Type().Elem().Kind() != reflect.Pointer:
		if v.Len() > 0 {
			w.line(f.key + ": " + inline(v))
			return
		}
		w.hidden(func() { w.line(f.key + ": {}") })
		return
	case v.Len() == 0 && !w.explain:
		return
	case v.Len() > 0:
		w.line(f.key + ":")
		for _, name := range slices.Sorted(maps.Keys(mapOf(v))) {
			w.below(func() { w.open(name, v.MapIndex(reflect.ValueOf(name)).Elem()) })
		}
		return
	}
	w.line(f.key + ":")
	w.below(func() {
		for _, kind := range shapeOf(v.Type().Elem().Elem()).fields {
			w.line("# " + comments["Method."+kind.name])
			w.hidden(func() { w.sampleMethod(kind) })
		}
	})
}

func (w *yamlWriter) sampleMethod(kind field) {
	name, ok := sampleNames[kind.key]
	if !ok {
		panic(fmt.Sprintf("config: no sample name for %s", kind.key)) // a mistake in this package
	}
	fresh := reflect.New(kind.typ.Elem()).Elem()
	setDefaults(fresh)
	w.line(name + ":")
	w.below(func() { w.open(kind.key, fresh) })
}
