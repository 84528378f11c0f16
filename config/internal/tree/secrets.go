package tree

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Secrets returns the files that contain secrets: those that the configuration names, and the configuration file itself if there
// is a secret in it.
//
// A [Hidden] value is a secret. The tag secret says this about other fields: "true" about a value, or about the contents of the
// file that it names; "without KEY" about such a file, if the field with that key in the same struct is empty. Of a Hidden value
// with the tag "userinfo", which is a URL or a list of URLs, only user information is secret.
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
	if n.field == nil || n.value.IsZero() || !n.field.hidden && n.field.Secret == "" {
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
