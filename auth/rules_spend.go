package auth

import (
	"errors"
	"reflect"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
)

// The language counts the elements of lists and nothing else, so that a condition could make gigabytes of text out of a word. What bounds that
// is a budget of each evaluation, in bytes: of the texts that it makes, and of what it has to go through. In the tree of a condition each
// operand or result that is large or slow is put into a call of one of these functions, whose names no condition can contain.
const (
	spendText  = "spend text"  // func(string) string
	spendValue = "spend value" // func(any) any
	spendMatch = "spend match" // func(any, any) any: text that is held to a pattern of so many instructions
	spendParts = "spend parts" // func(any) any: text that becomes a list of its parts
)

const (
	ruleBudget = 1 << 20 // bytes, of each evaluation

	// rulePattern bounds the programs of all patterns of a condition, in instructions. A text is held to a program at a cost of the product of
	// their lengths, of which patternStep are about as much as a byte that is copied.
	rulePattern = 20_000
	patternStep = 16

	partSize = 16 // of an element of a list
)

var errRuleBudget = errors.New("it makes, or goes through, more than a megabyte")

// budget is what is left of an evaluation.
type budget struct{ left int }

// take takes n bytes. The panic becomes an error of the evaluation, which denies.
func (b *budget) take(n int) {
	if b.left -= n; b.left < 0 {
		panic(errRuleBudget)
	}
}

// functions returns what a condition calls with what it spends.
func (b *budget) functions() map[string]any {
	return map[string]any{
		spendText:  func(s string) string { b.take(len(s)); return s },
		spendValue: func(v any) any { b.goThrough(v); return v },
		spendParts: func(v any) any { b.times(v, partSize); return v },
		spendMatch: func(v, size any) any { b.times(v, 1+size.(int)/patternStep); return v },
	}
}

// times takes the size of a text so many times. Other values cost nothing here.
func (b *budget) times(v any, n int) {
	if s, ok := v.(string); ok {
		b.take(n * len(s))
	}
}

// goThrough takes the size of a value.
func (b *budget) goThrough(v any) {
	b.take(1)
	switch v := v.(type) {
	case string:
		b.take(len(v))
	case []any:
		b.take(partSize * len(v))
		for _, e := range v {
			b.goThrough(e)
		}
	case []string:
		for _, s := range v {
			b.take(partSize + len(s))
		}
	case map[string]any:
		for k, e := range v {
			b.take(2*partSize + len(k))
			b.goThrough(e)
		}
	case []int:
		b.take(len(v))
	}
}

// spends says which of the arguments of functions are large or slow, and in what they are put: those that are looked at from the beginning to
// the end, or copied.
var spends = map[string]string{
	"len": spendValue, "string": spendValue, "upper": spendText, "lower": spendText, "trim": spendText, "indexOf": spendText,
	"lastIndexOf": spendText, "split": spendParts, "keys": spendValue, "values": spendValue, "int": spendValue, "float": spendValue,
}

// spend puts what is large or slow about a node into a call.
func (b *ruleBounds) spend(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BuiltinNode:
		if name := spends[n.Name]; name != "" && len(n.Arguments) > 0 {
			put(&n.Arguments[0], name)
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "+":
			if !isNumber(n.Left) || !isNumber(n.Right) {
				put(node, spendText)
			}
		case "contains", "startsWith", "endsWith":
			put(&n.Left, spendText)
		case "matches":
			b.pattern(n)
		case "in", "not in":
			if _, list := n.Right.(*ast.ArrayNode); !list { // one that is written out is short
				put(&n.Right, spendValue)
			}
		case "==", "!=":
			if !written(n.Left) && !written(n.Right) {
				put(&n.Left, spendValue)
				put(&n.Right, spendValue)
			}
		}
	}
}

// pattern bounds the cost of a pattern, and of the text that is held to it.
func (b *ruleBounds) pattern(n *ast.BinaryNode) {
	text, ok := n.Right.(*ast.StringNode)
	if !ok {
		b.refuse(n, "the pattern of matches must be a literal, so that it is compiled once")
		return
	}
	size := 0
	if re, err := syntax.Parse(text.Value, syntax.Perl); err == nil { // else the compiler of the language says what is wrong
		if program, err := syntax.Compile(re.Simplify()); err == nil {
			size = len(program.Inst)
		}
	}
	if b.patterns += size; b.patterns > rulePattern {
		b.refuse(n, "patterns that are too large: with repetitions written out they have more than 20,000 parts")
	}
	put(&n.Left, spendMatch, &ast.IntegerNode{Value: size})
}

// put puts a node into a call. Text stays text to the check of types, and all else is anything.
func put(node *ast.Node, name string, more ...ast.Node) {
	n := *node
	text := n.Type() != nil && n.Type().Kind() == reflect.String
	switch {
	case text && name == spendValue:
		name = spendText
	case !text && name == spendText:
		name = spendValue
	}
	call := &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: append([]ast.Node{n}, more...)}
	ast.Patch(node, call)
}

// written reports whether a node is written out in the condition.
func written(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode, *ast.ConstantNode:
		return true
	}
	return false
}

func isNumber(n ast.Node) bool {
	t := n.Type()
	return t != nil && (t.Kind() == reflect.Int || t.Kind() == reflect.Float64)
}
