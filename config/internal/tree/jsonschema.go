package tree

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
)

// schema is a JSON Schema, or a part of one.
type schema map[string]any

// schemaWriter generates a JSON Schema from types. Each struct becomes a definition.
type schemaWriter struct {
	comments Comments
	defs     schema
}

// Schema returns a JSON Schema (draft 2020-12) for the documents of the struct that root points to.
func Schema(root any, title string, c Comments) string {
	w := &schemaWriter{c, schema{}}
	s := w.schemaOf(reflect.TypeOf(root).Elem())
	s["$schema"], s["title"], s["$defs"] = "https://json-schema.org/draft/2020-12/schema", title, w.defs
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("tree: " + err.Error()) // all values can be encoded
	}
	return string(b) + "\n"
}

// offSchema is the schema for the word off without quotes, which YAML 1.1 reads as false.
var offSchema = schema{"const": false}

// schemaOf returns the schema of a type.
func (w *schemaWriter) schemaOf(t reflect.Type) schema {
	v := reflect.New(t)
	switch u := v.Interface().(type) {
	case Union:
		return schema{"anyOf": []schema{{"type": []string{"string", "boolean"}}, w.schemaOf(reflect.TypeOf(u.Parts()).Elem())}}
	case Scalar:
		_, want := u.Describe()
		return schema{"type": []string{"string", "number", "boolean"}, "description": want}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.schemaOf(t.Elem())
	case reflect.Slice:
		return schema{"type": "array", "items": w.schemaOf(t.Elem())}
	case reflect.Map:
		return schema{"type": []string{"object", "null"}, "additionalProperties": w.schemaOf(t.Elem())}
	case reflect.Interface:
		return schema{}
	case reflect.Bool:
		return schema{"anyOf": []schema{{"type": "boolean"}, {"enum": []string{"yes", "no", "on", "off"}}}}
	case reflect.Int:
		return schema{"type": "integer"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.String:
		return schema{"type": []string{"string", "number", "boolean"}} // a number or a boolean without quotes is accepted as text
	}
	return w.reference(t)
}

// reference returns a reference to the definition of a struct, or to its short form.
func (w *schemaWriter) reference(t reflect.Type) schema {
	name := t.Name()
	ref := schema{"$ref": "#/$defs/" + name}
	if _, known := w.defs[name]; known {
		return ref
	}
	def := schema{}
	w.defs[name] = def // before the fields are visited, because types may be recursive
	s := shapeOf(t)
	properties, required, words := schema{}, []string{}, []schema{{"type": "null"}}
	for _, f := range s.fields {
		x := w.field(f)
		properties[f.Key] = x
		if f.hidden {
			properties[f.Key+fileSuffix] = schema{"type": "string", "description": "A file that holds " + f.Key + "."}
		}
		if f.Required && !f.hidden {
			required = append(required, f.Key)
		}
		if f.short {
			words = append(words, w.field(f))
		}
		if s.only {
			words = append(words, schema{"const": f.Key})
		}
	}
	object := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		object["required"] = required
	}
	def["anyOf"] = append([]schema{object}, words...)
	return ref
}

// field returns the schema of a key.
func (w *schemaWriter) field(f *Field) schema {
	x := w.schemaOf(f.Type)
	if text := w.comments[f.Name]; text != "" {
		x["description"] = text
	}
	if len(f.Enum) > 0 {
		values := schema{"enum": enumValues(f)}
		switch {
		case f.Type.Kind() == reflect.Slice:
			x["items"] = values
		case slices.Contains(f.Enum, "off"):
			delete(x, "type")
			x["anyOf"] = []schema{values, offSchema, {"enum": []string{"no"}}}
		default:
			delete(x, "type")
			x["enum"] = values["enum"]
		}
	}
	if f.Type.Kind() == reflect.Int || f.Type.Kind() == reflect.Float64 {
		for key, text := range map[string]string{"minimum": f.Min, "maximum": f.Max} {
			if n, err := strconv.ParseFloat(text, 64); err == nil {
				x[key] = n
			}
		}
	}
	if f.Default != "" && f.Type.Kind() != reflect.Slice {
		x["default"] = defaultOf(f)
	}
	return x
}

// enumValues returns the values of a key as they may appear in a document: 1.2 and 1001 are numbers in JSON.
func enumValues(f *Field) []any {
	var values []any
	for _, text := range f.Enum {
		if f.Type.Kind() != reflect.Int {
			values = append(values, text)
		}
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			values = append(values, n)
		}
	}
	return values
}

// defaultOf returns the default of a key.
func defaultOf(f *Field) any {
	v := reflect.New(f.Type).Elem()
	if err := setText(v, f.Default); err != nil {
		panic(fmt.Sprintf("tree: the default of %s: %v", f.Name, err)) // the tag is not valid
	}
	switch v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Float64:
		if !isScalar(f.Type) {
			return v.Interface()
		}
	}
	return f.Default
}
