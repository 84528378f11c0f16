package auth

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// What bounds the cost of a condition. A token is at most 16 KiB, so that a loop over a claim has an end; loops within loops
// would multiply.
const (
	ruleLength = 8 << 10 // bytes of a condition
	ruleNodes  = 500     // of its tree
	ruleMemory = 20_000  // elements that it makes lists of
)

// ruleEnv gives the names of [Rule.If] their types.
var ruleEnv = map[string]any{"user": "", "method": "", "claims": map[string]any{}, "action": "", "endpoint": "", "channel": ""}

// ruleFunctions are the functions that a condition may call. Left out are those that look at the clock, so that a decision
// depends on nothing but what is asked, and those that make much out of little.
var ruleFunctions = []string{"all", "any", "none", "one", "count", "filter", "find", "map", "len", "type", "int", "float",
	"string", "trim", "trimPrefix", "trimSuffix", "upper", "lower", "split", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
	"first", "last", "get", "keys", "values"}

// compileRule compiles a condition. The error lacks the rule.
func compileRule(condition string) (*vm.Program, *RuleError) {
	switch {
	case strings.TrimSpace(condition) == "":
		return nil, &RuleError{Message: `the condition is empty; "true" matches everything`}
	case len(condition) > ruleLength:
		return nil, &RuleError{Message: "the condition is longer than 8 KiB"}
	}
	var bounds ruleBounds
	env := (&budget{}).functions()
	maps.Copy(env, ruleEnv)
	options := []expr.Option{expr.Env(env), expr.AsBool(), expr.WarnOnAny(), expr.MaxNodes(ruleNodes),
		expr.Patch(&bounds), expr.DisableAllBuiltins()}
	for _, name := range ruleFunctions {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(condition, options...)
	if err == nil && bounds.err != nil {
		err = bounds.err.Bind(file.NewSource(condition))
	}
	if err == nil {
		return program, nil
	}
	if at, ok := errors.AsType[*file.Error](err); ok && at.Line > 0 {
		return nil, &RuleError{Line: at.Line, Column: at.Column + 1, Message: at.Message}
	}
	message := err.Error()
	if kind, ok := strings.CutPrefix(message, "expected bool, but got "); ok { // about the whole of it
		message = "the condition is not a bool but " + kind
		if kind == "unknown" || kind == "interface {}" {
			message = "the condition may be of any type; compare it, as in claims.admin == true"
		}
	}
	return nil, &RuleError{Line: 1, Column: 1, Message: message}
}

// ruleBounds goes through the tree of a condition. It refuses what could take long, and makes every step into a claim
// optional: what is below nothing is nothing.
type ruleBounds struct {
	err      *file.Error
	patterns int // instructions of all of them
}

// Visit implements [ast.Visitor]; what is below a node is visited before it.
func (b *ruleBounds) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		n.Optional = true
		ast.Patch(node, &ast.ChainNode{Node: n})
	case *ast.BuiltinNode:
		var loops loopCounter
		if ast.Walk(node, &loops); loops.n > 1 {
			b.refuse(n, "nested loops are not allowed: they could take too long")
		}
		if !slices.Contains(ruleFunctions, n.Name) { // such as reduce, which no option of the language leaves out
			b.refuse(n, "there is no function "+n.Name)
		}
	case *ast.VariableDeclaratorNode: // let a = user + user; let b = a + a; ...
		b.refuse(n, "let is not allowed")
	case *ast.CallNode:
		b.refuse(n, "there is no such function")
	}
	b.spend(node)
}

// refuse notes the first mistake.
func (b *ruleBounds) refuse(n ast.Node, message string) {
	if b.err == nil {
		b.err = &file.Error{Location: n.Location(), Message: message}
	}
}

// loopCounter counts the loops in a tree.
type loopCounter struct{ n int }

// Visit implements [ast.Visitor].
func (c *loopCounter) Visit(node *ast.Node) {
	if _, ok := (*node).(*ast.PredicateNode); ok {
		c.n++
	}
}
