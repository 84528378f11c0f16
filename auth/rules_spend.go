package auth

import (
	"errors"
	"reflect"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
)

// The language limits only the number of list elements, so that a condition could turn a word into gigabytes of text. Therefore
// each evaluation has a budget in bytes, for the strings that it creates and the values that it traverses. The compiler wraps each
// operand or result that may be large or slow in a call of one of these functions, whose names cannot occur in a condition.
const (
	spendText  = "spend text"  // func(string) string
	spendValue = "spend value" // func(any) any
	spendMatch = "spend match" // func(any, any) any: for text, and the number of instructions of the pattern it is matched against
	spendParts = "spend parts" // func(any) any: for text that is split into a list
)

const (
	ruleBudget = 1 << 20 // bytes per evaluation

	// rulePattern limits the compiled size of all patterns of a condition, in instructions. A match costs the product of the
	// lengths of the text and the program, divided by patternStep, the number of instructions that take about as long as copying
	// one byte.
	rulePattern = 20_000
	patternStep = 16

	partSize = 16 // the size of a list element in bytes, without its content
)

var errRuleBudget = errors.New("the condition creates or traverses more than a megabyte")

// budget is the remaining budget of one evaluation.
type budget struct{ left int }

// take spends n bytes. It panics if too few are left; the language returns the panic as an error of the evaluation, which denies.
func (b *budget) take(n int) {
	if b.left -= n; b.left < 0 {
		panic(errRuleBudget)
	}
}

// functions returns the functions that spend the budget, by name.
func (b *budget) functions() map[string]any {
	return map[string]any{
		spendText:  func(s string) string { b.take(len(s)); return s },
		spendValue: func(v any) any { b.takeSize(v); return v },
		spendParts: func(v any) any { b.takeTimes(v, partSize); return v },
		spendMatch: func(v, size any) any { b.takeTimes(v, 1+size.(int)/patternStep); return v },
	}
}

// takeTimes spends n times the length of a string. Other values cost nothing here.
func (b *budget) takeTimes(v any, n int) {
	if s, ok := v.(string); ok {
		b.take(n * len(s))
	}
}

// takeSize spends the size of a value.
func (b *budget) takeSize(v any) {
	b.take(1)
	switch v := v.(type) {
	case string:
		b.take(len(v))
	case []any:
		b.take(partSize * len(v))
		for _, e := range v {
			b.takeSize(e)
		}
	case []string:
		for _, s := range v {
			b.take(partSize + len(s))
		}
	case map[string]any:
		for k, e := range v {
			b.take(2*partSize + len(k))
			b.takeSize(e)
		}
	case []int:
		b.take(len(v))
	}
}

// spendWrappers maps each function that copies its first argument, or traverses all of it, to the function that wraps the argument.
var spendWrappers = map[string]string{
	"len": spendValue, "string": spendValue, "upper": spendText, "lower": spendText, "trim": spendText, "indexOf": spendText,
	"lastIndexOf": spendText, "split": spendParts, "keys": spendValue, "values": spendValue, "int": spendValue, "float": spendValue,
}

// spend wraps the operands or the result of a node that may be large or slow.
func (b *ruleBounds) spend(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BuiltinNode:
		if name := spendWrappers[n.Name]; name != "" && len(n.Arguments) > 0 {
			wrapCall(&n.Arguments[0], name)
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "+":
			if !isNumber(n.Left) || !isNumber(n.Right) {
				wrapCall(node, spendText)
			}
		case "contains", "startsWith", "endsWith":
			wrapCall(&n.Left, spendText)
		case "matches":
			b.pattern(n)
		case "in", "not in":
			if _, list := n.Right.(*ast.ArrayNode); !list { // a literal list is short
				wrapCall(&n.Right, spendValue)
			}
		case "==", "!=":
			if !isLiteral(n.Left) && !isLiteral(n.Right) {
				wrapCall(&n.Left, spendValue)
				wrapCall(&n.Right, spendValue)
			}
		}
	}
}

// pattern limits the size of a pattern, and wraps the text that is matched against it.
func (b *ruleBounds) pattern(n *ast.BinaryNode) {
	text, ok := n.Right.(*ast.StringNode)
	if !ok {
		b.refuse(n, "the pattern of matches must be a literal, so that it is compiled once")
		return
	}
	size := 0
	if re, err := syntax.Parse(text.Value, syntax.Perl); err == nil { // otherwise the compiler of the language reports the error
		if program, err := syntax.Compile(re.Simplify()); err == nil {
			size = len(program.Inst)
		}
	}
	if b.patterns += size; b.patterns > rulePattern {
		b.refuse(n, "the patterns are too large: with their repetitions written out they have more than 20,000 parts")
	}
	wrapCall(&n.Left, spendMatch, &ast.IntegerNode{Value: size})
}

// wrapCall wraps a node in a call of a function. For the type check, strings stay strings, and every other type becomes any.
func wrapCall(node *ast.Node, name string, more ...ast.Node) {
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

// isLiteral reports whether a node is a literal.
func isLiteral(n ast.Node) bool {
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
