package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// check holds a configuration to its fields' tags, and then to what they mean together.
func (l *loader) check(c *Config) {
	k := &checker{l: l, c: c}
	k.tags(reflect.ValueOf(c).Elem(), "")
	k.meaning()
}

// A checker notes what is wrong with a configuration that could be read.
type checker struct {
	l *loader
	c *Config
}

// problem notes a problem with the value at a path, unless there is one with that value already.
func (k *checker) problem(path, text, want string) {
	if !k.l.failed[path] {
		k.l.problem(k.c.Problem(path, text, want))
	}
}

// tags checks required, enum, min, max and only of a value and of what is in it.
func (k *checker) tags(v reflect.Value, path string) {
	t := v.Type()
	switch {
	case t == authRefType:
		if m := v.Interface().(AuthRef).Method; m != nil {
			k.tags(reflect.ValueOf(m).Elem(), path)
		}
	case isLeaf(t):
	case t.Kind() == reflect.Pointer:
		if !v.IsNil() {
			k.tags(v.Elem(), path)
		}
	case t.Kind() == reflect.Slice:
		for i := range v.Len() {
			k.tags(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case t.Kind() == reflect.Map:
		for _, key := range slices.SortedFunc(maps.Keys(mapOf(v)), strings.Compare) {
			k.tags(v.MapIndex(reflect.ValueOf(key)), join(path, key))
		}
	case shapeOf(t) != nil:
		k.fields(v, path)
	}
}

// mapOf returns the keys of a map with string keys.
func mapOf(v reflect.Value) map[string]bool {
	keys := make(map[string]bool, v.Len())
	for _, key := range v.MapKeys() {
		keys[key.String()] = true
	}
	return keys
}

// fields checks the fields of a struct.
func (k *checker) fields(v reflect.Value, path string) {
	s := shapeOf(v.Type())
	if s.only {
		k.only(v, s, path)
	}
	for _, f := range s.fields {
		x, p := v.Field(f.index), join(path, f.key)
		if f.required && isEmpty(x) {
			if !k.l.failed[path] {
				k.problem(p, "it has to be given", wantOfField(f))
			}
			continue
		}
		k.bounds(f, x, p)
		k.tags(x, p)
	}
}

func isEmpty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

func wantOfField(f field) string {
	if len(f.enum) > 0 {
		return oneOf(f.enum)
	}
	return wantOf(f.typ)
}

// only checks that one of a struct's keys is given.
func (k *checker) only(v reflect.Value, s *shape, path string) {
	var given []string
	for _, f := range s.fields {
		if !v.Field(f.index).IsNil() {
			given = append(given, f.key)
		}
	}
	failed := k.l.failed[path]
	for _, f := range s.fields {
		failed = failed || k.l.failed[join(path, f.key)]
	}
	switch {
	case len(given) == 1 || failed:
	case len(given) == 0:
		if _, ok := k.c.source.pos[path]; ok { // else the required field above tells
			k.problem(path, "nothing is in it", "one of "+oneOf(s.keys()))
		}
	default:
		k.problem(join(path, given[1]), given[0]+" is given, too", "one of the two")
	}
}

// bounds checks the enum, the least and the most of a value.
func (k *checker) bounds(f field, v reflect.Value, path string) {
	if v.Kind() == reflect.Slice && len(f.enum) > 0 {
		for i := range v.Len() {
			k.enum(f, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
		return
	}
	if len(f.enum) > 0 {
		k.enum(f, v, path)
	}
	for _, bound := range []struct {
		text string
		sign float64
		name string
	}{{f.min, 1, "less than "}, {f.max, -1, "more than "}} {
		if bound.text == "" {
			continue
		}
		limit := reflect.New(v.Type()).Elem()
		if err := setText(limit, bound.text); err != nil {
			panic("config: the bounds of " + path + ": " + err.Error()) // a mistake in this package
		}
		if (number(v)-number(limit))*bound.sign < 0 {
			k.problem(path, fmt.Sprintf("%v is %s%s", v.Interface(), bound.name, bound.text), wantBounds(f))
		}
	}
}

func (k *checker) enum(f field, v reflect.Value, path string) {
	text := fmt.Sprint(v.Interface())
	if v.IsZero() && !f.required && !f.hasDef && v.Kind() == reflect.String {
		if _, given := k.c.source.pos[path]; !given {
			return
		}
	}
	if slices.Contains(f.enum, text) {
		return
	}
	if k.l.failed[path] {
		return
	}
	p := k.c.Problem(path, quote(text)+" is none of its values", oneOf(f.enum))
	if near := nearest(text, f.enum); near != "" {
		p.Hint = "did you mean " + near + "?"
	}
	k.l.problem(p)
}

func number(v reflect.Value) float64 {
	if v.Kind() == reflect.Float64 {
		return v.Float()
	}
	return float64(v.Int())
}

// wantBounds says what a value may be: "from 1s to 60s".
func wantBounds(f field) string {
	switch {
	case f.max == "":
		return f.min + " or more"
	case f.min == "":
		return f.max + " or less"
	}
	return f.min + " to " + f.max
}
