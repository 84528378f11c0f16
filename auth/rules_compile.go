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

// The limits on the cost of a condition. A token has at most 16 KiB, which limits a loop over a claim. Nested loops are not
// allowed.
const (
	ruleLength = 8 << 10 // bytes of a condition
	ruleNodes  = 500     // nodes of the tree of a condition
	ruleMemory = 20_000  // list elements that an evaluation creates
)

// ruleEnv contains the types of the names in [Rule.If].
var ruleEnv = map[string]any{"user": "", "method": "", "claims": map[string]any{}, "action": "", "endpoint": "", "channel": ""}

// ruleFunctions are the functions that a condition may call. Functions that read the clock are excluded, so that a decision depends
// only on its arguments. Functions that produce large results from small arguments are also excluded.
var ruleFunctions = []string{"all", "any", "none", "one", "count", "filter", "find", "map", "len", "type", "int", "float",
	"string", "trim", "trimPrefix", "trimSuffix", "upper", "lower", "split", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
	"first", "last", "get", "keys", "values"}

// compileRule compiles a condition. The error does not name the rule.
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
	if kind, ok := strings.CutPrefix(message, "expected bool, but got "); ok { // an error of the whole condition
		message = "the condition is not a bool but " + kind
		if kind == "unknown" || kind == "interface {}" {
			message = "the type of the condition is unknown; compare the value, as in claims.admin == true"
		}
	}
	return nil, &RuleError{Line: 1, Column: 1, Message: message}
}

// ruleBounds walks the tree of a condition. It refuses expressions that could take a long time, and makes every access to a
// claim optional, so that members of a missing claim are nil.
type ruleBounds struct {
	err      *file.Error
	patterns int // instructions of all patterns
}

// Visit implements [ast.Visitor]; the children of a node are visited before it.
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
		if !slices.Contains(ruleFunctions, n.Name) { // for example reduce, which the language's options cannot disable
			b.refuse(n, "there is no function "+n.Name)
		}
	case *ast.VariableDeclaratorNode: // let a = user + user; let b = a + a; ...
		b.refuse(n, "let is not allowed")
	case *ast.CallNode:
		b.refuse(n, "there is no such function")
	}
	b.spend(node)
}

// refuse records the first error.
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
