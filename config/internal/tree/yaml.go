package tree

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// kind is the kind of a value in a document.
type kind int

const (
	null kind = iota
	scalar
	list
	mapping
)

func (k kind) String() string {
	return [...]string{"nothing", "one value", "a list", "a mapping"}[k]
}

// given is a value of a document, with anchors, aliases and merges resolved.
type given struct {
	kind    kind
	at      Pos
	text    string   // the text of a scalar, without quotes, escapes and folding
	quoted  bool     // the scalar is a string, because it has quotes or is a block
	value   any      // the scalar as the type that YAML infers, for fields without a type of their own
	chars   *textPos // the position of the text; nil if the lines of the file do not contain it unchanged
	items   []*given // the items of a list
	entries []entry  // the entries of a mapping, with each key once
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	at    Pos
	value *given
}

// textPos is the position of the first character of a text.
type textPos struct {
	start Pos
	block bool // each line of the text is a line of the file
}

// reader converts the nodes of the YAML library to given values.
type reader struct {
	file    string
	fixed   *Pos // the position of all values, for a text that is not in a file
	lines   lines
	anchors map[string]*given // the values of anchors that have been read completely
	report  func(*Problem)
	depth   int
}

// read returns the value of a document, or nil if the document is empty. It returns a problem if nothing can be decoded, and calls report
// for any other problem.
func read(text []byte, name string, fixed *Pos, report func(*Problem)) (*given, *Problem) {
	body, lines, problem := parse(text, name)
	if problem != nil || body == nil {
		return nil, problem
	}
	r := &reader{file: name, fixed: fixed, lines: lines, anchors: map[string]*given{}, report: report}
	return r.value(body, ""), nil
}

// at returns the position of a node.
func (r *reader) at(n ast.Node) Pos {
	if r.fixed != nil {
		return *r.fixed
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key // the token of a mapping is its first colon
	}
	return r.lines.place(r.file, n.GetToken())
}

func (r *reader) problem(n ast.Node, path, text, want string) {
	r.report(&Problem{Pos: r.at(n), Path: path, Text: text, Want: want})
}

// value converts a node. It reports a problem and returns nil if the node cannot be converted.
func (r *reader) value(n ast.Node, path string) *given {
	if r.depth++; r.depth > maxDepth {
		r.problem(n, "", "the nesting is too deep", "")
		return nil
	}
	defer func() { r.depth-- }()
	switch x := n.(type) {
	case *ast.AnchorNode:
		g := r.value(x.Value, path)
		r.anchors[x.Name.GetToken().Value] = g // after reading the value, because an alias inside its own anchor would be infinite
		return g
	case *ast.AliasNode:
		name := x.Value.GetToken().Value
		g, ok := r.anchors[name]
		if !ok {
			r.problem(n, path, fmt.Sprintf("there is no anchor &%s before this", name), "")
		}
		return g
	case *ast.TagNode:
		r.problem(n, path, "tags are not supported here", "")
		return nil
	case nil, *ast.NullNode:
		g := &given{}
		if n != nil {
			g.at = r.at(n)
		}
		return g
	case *ast.SequenceNode:
		g := &given{kind: list, at: r.at(n)}
		for i, x := range x.Values {
			g.items = append(g.items, r.value(x, item(path, i)))
		}
		return g
	case *ast.MappingNode:
		return &given{kind: mapping, at: r.at(n), entries: r.entries(x.Values, path)}
	}
	return r.scalar(n)
}

// entries returns the keys of a mapping in order, followed by merged keys ("<<: *name", "<<: [*a, *b]"). Keys of the mapping itself take
// precedence over merged keys, and earlier merged keys over later ones.
func (r *reader) entries(values []*ast.MappingValueNode, path string) []entry {
	var own, merged []entry
	find := func(in []entry, key string) int {
		return slices.IndexFunc(in, func(e entry) bool { return e.key == key })
	}
	for _, v := range values {
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, r.merged(v.Value, path)...)
			continue
		}
		key, ok := keyText(v.Key)
		if !ok {
			r.problem(v.Key, path, "not a key", "a word")
			continue
		}
		if i := find(own, key); i >= 0 {
			r.report(&Problem{Pos: r.at(v.Key), Path: Join(path, key), Text: fmt.Sprintf("the key is repeated: line %d has the same key", own[i].at.Line),
				Hint: "write the key once"})
			continue
		}
		own = append(own, entry{key, r.at(v.Key), r.value(v.Value, Join(path, key))})
	}
	for _, e := range merged {
		if find(own, e.key) < 0 {
			own = append(own, e)
		}
	}
	return own
}

// merged returns the keys of a mapping, or of all mappings in a list.
func (r *reader) merged(n ast.Node, path string) []entry {
	g := r.value(n, path)
	if g == nil {
		return nil
	}
	all := g.entries
	for _, part := range g.items {
		if part != nil && part.kind == mapping {
			all = append(all[:len(all):len(all)], part.entries...)
		}
	}
	if g.kind != mapping && g.kind != list {
		r.problem(n, path, "<< needs a mapping", "")
	}
	return all
}

// keyText returns the text of a key without quotes.
func keyText(n ast.MapKeyNode) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return x.GetToken().Value, true
	}
	return "", false
}

