package tree

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Secrets returns the files that contain secrets: those that the configuration names, and the configuration file itself if there
// is a secret in it.
//
// A [Hidden] value is a secret. The tag secret marks other fields: with "true", the value is a secret, or the file that it names
// contains one; with "without KEY", the file contains a secret if the field with the key KEY in the same struct is empty. A Hidden
// value with the tag "userinfo" is a URL or a list of URLs; it is a secret only if a URL contains user information.
func (t *Tree) Secrets() []string {
	found := map[string]bool{}
	visit(node{value: t.root}, func(n node) bool {
		switch {
		case !n.secret():
		case isLocal(n.value):
			found[n.value.String()] = true
		case t.from[n.path] != "":
			found[t.from[n.path]] = true
		case t.document != "" && t.pos[n.path].File == t.document:
			found[absolute(t.document)] = true
		}
		return true
	}, nil)
	return slices.Sorted(maps.Keys(found))
}

// secret reports whether a value is a secret, or names a file with one.
func (n node) secret() bool {
	if n.field == nil || isEmpty(n.value) || n.value.Kind() == reflect.Map && n.value.Len() == 0 || !n.field.hidden && n.field.Secret == "" {
		return false
	}
	switch kind, key, _ := strings.Cut(n.field.Secret, " "); kind {
	case "without":
		other, _ := shapeOf(n.in.Type()).lookup(key)
		return other.slot(n.in).IsZero()
	case "userinfo":
		list := n.value.Addr().Interface().(Hidden).Reveal()
		for text := range strings.SplitSeq(list, ",") {
			if u, err := url.Parse(strings.TrimSpace(text)); err != nil || u.User != nil {
				return true
			}
		}
		return false
	}
	return true
}
