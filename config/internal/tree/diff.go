package tree

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Change is one difference between two configurations.
type Change struct {
	Path string `json:"setting"`       // such as "limits.connections" or "endpoints[chat].rules": list items have their names, if any
	Old  string `json:"old,omitempty"` // the old value in YAML, with secrets as [redacted]; "" if the setting is new or was empty
	New  string `json:"new,omitempty"` // the new value in YAML, with secrets as [redacted]; "" if the setting was removed or is empty
}

// String returns the change in the form "limits.connections: 10 → 20".
func (c Change) String() string {
	switch {
	case c.Old == "":
		return c.Path + ": " + c.New + " is new"
	case c.New == "":
		return c.Path + ": " + c.Old + " is gone"
	}
	return c.Path + ": " + c.Old + " → " + c.New
}

// Diff returns the differences between two structs of one type, in the order of the fields. Secrets are [redacted].
func Diff(before, after any) []Change {
	a, b := flatten(before), flatten(after)
	var changes []Change
	under := "" // the last reported path: changes below it are not reported separately
	below := func(path string) bool {
		return strings.HasPrefix(path, under+".") || strings.HasPrefix(path, under+"[")
	}
	report := func(path string, before, after any) {
		under = path
		if c := (Change{path, shown(before), shown(after)}); c.Old != "" || c.New != "" {
			changes = append(changes, c)
		}
	}
	for _, path := range b.paths {
		old, known := a.values[path]
		switch now := b.values[path]; {
		case below(path):
		case !known:
			report(path, nil, now)
		case b.whole[path] && !reflect.DeepEqual(old, now):
			report(path, old, now)
		}
		// Report the removed values that precede the next common one.
		for i := a.index[path] + 1; known && i < len(a.paths); i++ {
			gone := a.paths[i]
			if _, ok := b.values[gone]; ok {
				break
			}
			if !below(gone) {
				report(gone, a.values[gone], nil)
			}
		}
	}
	return changes
}

// flat is a configuration as a list of values.
type flat struct {
	paths  []string
	values map[string]any
	index  map[string]int  // the index in paths of each path
	whole  map[string]bool // the paths of values that are compared as a whole
}

func flatten(root any) flat {
	f := flat{values: map[string]any{}, index: map[string]int{}, whole: map[string]bool{}}
	names := map[string]string{} // from each path to the path with the names of list items in place of their indexes
	visit(node{value: reflect.ValueOf(root).Elem()}, func(n node) bool {
		path := n.path
		if up := parent(path); names[up] != "" {
			path = names[up] + strings.TrimPrefix(path, up)
		}
		if id := idOf(n.value); id != "" && strings.HasSuffix(path, "]") {
			path = fmt.Sprintf("%s[%s]", path[:strings.LastIndexByte(path, '[')], id)
			for f.values[path] != nil {
				path += "'" // an earlier item has the same name, such as another listener on port 0
			}
		}
		names[n.path] = path
		v := n.value
		if v.Kind() == reflect.Pointer && v.IsNil() {
			return false
		}
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		parts := shapeOf(v.Type()) != nil || v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Pointer ||
			v.Kind() == reflect.Slice && idField(v.Type().Elem()) != nil
		f.index[path], f.values[path], f.whole[path] = len(f.paths), v.Addr().Interface(), !parts
		f.paths = append(f.paths, path)
		return parts
	}, nil)
	return f
}

// idField returns the field that identifies an item of a list: an address, a name, an id. It returns nil if no field does.
func idField(t reflect.Type) *Field {
	if s := shapeOf(t); s != nil {
		if i := slices.IndexFunc(s.fields, func(f *Field) bool { return f.id }); i >= 0 {
			return s.fields[i]
		}
	}
	return nil
}

func idOf(v reflect.Value) string {
	if f := idField(v.Type()); f != nil {
		return fmt.Sprint(f.slot(v).Interface())
	}
	return ""
}

// shown formats the value that p points to on one line. It returns "" if p is nil.
func shown(p any) string {
	if p == nil {
		return ""
	}
	return inline(reflect.ValueOf(p).Elem())
}
