package tree

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Comments are the comments on types and fields, keyed by "Type" and "Type.Field", each on one line.
type Comments map[string]string

// ReadComments reads the comments from the Go files at the root of a file system.
func ReadComments(files fs.FS) (Comments, error) {
	all := Comments{}
	names, err := fs.Glob(files, "*.go")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.TYPE {
				for _, spec := range gen.Specs {
					all.add(gen, spec.(*ast.TypeSpec))
				}
			}
		}
	}
	return all, nil
}

// add adds the comments of one struct.
func (c Comments) add(gen *ast.GenDecl, spec *ast.TypeSpec) {
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	name := spec.Name.Name
	c[name] = sentence(name, strings.Join(strings.Fields(cmpDoc(spec.Doc, gen.Doc).Text()), " "))
	for _, f := range s.Fields.List {
		for _, field := range f.Names {
			c[name+"."+field.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
	}
}

func cmpDoc(a, b *ast.CommentGroup) *ast.CommentGroup {
	if a != nil {
		return a
	}
	return b
}

// sentence returns the comment on a type without the name of the type at its beginning.
func sentence(name, text string) string {
	rest, ok := strings.CutPrefix(text, name+" ")
	if !ok {
		return text
	}
	for _, verb := range []string{"is ", "are ", "says "} {
		if s, ok := strings.CutPrefix(rest, verb); ok {
			rest = s
		}
	}
	r, n := utf8.DecodeRuneInString(rest)
	return string(unicode.ToUpper(r)) + rest[n:]
}

// section is a part of the reference, with the keys of one struct.
type section struct {
	path   string // "listen[].tls"; "" for the root
	text   string // the comment on the section's key
	fields []*Field
	name   string // the name of the type
	same   string // the path of the section that explains the same keys; "" if this section does
}

// Reference is the documentation of all keys.
type Reference struct {
	sections []section
	comments Comments
}

// NewReference returns the reference of the struct that root points to, whose value does not matter.
func NewReference(root any, c Comments) *Reference {
	return &Reference{sectionsOf(reflect.TypeOf(root).Elem(), c), c}
}

// sectionsOf returns all sections, in the order of the structs.
func sectionsOf(root reflect.Type, c Comments) []section {
	var list []section
	first, texts := map[reflect.Type]string{}, map[string]string{}
	visitTypes(root, func(n node) bool {
		if n.field != nil {
			texts[n.path] = c[n.field.Name]
		} else {
			texts[n.path] = texts[parent(n.path)]
		}
		if unionOf(n.value) != nil {
			return false
		}
		t := below(n.value)
		s := shapeOf(t)
		if s == nil || n.value.Kind() == reflect.Slice || n.value.Kind() == reflect.Map {
			return true
		}
		x := section{path: n.path, text: texts[n.path], fields: s.fields, name: t.Name()}
		same, known := first[t]
		if known {
			x.same, x.fields = same, nil
		} else {
			first[t] = n.path
		}
		list = append(list, x)
		return !known
	})
	return list
}

// below returns the type of v without pointers.
func below(v reflect.Value) reflect.Type {
	t := v.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// Keys returns the path of every key: "listen[].tls.mode", "auth.*.jwt.secret".
func (r *Reference) Keys() []string {
	var keys []string
	for _, s := range r.sections {
		for _, f := range s.fields {
			keys = append(keys, Join(s.path, f.Key))
		}
	}
	return keys
}

// about returns the comment on a section's type, if it adds enough to the comment on the key.
func (r *Reference) about(s section) string {
	// For a kind of a Choice, the comment on its type is already the comment on the key.
	if text := r.comments[s.name]; s.same == "" && s.path != "" && len(text) >= 90 && text != s.text {
		return text
	}
	return ""
}

// Markdown returns the whole reference.
func (r *Reference) Markdown() string {
	var b strings.Builder
	code := func(s string) string { return "`" + s + "`" }
	for _, s := range r.sections {
		if s.path == "" {
			b.WriteString("\n## Keys\n")
		} else {
			b.WriteString("\n### `" + s.path + "`\n")
		}
		same := ""
		if s.same != "" {
			same = "The keys are those of `" + s.same + "`."
		}
		for _, text := range []string{s.text, r.about(s), same} {
			if text != "" {
				b.WriteString("\n" + wrap(text, "", 120) + "\n")
			}
		}
		if len(s.fields) > 0 {
			b.WriteString("\n")
		}
		for _, f := range s.fields {
			line := "- **`" + f.Key + "`** (" + strings.Join(facts(f, code), ", ") + "): " + r.comments[f.Name]
			b.WriteString(strings.TrimPrefix(wrap(line, "  ", 120), "  ") + "\n")
		}
	}
	return b.String()
}

// Doc returns the part of the reference about a key and about the keys below it, for a terminal. Keys are, for example,
// "endpoints" or "listen.tls.mode"; "" means the whole reference. Brackets, stars and the names of entries may be omitted. If the key
// is unknown, instead contains similar keys.
func (r *Reference) Doc(key string) (text string, instead []string) {
	for _, names := range []bool{false, true} {
		var b strings.Builder
		for _, s := range r.sections {
			if key == "" || matches(s.path, key, true, names) {
				r.writeSection(&b, s)
				continue
			}
			for _, f := range s.fields {
				if p := Join(s.path, f.Key); matches(p, key, false, names) && !r.has(p) {
					r.writeField(&b, f, p)
				}
			}
		}
		if b.Len() > 0 {
			return strings.TrimPrefix(b.String(), "\n"), nil
		}
	}
	last := key[strings.LastIndexByte(key, '.')+1:]
	bare := strings.NewReplacer("[]", "", ".*", "")
	var all []string
	for _, k := range r.Keys() {
		if k[strings.LastIndexByte(k, '.')+1:] == last {
			instead = append(instead, k)
		}
		all = append(all, k, bare.Replace(k))
	}
	if near := Nearest(key, all); len(instead) == 0 && near != "" {
		instead = []string{near}
	}
	return "", instead
}

// has reports whether a key has a section of its own.
func (r *Reference) has(path string) bool {
	return slices.ContainsFunc(r.sections, func(s section) bool { return strings.TrimRight(s.path, "[].*") == path })
}

// matches reports whether key means a path or, if orBelow is true, a part of the path. Brackets, indexes and stars may be missing in
// the key. If names is true, a star in the path matches any name in the key.
func matches(path, key string, orBelow, names bool) bool {
	have := strings.Split(strings.ReplaceAll(path, "[]", ""), ".")
	want := strings.Split(key, ".")
	for i := range want {
		want[i], _, _ = strings.Cut(want[i], "[")
	}
	for i := range have {
		switch {
		case len(want) == 0:
			return orBelow
		case have[i] == want[0] || have[i] == "*" && names:
			want = want[1:]
		case have[i] != "*":
			return false
		}
	}
	return len(want) == 0
}

func (r *Reference) writeSection(b *strings.Builder, s section) {
	if s.path != "" {
		b.WriteString("\n" + s.path + "\n")
	}
	same := ""
	if s.same != "" {
		same = "The keys are those of " + s.same + "."
	}
	for _, text := range []string{s.text, r.about(s), same} {
		if text != "" {
			b.WriteString(wrap(text, "  ", 80) + "\n")
		}
	}
	for _, f := range s.fields {
		r.writeField(b, f, f.Key)
	}
}

func (r *Reference) writeField(b *strings.Builder, f *Field, name string) {
	b.WriteString("\n  " + name + "  (" + strings.Join(facts(f, func(s string) string { return s }), ", ") + ")\n")
	b.WriteString(wrap(r.comments[f.Name], "      ", 80) + "\n")
}

// facts returns what a field's tags define: its type or its values, its bounds, its default.
func facts(f *Field, code func(string) string) []string {
	label, _ := describe(f.Type)
	facts := []string{label}
	if len(f.Enum) > 0 {
		values := slices.Clone(f.Enum)
		for i := range values {
			values[i] = code(values[i])
		}
		facts[0] = OneOf(values)
		if f.Type.Kind() == reflect.Slice {
			facts[0] = "list of " + strings.Join(values, ", ")
		}
	}
	switch {
	case f.Min != "" && f.Max != "":
		facts = append(facts, f.Min+" to "+f.Max)
	case f.Min != "" && f.Min != "0" && f.Min != "0s":
		facts = append(facts, f.Min+" or more")
	}
	switch {
	case f.Required:
		facts = append(facts, "required")
	case f.Default != "":
		facts = append(facts, "default "+code(f.Default))
	}
	if f.hidden {
		facts = append(facts, "or "+code(f.Key+fileSuffix))
	}
	return facts
}

// wrap wraps a text to lines of at most width columns, each with an indent.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
			b.WriteString(indent + word)
			column = len(indent) + n
		case column+1+n > width:
			b.WriteString("\n" + indent + word)
			column = len(indent) + n
		default:
			b.WriteString(" " + word)
			column += 1 + n
		}
	}
	return b.String()
}
