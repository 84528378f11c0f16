package gateway

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
)

// endpointPath returns the path of an endpoint's setting in the configuration.
func endpointPath(i int, key string) string { return fmt.Sprintf("endpoints[%d].%s", i, key) }

// Rules compiles the rules of a configuration's endpoint i. The error is a *config.Error with line and column.
func Rules(cfg *config.Config, i int) (*auth.Rules, error) {
	return newRules(cfg, endpointPath(i, "rules"), cfg.Endpoints[i].Rules)
}

// newRules compiles the rules at a path of the configuration.
func newRules(cfg *config.Config, path string, rules []config.Rule) (*auth.Rules, error) {
	var compiled []auth.Rule
	for _, r := range rules {
		compiled = append(compiled, auth.Rule{Effect: auth.Effect(r.Do == "allow"), If: condition(r)})
	}
	set, err := auth.NewRules(compiled...)
	if err == nil {
		return set, nil
	}
	var problems []*config.Problem
	for _, err := range flatten(err) {
		e, ok := errors.AsType[*auth.RuleError](err)
		if !ok {
			return nil, err
		}
		line, column := e.Line, e.Column
		if prefix(rules[e.Rule]) != "" { // condition puts the prefix on a line of its own, and a parenthesis before the rule
			if line--; line == 1 {
				column--
			}
		}
		at := fmt.Sprintf("%s[%d].when", path, e.Rule)
		text := "the rule cannot be used: " + strings.TrimSpace(e.Message)
		if strings.HasSuffix(text, `unexpected token Operator("=")`) {
			text += "; did you mean ==?"
		}
		if line < 1 {
			problems = append(problems, cfg.Problem(at, text, "a condition in the language of expr"))
			continue
		}
		problems = append(problems, cfg.ProblemIn(at, line, max(column, 1), text, ""))
	}
	return nil, config.NewError(problems)
}

// flatten returns the joined errors.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// condition returns the complete condition of a rule, including its actions and channels.
func condition(r config.Rule) string {
	when := r.When
	if strings.TrimSpace(when) == "" {
		when = "true"
	}
	if p := prefix(r); p != "" {
		return p + " and\n(" + when + "\n)"
	}
	return when
}

// prefix returns the condition for the actions and channels of a rule, in one line.
func prefix(r config.Rule) string {
	var parts []string
	if len(r.Actions) > 0 {
		quoted := make([]string, len(r.Actions))
		for i, a := range r.Actions {
			quoted[i] = strconv.Quote(a)
		}
		parts = append(parts, "action in ["+strings.Join(quoted, ", ")+"]")
	}
	if len(r.Channels) > 0 {
		patterns := make([]string, len(r.Channels))
		for i, c := range r.Channels {
			patterns[i] = strings.ReplaceAll(regexp.QuoteMeta(c), `\*`, ".*")
		}
		parts = append(parts, `channel != "" and channel matches `+strconv.Quote("^(?s:"+strings.Join(patterns, "|")+")$"))
	}
	return strings.Join(parts, " and ")
}
