package auth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// Effect is the decision of a rule that applies.
type Effect bool

// The effects. The zero value is the safe one.
const (
	Deny  Effect = false
	Allow Effect = true
)

// String returns "deny" or "allow".
func (e Effect) String() string {
	if e {
		return "allow"
	}
	return "deny"
}

// Rule allows or denies the actions for which its condition is true.
type Rule struct {
	// Name is for the log. It may be empty: the log also contains the rule's number and condition.
	Name string

	// Effect is the decision if the condition is true.
	Effect Effect

	// If is the condition, an expression that is true or false (https://expr-lang.org/docs/language-definition). It can use
	//
	//	user      the subject                                  text
	//	method    how it was authenticated, such as "jwt"      text
	//	claims    the other claims of the credential           claims.email, claims["https://example.com/role"]
	//	action    "connect", or the action on a channel:       text
	//	          "subscribe", "publish", "presence", "history"
	//	endpoint  the endpoint's name                          text
	//	channel   the channel's name, or "" for "connect"      text
	//
	// A missing claim and its members are nil. A nil value contains nothing and is equal only to nil; startsWith, endsWith,
	// contains and matches are false for it. Any other use of a nil value fails, and a condition that fails denies the action;
	// claims.level ?? 0 always has a value. "true" applies to everything. "" is an error.
	//
	// A prefix is not a whole name: channel startsWith "team-" + user also admits ann to team-annabel. Compare the whole name, or
	// include the separator that ends it: channel startsWith "team-" + user + "/".
	//
	// When a client connects, the rules are evaluated with an empty channel: a rule that denies some channels should also check the
	// action.
	If string
}

// Rules are an ordered list of rules: the first whose condition is true decides. If there is none, the action is denied; without
// any rules "connect" is allowed and everything else denied. A condition that fails to evaluate denies, whatever the effect of its
// rule. Rules may be used by multiple goroutines concurrently.
type Rules struct{ rules []compiled }

// compiled is a rule that can be evaluated.
type compiled struct {
	Rule
	label   string // for the operator: number, name, effect and condition
	program *vm.Program
	always  bool // the condition is the literal true, and need not be evaluated
}

// RuleError is an error in a condition.
type RuleError struct {
	Rule         int    // index of the rule in the arguments of NewRules
	Name         string // name of the rule, or "" if it has none
	Line, Column int    // position in the condition, both from 1; 0 means the whole condition
	Message      string // the error in the condition
}

// Error returns the rule, the position and the message.
func (e *RuleError) Error() string {
	s := "auth: rule " + strconv.Itoa(e.Rule+1)
	if e.Name != "" {
		s += " (" + e.Name + ")"
	}
	if e.Line > 0 {
		s += ", line " + strconv.Itoa(e.Line) + ", column " + strconv.Itoa(e.Column)
	}
	return s + ": " + e.Message
}