// scalar converts a scalar.
func (r *reader) scalar(n ast.Node) *given {
	g := &given{kind: scalar, at: r.at(n), text: n.GetToken().Value}
	g.value = g.text
	switch x := n.(type) {
	case *ast.StringNode:
		g.text, g.value = x.Value, x.Value
		g.quoted = x.Token.Type == token.SingleQuoteType || x.Token.Type == token.DoubleQuoteType
		start := g.at
		if g.quoted {
			start.Column++
		}
		g.chars = &textPos{start, false}
	case *ast.LiteralNode:
		g.text, g.value, g.quoted = x.Value.Value, x.Value.Value, true
		if x.Start != nil && x.Start.Type == token.LiteralType { // the columns of folded lines are not known
			first, _, _ := strings.Cut(strings.TrimLeft(x.Value.GetToken().Origin, "\r\n"), "\n")
			indent := len(first) - len(strings.TrimLeft(first, " "))
			g.chars = &textPos{Pos{g.at.File, g.at.Line + 1, indent + 1}, true}
		}
	case *ast.BoolNode:
		g.value = x.Value
	case *ast.IntegerNode:
		if i, err := strconv.ParseInt(g.text, 0, 64); err == nil {
			g.value = i
		}
	case *ast.FloatNode:
		if f, err := strconv.ParseFloat(g.text, 64); err == nil && !math.IsInf(f, 0) {
			g.value = f
		}
	}
	if r.fixed != nil {
		g.chars = nil
	}
	return g
}

// parse returns the body of the only document in a text, or nil if the document is empty.
func parse(text []byte, name string) (body ast.Node, l lines, problem *Problem) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil, nil, &Problem{Pos: Pos{name, 1, 1}, Text: "the file is UTF-16", Want: "a YAML document in UTF-8"}
	}
	if i := bytes.IndexFunc(text, notYAML); i >= 0 {
		return nil, nil, &Problem{Pos: offset(name, text, i), Text: "not UTF-8 text, or a control character",
			Want: "a YAML document"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // the byte order mark that some editors add
	l = linesOf(text)
	defer func() {
		if r := recover(); r != nil { // the parser panics on some invalid documents
			body, problem = nil, &Problem{Pos: Pos{name, 1, 1}, Text: fmt.Sprint("the YAML cannot be parsed: ", r), Want: "a YAML document"}
		}
	}()
	if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > maxBrackets {
		return nil, nil, &Problem{Pos: Pos{name, 1, 1}, Text: fmt.Sprintf("there are more than %d brackets and braces", maxBrackets)}
	}
	tokens := lexer.Tokenize(string(text))
	if problem := checkSize(tokens, name, l); problem != nil {
		return nil, nil, problem
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, nil, syntaxProblem(err, name, l, text)
	}
	for _, doc := range file.Docs {
		switch b := doc.Body.(type) {
		case nil, *ast.NullNode:
			continue
		case *ast.DirectiveNode:
			return nil, nil, &Problem{Pos: l.place(name, b.GetToken()), Text: "directives are not supported here"}
		}
		if body != nil {
			return nil, nil, &Problem{Pos: l.place(name, cmp.Or(doc.Start, doc.Body.GetToken())), Text: "a second document begins here",
				Want: "one document in a file"}
		}
		body = doc.Body
	}
	return body, l, nil
}

// notYAML reports whether a character is not allowed in a YAML document (YAML 1.2.2 §5.1).
func notYAML(r rune) bool {
	return r == '\uFFFD' || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f
}

// syntaxProblem converts an error of the parser.
func syntaxProblem(err error, name string, l lines, text []byte) *Problem {
	p := &Problem{Pos: Pos{name, 1, 1}, Text: "not valid YAML", Want: "a YAML document"}
	var at interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &at) {
		p.Text = "not valid YAML: " + at.GetMessage()
		if strings.Contains(at.GetMessage(), "'\t'") || strings.Contains(at.GetMessage(), "'\\t'") {
			p.Text = "not valid YAML: a tab where only spaces are allowed"
		}
		p.Pos = l.place(name, at.GetToken())
		all := strings.Split(lineEnds.Replace(string(text)), "\n")
		if address, key, column := bracketedAddress(all[:p.Pos.Line-1], all[p.Pos.Line-1]); address != "" {
			p.Pos.Column, p.Path, p.Want = column, key, "the address in quotes: "+Quote(address)
		}
	}
	return p
}

// lines contains the lengths of a document's lines, in characters.
type lines []int

// linesOf returns the lengths of a document's lines.
func linesOf(document []byte) lines {
	var l lines
	for line := range strings.SplitSeq(lineEnds.Replace(string(document)), "\n") {
		l = append(l, utf8.RuneCountInString(line))
	}
	return l
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// place returns the position of a token. It moves positions after the end of a malformed document, as the parser sometimes returns
// them, into the document.
func (l lines) place(file string, t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return Pos{file, 1, 1}
	}
	line := min(max(t.Position.Line, 1), len(l))
	return Pos{file, line, min(max(t.Position.Column, 1), l[line-1]+1)}
}

// offset returns the position of the byte with index i.
func offset(name string, text []byte, i int) Pos {
	l := linesOf(text[:i])
	return Pos{name, len(l), l[len(l)-1] + 1}
}
