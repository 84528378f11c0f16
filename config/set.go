package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A step is a part of a path: a key, or an index of a list.
type step struct {
	key   string
	index int // -1: it is a key
}

// steps takes a path apart: "endpoints[0].rules[1].when".
func steps(path string) ([]step, bool) {
	var list []step
	for part := range strings.SplitSeq(path, ".") {
		key, indexes, indexed := strings.Cut(part, "[")
		if key == "" {
			return nil, false
		}
		list = append(list, step{key, -1})
		for indexed {
			var digits string
			var ok bool
			if digits, indexes, ok = strings.Cut(indexes, "]"); !ok {
				return nil, false
			}
			n, err := strconv.ParseUint(digits, 10, 16)
			if err != nil {
				return nil, false
			}
			list = append(list, step{index: int(n)})
			if indexes == "" {
				break
			}
			if indexes, ok = strings.CutPrefix(indexes, "["); !ok {
				return nil, false
			}
		}
	}
	return list, true
}

// set sets the value at a path from text: what it is in a file, for one value; "a, b" or [a, b] for a list of values;
// YAML for anything else.
func (l *loader) set(c *Config, path, text string, at Pos) {
	list, ok := steps(path)
	if !ok {
		l.problem(&Problem{Pos: at, Path: path, Text: "this is no path", Want: "keys with dots between them, such as listen[0].address"})
		return
	}
	w := setter{l: l, at: at, text: text}
	w.set(reflect.ValueOf(c).Elem(), list, "")
}

// A setter sets one value.
type setter struct {
	l    *loader
	at   Pos
	text string
}

func (w *setter) problem(path, text, want string) {
	w.l.problem(&Problem{Pos: w.at, Path: path, Text: text, Want: want})
}

// set goes down the path, making what is not there yet.
func (w *setter) set(v reflect.Value, rest []step, path string) {
	if len(rest) == 0 {
		w.value(v, path)
		return
	}
	t := v.Type()
	switch {
	case t == authRefType:
		ref := v.Addr().Interface().(*AuthRef)
		if ref.Method == nil {
			*ref = AuthRef{Method: new(newDefault[Method]())}
		}
		w.set(reflect.ValueOf(ref.Method).Elem(), rest, path)
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
			setDefaults(v.Elem())
		}
		w.set(v.Elem(), rest, path)
	case t.Kind() == reflect.Slice && rest[0].index >= 0:
		w.item(v, rest, path)
	case t.Kind() == reflect.Map && rest[0].index < 0:
		w.entry(v, rest, path)
	case shapeOf(t) != nil && rest[0].index < 0:
		w.field(v, rest, path)
	default:
		w.problem(path, "it has no such parts", wantOf(t))
	}
}

// item sets what is in a list, or appends to it.
func (w *setter) item(v reflect.Value, rest []step, path string) {
	i := rest[0].index
	path = fmt.Sprintf("%s[%d]", path, i)
	if i > v.Len() {
		w.problem(path, fmt.Sprintf("the list has %d so far", v.Len()), "the next index, "+strconv.Itoa(v.Len()))
		return
	}
	if i == v.Len() {
		item := reflect.New(v.Type().Elem()).Elem()
		setDefaults(item)
		v.Set(reflect.Append(v, item))
		w.l.src.pos[path] = w.at
	}
	w.set(v.Index(i), rest[1:], path)
}

// entry sets what is in a map, or adds to it.
func (w *setter) entry(v reflect.Value, rest []step, path string) {
	path = join(path, rest[0].key)
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	key := reflect.ValueOf(rest[0].key)
	item := reflect.New(v.Type().Elem()).Elem()
	if old := v.MapIndex(key); old.IsValid() {
		item.Set(old)
	} else {
		w.l.src.pos[path] = w.at
	}
	w.set(item, rest[1:], path)
	v.SetMapIndex(key, item)
}

// field sets what is in a struct.
func (w *setter) field(v reflect.Value, rest []step, path string) {
	s := shapeOf(v.Type())
	f, fromFile, ok := s.lookup(rest[0].key)
	p := join(path, rest[0].key)
	if !ok {
		problem := &Problem{Pos: w.at, Path: p, Text: "there is no such key"}
		if near := nearest(rest[0].key, s.keys()); near != "" {
			problem.Hint = "did you mean " + join(path, near) + "?"
		} else {
			problem.Want = oneOf(s.keys())
		}
		w.l.problem(problem)
		return
	}
	if !fromFile {
		w.set(v.Field(f.index), rest[1:], p)
		return
	}
	to := join(path, f.key)
	w.l.src.pos[to] = w.at
	w.l.readInto(v.Field(f.index), to, p, w.l.absolute(Path(w.text), ""), w.at)
}

// value sets the value itself.
func (w *setter) value(v reflect.Value, path string) {
	w.l.src.pos[path] = w.at
	delete(w.l.src.texts, path)
	t := v.Type()
	var err error
	switch {
	case isLeaf(t):
		err = setText(v, w.text)
		w.absolute(v)
	case t.Kind() == reflect.Slice && isLeaf(t.Elem()) && !strings.HasPrefix(strings.TrimSpace(w.text), "["):
		err = setText(v, w.text)
		for i := range v.Len() {
			w.absolute(v.Index(i))
		}
	case (t == originsType || t.Kind() == reflect.Slice && t.Elem() == authRefType) && plainList(w.text):
		w.yaml(v, path, "["+w.text+"]")
		return
	default:
		w.yaml(v, path, w.text)
		return
	}
	if err == nil {
		return
	}
	text := quote(w.text) + ": " + err.Error()
	if t == secretType {
		text = err.Error()
	}
	w.problem(path, text, wantOf(t))
}

// absolute makes a path, if v is one, independent of the working directory.
func (w *setter) absolute(v reflect.Value) {
	if p, ok := v.Addr().Interface().(*Path); ok {
		*p = w.l.absolute(*p, "")
	}
}

// plainList reports whether a text is a list of words without the brackets of YAML.
func plainList(text string) bool {
	return !strings.ContainsAny(text, "[{\n") && text != "any"
}

// yaml sets a value from a YAML document.
func (w *setter) yaml(v reflect.Value, path, text string) {
	body, p := parse([]byte(text), w.at.File)
	if p != nil {
		w.problem(path, p.Text, wantOf(v.Type()))
		return
	}
	v.SetZero()
	setDefaults(v)
	d := &decoder{l: w.l, fixed: &w.at, anchors: map[string]ast.Node{}, left: maxValues}
	d.decode(v, body, path)
}