// NewRules compiles rules. The error joins a [*RuleError] for every invalid condition: one that is not an expression, uses
// unknown names, is not of type bool, or could take a long time. The slice is copied.
func NewRules(rules ...Rule) (*Rules, error) {
	var r Rules
	var errs []error
	for i, rule := range rules {
		program, err := compileRule(rule.If)
		if err != nil {
			err.Rule, err.Name = i, rule.Name
			errs = append(errs, err)
			continue
		}
		label := "rule " + strconv.Itoa(i+1)
		if rule.Name != "" {
			label += " (" + rule.Name + ")"
		}
		label += ", " + rule.Effect.String() + ": " + rule.If
		r.rules = append(r.rules, compiled{
			Rule: rule, label: label, program: program, always: strings.TrimSpace(rule.If) == "true",
		})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &r, nil
}

// Decision is the decision of rules on an action, with the reason.
type Decision struct {
	Allowed bool   // the action is allowed
	Rule    int    // the index of the deciding rule; -1 means there was none
	Name    string // name of the deciding rule; may be empty
	Reason  string // for the operator: the rule by number, name, effect and condition, and its error if it failed
}

// Denied is the cause of the [*Error] with which Rules deny an action.
type Denied struct {
	Decision Decision
	Action   Action
	Subject  string
}

// Error returns the denied action, its subject, and the rule that decided.
func (d *Denied) Error() string {
	s := fmt.Sprintf("%.100q may not %s", d.Subject, d.Action.Do)
	if d.Action.Channel != "" {
		s += fmt.Sprintf(" to the channel %.100q", d.Action.Channel)
	}
	if d.Action.Endpoint != "" {
		s += fmt.Sprintf(" at the endpoint %q", d.Action.Endpoint)
	}
	return s + ": " + d.Decision.Reason
}

// Authorize is like Decide, but also returns an error if the action is denied: an [*Error] whose cause is a [*Denied].
func (r *Rules) Authorize(id *Identity, a Action) (Decision, error) {
	d := r.Decide(id, a)
	if d.Allowed {
		return d, nil
	}
	denied := &Denied{Decision: d, Action: a}
	if id != nil {
		denied.Subject = id.Subject
	}
	return d, Forbidden(denied)
}

// Decide decides whether an identity may perform an action, and by which rule. A nil identity may perform none.
func (r *Rules) Decide(id *Identity, a Action) Decision {
	switch {
	case id == nil:
		return Decision{Rule: -1, Reason: "the client is unknown"}
	case len(r.rules) == 0:
		return Decision{Rule: -1, Allowed: a.Do == "connect", Reason: "there are no rules"}
	}
	if first := &r.rules[0]; first.always {
		return first.applies(0)
	}
	e := evaluators.Get().(*evaluator)
	e.set(id, a)
	d := r.decide(e)
	e.clear()
	evaluators.Put(e)
	return d
}

// applies returns the decision of a rule whose condition is true.
func (c *compiled) applies(i int) Decision {
	return Decision{Rule: i, Name: c.Name, Allowed: c.Effect == Allow, Reason: c.label}
}

func (r *Rules) decide(e *evaluator) Decision {
	for i := range r.rules {
		rule := &r.rules[i]
		yes, err := e.run(rule.program)
		switch {
		case err != nil:
			return Decision{Rule: i, Name: rule.Name, Reason: rule.label + " cannot be evaluated, so the action is denied: " + err.Error()}
		case yes:
			return rule.applies(i)
		}
	}
	return Decision{Rule: -1, Reason: "no rule applies"}
}

// evaluator evaluates conditions. It contains a virtual machine and the variables of a condition, and is reused to make decisions
// cheap.
type evaluator struct {
	vm     vm.VM
	env    map[string]any
	budget budget
}

var evaluators = sync.Pool{New: func() any {
	e := &evaluator{vm: vm.VM{MemoryBudget: ruleMemory}}
	e.env = e.budget.functions()
	return e
}}

// noClaims are the claims of an identity that has none.
var noClaims = map[string]any{}

func (e *evaluator) set(id *Identity, a Action) {
	e.env["user"] = id.Subject
	e.env["method"] = id.Method
	e.env["claims"] = id.Claims
	if id.Claims == nil {
		e.env["claims"] = noClaims
	}
	e.env["action"] = a.Do
	e.env["endpoint"] = a.Endpoint
	e.env["channel"] = a.Channel
}

// clear removes the references to the identity and the action.
func (e *evaluator) clear() {
	e.set(&Identity{}, Action{})
	stack := e.vm.Stack[:cap(e.vm.Stack)]
	clear(stack)
	e.vm = vm.VM{MemoryBudget: ruleMemory, Stack: stack[:0]}
}

// run evaluates one condition. A panic of the virtual machine is returned as an error.
func (e *evaluator) run(p *vm.Program) (bool, error) {
	e.budget.left = ruleBudget
	v, err := e.vm.Run(p, e.env)
	if err != nil {
		if at, ok := errors.AsType[*file.Error](err); ok { // Message does not repeat the condition, which the caller knows
			err = errors.New(at.Message)
		}
		return false, err
	}
	yes, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("the condition is not a bool but of type %T", v)
	}
	return yes, nil
}
