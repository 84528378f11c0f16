package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Change is one difference between two configurations.
type Change struct {
	Path string // "limits.connections", "endpoints[chat].rules[0].do": what has a name is found by it, not by its place
	Old  string // as it would stand in a file, secrets as [redacted]; "" when it is new, or empty
	New  string // the same; "" when it is gone, or empty
}

// String is "limits.connections: 10 → 20".
func (c Change) String() string {
	switch {
	case c.Old == "":
		return c.Path + ": " + c.New + " is new"
	case c.New == "":
		return c.Path + ": " + c.Old + " is gone"
	}
	return c.Path + ": " + c.Old + " → " + c.New
}

// Diff returns what is different, in the order of the reference. It holds no secret: one that was changed is [redacted] both
// times.
func Diff(before, after *Config) []Change {
	var d differ
	d.value(reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem(), "")
	return d.changes
}

type differ struct{ changes []Change }

func (d *differ) add(path, before, after string) {
	d.changes = append(d.changes, Change{path, before, after})
}

// value compares two values of one type.
func (d *differ) value(a, b reflect.Value, path string) {
	if reflect.DeepEqual(a.Interface(), b.Interface()) && path != "" {
		return
	}
	t := a.Type()
	switch {
	case t.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() && t != authRefType:
		d.value(a.Elem(), b.Elem(), path)
	case t.Kind() == reflect.Slice && named(t.Elem()) != "":
		d.list(a, b, path)
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Pointer:
		keys := maps.Clone(mapOf(a))
		maps.Copy(keys, mapOf(b))
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			k := reflect.ValueOf(key)
			d.item(a.MapIndex(k), b.MapIndex(k), join(path, key))
		}
	case shapeOf(t) != nil:
		for _, f := range shapeOf(t).fields {
			d.value(a.Field(f.index), b.Field(f.index), join(path, f.key))
		}
	default:
		before, after := inline(a), inline(b)
		if before == after && before == "" {
			return // nothing and an empty list
		}
		d.add(path, before, after)
	}
}

// named returns the name of the field by which an item of a list is known: an address, a name, an id.
func named(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Listen]():
		return "Address"
	case reflect.TypeFor[Endpoint]():
		return "Name"
	case reflect.TypeFor[Key]():
		return "ID"
	}
	return ""
}

// list compares lists whose items have names.
func (d *differ) list(a, b reflect.Value, path string) {
	field := named(a.Type().Elem())
	find := func(list reflect.Value) (map[string]reflect.Value, []string) {
		items, names := map[string]reflect.Value{}, []string{}
		for i := range list.Len() {
			name := fmt.Sprint(list.Index(i).FieldByName(field).Interface())
			for _, taken := items[name]; taken; _, taken = items[name] {
				name += "'" // two listeners on port 0
			}
			items[name] = list.Index(i)
			names = append(names, name)
		}
		return items, names
	}
	before, names := find(a)
	after, newNames := find(b)
	for _, name := range newNames {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		d.item(before[name], after[name], path+"["+name+"]")
	}
}

// item compares two items, of which one may be missing.
func (d *differ) item(a, b reflect.Value, path string) {
	switch {
	case !a.IsValid():
		d.add(path, "", inline(b))
	case !b.IsValid():
		d.add(path, inline(a), "")
	default:
		d.value(a, b, path)
	}
}

// inline writes a value in one line, as YAML has it: without what is a default, and with [redacted] for secrets.
func inline(v reflect.Value) string {
	t := v.Type()
	switch {
	case t == originsType:
		if o := v.Interface().(Origins); o.Any {
			return "any"
		}
		return inline(v.FieldByName("List"))
	case t == authRefType:
		ref := v.Interface().(AuthRef)
		if ref.Method == nil {
			return ref.Name
		}
		return inline(reflect.ValueOf(ref.Method).Elem())
	case isLeaf(t):
		return scalarYAML(v)
	case t.Kind() == reflect.Interface:
		return anyYAML(v.Interface())
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return inline(v.Elem())
	case t.Kind() == reflect.Slice:
		if v.Len() == 0 {
			return ""
		}
		var items []string
		for i := range v.Len() {
			items = append(items, inline(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case t.Kind() == reflect.Map:
		return inlineMap(v)
	}
	return inlineStruct(v)
}

func inlineMap(v reflect.Value) string {
	if v.Len() == 0 {
		return ""
	}
	var items []string
	for _, key := range slices.Sorted(maps.Keys(mapOf(v))) {
		items = append(items, yamlText(key)+": "+inline(v.MapIndex(reflect.ValueOf(key))))
	}
	return "{" + strings.Join(items, ", ") + "}"
}

func inlineStruct(v reflect.Value) string {
	fresh := reflect.New(v.Type()).Elem()
	setDefaults(fresh)
	var items []string
	for _, f := range shapeOf(v.Type()).fields {
		x := v.Field(f.index)
		if x.Kind() == reflect.Pointer && x.IsNil() || reflect.DeepEqual(x.Interface(), fresh.Field(f.index).Interface()) {
			continue
		}
		items = append(items, f.key+": "+inline(x))
	}
	return "{" + strings.Join(items, ", ") + "}"
}
