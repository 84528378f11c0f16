package config

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:generate go run ./gen
//go:generate go run ../cmd/handfast config doc --markdown --output ../docs/config.md
//go:generate go run ../cmd/handfast config default --output ../docs/handfast.example.yaml

// A section is a part of the reference: the keys of one struct.
type section struct {
	path   string // "listen[].tls"; "" for the whole
	text   string // what it is
	more   string // what its type's comment adds; may be empty
	fields []field
	shape  *shape
	typ    reflect.Type
	same   string // the path where these keys are explained already; "" when that is here
}

// reference returns all sections, in the order of the structs.
func reference() []section {
	var list []section
	first := map[reflect.Type]string{}
	var walk func(t reflect.Type, path, text string)
	walk = func(t reflect.Type, path, text string) {
		s := shapeOf(t)
		if s == nil {
			return
		}
		if at, ok := first[t]; ok {
			list = append(list, section{path: path, text: text, same: at})
			return
		}
		first[t] = path
		list = append(list, section{path: path, text: text, more: aboutType(t), fields: s.fields, shape: s, typ: t})
		for _, f := range s.fields {
			below, p := inner(f.typ, join(path, f.key))
			walk(below, p, comments[t.Name()+"."+f.name])
		}
	}
	walk(reflect.TypeFor[Config](), "", "")
	return list
}

// aboutType returns the comment on a type as a text of its own, "" when it has nothing to say.
func aboutType(t reflect.Type) string {
	text := comments[t.Name()]
	rest, ok := strings.CutPrefix(text, t.Name()+" ")
	if t == reflect.TypeFor[Config]() || !ok || len(text) < 100 && !strings.HasSuffix(rest, "settings.") {
		return ""
	}
	for _, verb := range []string{"is ", "are ", "says "} {
		if s, ok := strings.CutPrefix(rest, verb); ok {
			return upper(s)
		}
	}
	return "It " + rest
}

// upper makes the first letter a capital.
func upper(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// Keys returns the path of every key: "listen[].tls.mode", "auth.*.jwt.secret".
func Keys() []string {
	var keys []string
	for _, s := range reference() {
		for _, f := range s.fields {
			keys = append(keys, join(s.path, f.key))
		}
	}
	return keys
}

// Help returns the first sentence about a key of [Keys], for the help of a flag that sets it, "" for a key that is none.
func Help(key string) string {
	for _, s := range reference() {
		for _, f := range s.fields {
			if join(s.path, f.key) == key {
				text, _, _ := strings.Cut(comments[s.typ.Name()+"."+f.name], ". ")
				return strings.TrimSuffix(text, ".")
			}
		}
	}
	return ""
}

// typeLabel says in a word or two what a key takes.
func typeLabel(t reflect.Type) string {
	switch t {
	case originsType:
		return "any, or a list of origins"
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Bytes]():
		return "size"
	case reflect.TypeFor[Prefix]():
		return "network"
	case reflect.TypeFor[Address]():
		return "host:port"
	case pathType:
		return "file"
	case secretType:
		return "secret"
	case reflect.TypeFor[Time]():
		return "date"
	case reflect.TypeFor[Origin]():
		return "origin"
	case reflect.TypeFor[TokenSource]():
		return "source"
	case authRefType:
		return "method"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeLabel(t.Elem())
	case reflect.Slice:
		return "list of " + strings.TrimSuffix(typeLabel(t.Elem()), "s") + "s"
	case reflect.Map:
		if t.Elem().Kind() == reflect.Pointer {
			return "mappings by name"
		}
		return "mapping"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Struct:
		return "mapping"
	}
	return "text"
}

// facts returns what a field's tags say: its type or its values, its bounds, its default.
func facts(f field, code func(string) string) []string {
	var list []string
	switch {
	case len(f.enum) > 0:
		values := slices.Clone(f.enum)
		for i := range values {
			values[i] = code(values[i])
		}
		label := oneOf(values)
		if f.typ.Kind() == reflect.Slice {
			label = "list of " + strings.Join(values, ", ")
		}
		list = append(list, label)
	default:
		list = append(list, typeLabel(f.typ))
	}
	switch {
	case f.min != "" && f.max != "":
		list = append(list, f.min+" to "+f.max)
	case f.min != "" && f.min != "0" && f.min != "0s":
		list = append(list, f.min+" or more")
	}
	switch {
	case f.required:
		list = append(list, "required")
	case f.def != "":
		list = append(list, "default "+code(f.def))
	}
	if f.file {
		list = append(list, "or "+code(f.key+fileSuffix))
	}
	return list
}
