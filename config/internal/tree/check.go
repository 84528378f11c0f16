package tree

import (
	"fmt"
	"os"
	"reflect"
	"slices"
)

// Check checks all values against their tags.
func (t *Tree) Check() { visit(node{value: t.root}, t.check, nil) }

func (t *Tree) check(n node) bool {
	if f := n.field; f != nil {
		if f.Required && isEmpty(n.value) {
			if !t.failed[parent(n.path)] {
				t.Wrong(n.path, "required", wantOfField(f))
			}
			return false
		}
		t.checkEnum(f, n.value, n.path)
		t.checkBound(f, n.value, n.path, f.Min, 1, "less than ")
		t.checkBound(f, n.value, n.path, f.Max, -1, "more than ")
	}
	if isLocal(n.value) && (n.field == nil || !n.field.made) {
		t.checkReadable(n.value.String(), n.path)
	}
	if v := resolve(n.value); v.IsValid() && v.Kind() == reflect.Struct && shapeOf(v.Type()) != nil && shapeOf(v.Type()).only {
		t.checkOnlyOne(v, n.path)
	}
	return true
}

// isLocal reports whether a value is a path. It returns false for values in maps, which are not addressable.
func isLocal(v reflect.Value) bool {
	if !v.CanAddr() {
		return false
	}
	_, ok := v.Addr().Interface().(Local)
	return ok
}

// checkReadable checks that a file can be read.
func (t *Tree) checkReadable(file, path string) {
	if file == "" {
		return
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		t.Wrong(path, Quote(file)+" cannot be read: "+Why(err), "a file")
	case info.IsDir():
		t.Wrong(path, Quote(file)+" is a directory", "a file")
	}
}

func isEmpty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

func wantOfField(f *Field) string {
	if len(f.Enum) > 0 {
		return OneOf(f.Enum)
	}
	return wantOf(f.Type)
}

// checkOnlyOne checks that exactly one of a struct's keys is given.
func (t *Tree) checkOnlyOne(v reflect.Value, path string) {
	s := shapeOf(v.Type())
	var set []string
	failed := t.failed[path]
	for _, f := range s.fields {
		if !f.slot(v).IsNil() {
			set = append(set, f.Key)
		}
		failed = failed || t.failed[Join(path, f.Key)]
	}
	switch {
	case len(set) == 1 || failed:
	case len(set) > 1:
		t.Wrong(Join(path, set[1]), set[0]+" is also given", "one of the two")
	case t.Given(path): // a required struct that was not given is reported as missing instead
		t.Wrong(path, "empty", "one of "+OneOf(s.keys()))
	}
}

// checkEnum checks that a value, or each item of a list, is one of the allowed values.
func (t *Tree) checkEnum(f *Field, v reflect.Value, path string) {
	if len(f.Enum) == 0 {
		return
	}
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			t.checkEnum(f, v.Index(i), item(path, i))
		}
		return
	}
	text := fmt.Sprint(v.Interface())
	if slices.Contains(f.Enum, text) || text == "" && !f.hasDefault && !t.Given(path) {
		return
	}
	t.Unknown(path, Quote(text)+" is not an allowed value", text, f.Enum)
}

// checkBound checks a value against its minimum or its maximum.
func (t *Tree) checkBound(f *Field, v reflect.Value, path, text string, sign float64, name string) {
	if text == "" {
		return
	}
	limit := reflect.New(v.Type()).Elem()
	if err := setText(limit, text); err != nil {
		panic("tree: the bounds of " + f.Name + ": " + err.Error()) // the tag is not valid
	}
	if (number(v)-number(limit))*sign < 0 {
		t.Wrong(path, fmt.Sprintf("%v is %s%s", v.Interface(), name, text), wantBounds(f))
	}
}

func number(v reflect.Value) float64 {
	if v.Kind() == reflect.Float64 {
		return v.Float()
	}
	return float64(v.Int())
}

// wantBounds describes the bounds of a value: "1s to 60s".
func wantBounds(f *Field) string {
	switch {
	case f.Max == "":
		return f.Min + " or more"
	case f.Min == "":
		return f.Max + " or less"
	}
	return f.Min + " to " + f.Max
}
