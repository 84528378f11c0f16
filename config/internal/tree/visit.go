package tree

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// node is a value in a tree.
type node struct {
	value reflect.Value // can be set unless it is in a map
	path  string
	key   string        // the last part of the path: a key, or the name of an entry; "" for the root and for items
	field *Field        // the field of the value; nil for the root, items and entries
	in    reflect.Value // the struct that contains the field; the zero Value if field is nil
}

// visit walks over a value and everything in it, in the order of the fields. enter is called before the parts of a value are
// visited. It may set the value, and it returns whether to visit the parts; if so, leave is called after the parts. leave may be nil.
func visit(n node, enter func(node) bool, leave func(node)) {
	if !enter(n) {
		return
	}
	v := resolve(n.value)
	switch {
	case !v.IsValid() || isLeaf(v.Type()):
	case shapeOf(v.Type()) != nil:
		for _, f := range shapeOf(v.Type()).fields {
			slot := f.slot(v)
			visit(node{value: slot, path: Join(n.path, f.Key), key: f.Key, field: f, in: v}, enter, leave)
			f.store(v, slot)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			visit(node{value: v.Index(i), path: item(n.path, i)}, enter, leave)
		}
	case v.Kind() == reflect.Map:
		for _, key := range keysOf(v) {
			visit(node{value: v.MapIndex(reflect.ValueOf(key)), path: Join(n.path, key), key: key}, enter, leave)
		}
	}
	if leave != nil {
		leave(n)
	}
}

// Each calls f with the path of, and a pointer to, the value that root points to and every value in it. The parts of a value follow the
// value, in the order of the fields. Nil values, and values of a map that are not pointers, are skipped.
func Each(root any, f func(path string, p any)) {
	visit(node{value: reflect.ValueOf(root).Elem()}, func(n node) bool {
		v := n.value
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.CanAddr() { // false for nil pointers and for values in maps
			f(n.path, v.Addr().Interface())
		}
		return true
	}, nil)
}

// resolve follows pointers, and replaces a Union that is not a word by its parts. It returns the zero Value for a nil pointer.
func resolve(v reflect.Value) reflect.Value {
	for v.IsValid() {
		u := unionOf(v)
		switch {
		case u != nil:
			if _, word := u.Word(); word {
				return v
			}
			v = reflect.ValueOf(u.Parts()).Elem()
		case v.Kind() == reflect.Pointer:
			v = v.Elem()
		default:
			return v
		}
	}
	return v
}

// visitTypes is like visit, for all values that a value of a type may contain: a list has one item, with the path "list[]", and a map
// has one entry, with the path "map.*". enter receives a new value of each type. For a recursive type, enter must return false at some
// level.
func visitTypes(t reflect.Type, enter func(node) bool) {
	root := reflect.New(t).Elem()
	visit(node{value: root}, func(n node) bool {
		n.path = strings.ReplaceAll(n.path, "[0]", "[]")
		if !enter(n) {
			return false
		}
		fill(n.value)
		return true
	}, nil)
}

// fill sets a pointer to a new value, or adds an item to a list or map.
func fill(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer && v.CanSet():
		v.Set(reflect.New(v.Type().Elem()))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Pointer:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("*"), reflect.New(v.Type().Elem().Elem()))
	}
}

// keysOf returns the keys of a map, sorted.
func keysOf(v reflect.Value) []string {
	keys := make([]string, 0, v.Len())
	for _, key := range v.MapKeys() {
		keys = append(keys, key.String())
	}
	slices.Sort(keys)
	return keys
}

// Join appends a key to a path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// item appends an index to a path.
func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// parent returns the path of the value that contains a path: "a.b" for "a.b[0]", "a" for "a.b".
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }
