package config

import (
	"reflect"
	"strings"
)

// nearest returns the word that a mistyped one may stand for, and "" when none is near.
func nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	best, least := "", max(2, len(word)/3)+1
	word = strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(word))
	for _, k := range known {
		d := distance(word, strings.ToLower(k))
		if d < least {
			best, least = k, d
		}
	}
	if len(word) <= 2 && least > 1 {
		return "" // anything is near to so little
	}
	return best
}

// distance counts the letters to change, add, leave out or swap with the next one, to make b of a.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// elsewhere returns the paths where a key would be right, in the form of the reference: "endpoints[].max_message".
func elsewhere(key string) []string {
	var found []string
	var walk func(t reflect.Type, path string, depth int)
	walk = func(t reflect.Type, path string, depth int) {
		t, path = inner(t, path)
		s := shapeOf(t)
		if s == nil || depth > 6 {
			return
		}
		for _, f := range s.fields {
			p := join(path, f.key)
			if f.key == key || f.file && f.key+fileSuffix == key {
				found = append(found, join(path, key))
			}
			walk(f.typ, p, depth+1)
		}
	}
	walk(reflect.TypeFor[Config](), "", 0)
	return found
}

// inner returns the type of the elements of lists, maps and pointers, with the path of one: "listen[]", "auth.*".
func inner(t reflect.Type, path string) (reflect.Type, string) {
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case t.Kind() == reflect.Slice:
			t, path = t.Elem(), path+"[]"
		case t.Kind() == reflect.Map:
			t, path = t.Elem(), path+".*"
		default:
			return t, path
		}
	}
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
