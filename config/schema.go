package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// A field is one key of a struct, as the struct's tags describe it.
type field struct {
	name     string // in Go
	key      string // in the file
	index    int
	typ      reflect.Type
	def      string // the default, in the form that it has in the file
	hasDef   bool
	required bool
	enum     []string
	min, max string
	example  string
	file     bool // it is a Secret: key_file names a file that holds the value
	short    bool // a scalar in place of the struct sets this field
}

// A shape is what is known about a struct.
type shape struct {
	fields []field
	only   bool // exactly one field is set
}

var shapes sync.Map // of reflect.Type to *shape

// shapeOf returns the shape of a struct that has yaml tags, and nil for other types.
func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	if t.Kind() != reflect.Struct || isScalar(t) || t == originsType || t == authRefType {
		return nil
	}
	s := &shape{}
	for i := range t.NumField() {
		f := t.Field(i)
		key, ok := f.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		def, hasDef := f.Tag.Lookup("default")
		x := field{
			name: f.Name, key: key, index: i, typ: f.Type, def: def, hasDef: hasDef,
			required: f.Tag.Get("required") == "true",
			min:      f.Tag.Get("min"), max: f.Tag.Get("max"), example: f.Tag.Get("example"),
			file:  f.Type == secretType,
			short: f.Tag.Get("short") == "true",
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			x.enum = strings.Split(enum, "|")
		}
		s.only = s.only || f.Tag.Get("only") == "one"
		s.fields = append(s.fields, x)
	}
	shapes.Store(t, s)
	return s
}

// field returns the field with a key.
func (s *shape) field(key string) (field, bool) {
	for _, f := range s.fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// keys returns what may stand in the file.
func (s *shape) keys() []string {
	var keys []string
	for _, f := range s.fields {
		keys = append(keys, f.key)
		if f.file {
			keys = append(keys, f.key+fileSuffix)
		}
	}
	return keys
}

// fileSuffix makes the key of a value the key of a file that holds it.
const fileSuffix = "_file"

var (
	originsType = reflect.TypeFor[Origins]()
	authRefType = reflect.TypeFor[AuthRef]()
	secretType  = reflect.TypeFor[Secret]()
	pathType    = reflect.TypeFor[Path]()
	textType    = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isScalar reports whether a type reads itself from one value of the file.
func isScalar(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// setDefaults sets the fields of a struct, and of the structs in it, to their defaults.
func setDefaults(v reflect.Value) {
	s := shapeOf(v.Type())
	if s == nil {
		return
	}
	for _, f := range s.fields {
		switch {
		case f.hasDef:
			if err := setText(v.Field(f.index), f.def); err != nil {
				panic(fmt.Sprintf("config: the default of %s.%s: %v", v.Type(), f.name, err)) // a mistake in this package
			}
		default:
			setDefaults(v.Field(f.index))
		}
	}
}

// newDefault returns a T with its defaults.
func newDefault[T any]() T {
	var t T
	setDefaults(reflect.ValueOf(&t).Elem())
	return t
}
