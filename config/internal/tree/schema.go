package tree

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// described is a type that describes itself in the reference and in messages.
type described interface {
	// Describe returns two descriptions: label is a word or two for the reference, such as "duration", and want is for messages,
	// such as "a duration, such as 30s".
	Describe() (label, want string)
}

// Scalar is a type whose values are single values in a document. The errors of UnmarshalText must explain what is wrong with a text.
type Scalar interface {
	encoding.TextUnmarshaler
	described
}

// Hidden is a Scalar whose value is never shown. A second key with the suffix _file may name a file that contains the value.
type Hidden interface {
	Hidden()
	Reveal() string
}

// Local is a Scalar that is a path. In makes a relative path relative to dir.
type Local interface{ In(dir string) }

// Union is a value with two forms: a word, or a value with parts. The pointer to a type implements Union.
type Union interface {
	described
	Word() (word string, ok bool) // ok is true if the value is a word
	SetWord(word string) bool     // returns false if the word is not allowed
	Parts() any                   // returns a pointer to the other form
}

// Choice is a struct with the settings of one of several kinds, which Kinds returns. The struct has the fields Kind, a string, and
// Settings, an any that contains a pointer. In a document, a kind is a key of the struct, or a word in its place.
type Choice interface{ Kinds() []Kind }

// Kind is one kind of a [Choice].
type Kind struct {
	Key      string
	Settings reflect.Type // a struct type
}

// Field is one key of a struct.
type Field struct {
	Key      string
	Name     string // "Type.Field", which is the field's key in Comments
	Type     reflect.Type
	Default  string
	Required bool
	Enum     []string
	Min, Max string
	Example  string
	Secret   string // whether the value is a secret or names a file that contains one; see [Tree.Secrets]

	hasDefault, hidden, short, id, made bool
	expression                          bool // the value is an expression, for which true and false are valid texts
	index                               int  // the index of the field; -1 for a kind of a Choice
}

// shape describes the keys of a struct type.
type shape struct {
	fields []*Field
	only   bool // exactly one field must be given
}

var shapes sync.Map // from reflect.Type to *shape

// shapeOf returns the shape of a struct with keys, or nil for other types.
func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	if t.Kind() != reflect.Struct || isScalar(t) || reflect.PointerTo(t).Implements(unionType) {
		return nil
	}
	s := &shape{}
	if choice, ok := reflect.Zero(t).Interface().(Choice); ok {
		s.only = true
		for _, k := range choice.Kinds() {
			s.fields = append(s.fields, &Field{Key: k.Key, Name: k.Settings.Name(), Type: reflect.PointerTo(k.Settings), index: -1})
		}
	}
	for f := range t.Fields() {
		key, ok := f.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		x := &Field{
			Key: key, Name: t.Name() + "." + f.Name, Type: f.Type, Required: f.Tag.Get("required") == "true",
			Min: f.Tag.Get("min"), Max: f.Tag.Get("max"), Example: f.Tag.Get("example"), Secret: f.Tag.Get("secret"),
			hidden: reflect.PointerTo(f.Type).Implements(hiddenType),
			short:  f.Tag.Get("short") == "true", id: f.Tag.Get("id") == "true", made: f.Tag.Get("made") == "true", index: f.Index[0],
			expression: f.Tag.Get("expression") == "true",
		}
		x.Default, x.hasDefault = f.Tag.Lookup("default")
		if enum := f.Tag.Get("enum"); enum != "" {
			x.Enum = strings.Split(enum, "|")
		}
		s.only = s.only || f.Tag.Get("only") == "one"
		s.fields = append(s.fields, x)
	}
	shapes.Store(t, s)
	return s
}

// slot returns the field's value in a struct. If the field is a kind of a Choice, the value is a copy, which [Field.keep] stores.
func (f *Field) slot(v reflect.Value) reflect.Value {
	if f.index >= 0 {
		return v.Field(f.index)
	}
	slot := reflect.New(f.Type).Elem()
	if v.FieldByName("Kind").String() == f.Key {
		slot.Set(v.FieldByName("Settings").Elem())
	}
	return slot
}

// store stores a value that was returned by slot, if it is a kind of a Choice and was set.
func (f *Field) store(v, slot reflect.Value) {
	if f.index >= 0 || slot.IsNil() {
		return
	}
	if old := f.slot(v); old.IsNil() || old.Pointer() != slot.Pointer() {
		v.FieldByName("Kind").SetString(f.Key)
		v.FieldByName("Settings").Set(slot)
	}
}

// lookup returns the field that a key sets, or nil if there is no such key, and whether the key names a file that contains the value.
func (s *shape) lookup(key string) (f *Field, fromFile bool) {
	for _, f := range s.fields {
		if f.Key == key {
			return f, false
		}
		if f.hidden && f.Key+fileSuffix == key {
			return f, true
		}
	}
	return nil, false
}

// keys returns the keys that are allowed in a document.
func (s *shape) keys() []string {
	var keys []string
	for _, f := range s.fields {
		keys = append(keys, f.Key)
		if f.hidden {
			keys = append(keys, f.Key+fileSuffix)
		}
	}
	return keys
}

// fileSuffix turns the key of a value into the key of a file that contains it.
const fileSuffix = "_file"

var (
	unionType  = reflect.TypeFor[Union]()
	hiddenType = reflect.TypeFor[Hidden]()
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isScalar reports whether a type unmarshals itself from a single value.
func isScalar(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// isLeaf reports whether a type is a single value in a document.
func isLeaf(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Float64:
		return true
	}
	return isScalar(t)
}

// unionOf returns v as a Union, or nil if it is not one.
func unionOf(v reflect.Value) Union {
	if v.CanAddr() {
		u, _ := v.Addr().Interface().(Union)
		return u
	}
	return nil
}

// describe returns the descriptions of a type, as described.Describe does.
func describe(t reflect.Type) (label, want string) {
	if x, ok := reflect.New(t).Interface().(described); ok {
		return x.Describe()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return describe(t.Elem())
	case reflect.Slice:
		label, _ = describe(t.Elem())
		return "list of " + strings.TrimSuffix(label, "s") + "s", "a list"
	case reflect.Map:
		if t.Elem().Kind() == reflect.Pointer {
			return "mappings by name", "a mapping of names"
		}
		return "mapping", "a mapping of names"
	case reflect.Struct:
		if keys := shapeOf(t).keys(); len(keys) > 0 {
			return "mapping", "a mapping with " + OneOf(keys)
		}
		return "mapping", "nothing, or {}"
	case reflect.Bool:
		return "true or false", "true or false"
	case reflect.Int:
		return "whole number", "a whole number"
	case reflect.Float64:
		return "number", "a number"
	}
	return "text", "text"
}

// Expected returns a description of the values of type T for messages.
func Expected[T any]() string { return wantOf(reflect.TypeFor[T]()) }

func wantOf(t reflect.Type) string {
	_, want := describe(t)
	return want
}

// SetDefaults sets the struct that p points to, and the structs in it, to their defaults.
func SetDefaults(p any) { setDefaults(reflect.ValueOf(p).Elem()) }

func setDefaults(v reflect.Value) {
	s := shapeOf(v.Type())
	if s == nil {
		return
	}
	for _, f := range s.fields {
		switch {
		case f.hasDefault:
			if err := setText(v.Field(f.index), f.Default); err != nil {
				panic(fmt.Sprintf("tree: the default of %s: %v", f.Name, err)) // the tag is not valid
			}
		case f.index >= 0:
			setDefaults(v.Field(f.index))
		}
	}
}

// fresh returns a value of a type, set to its defaults.
func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	setDefaults(v)
	return v
}
