package auth

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// hostileRules are conditions that would take gigabytes, or minutes. Those with a refusal are refused at compile time; the others
// fail at evaluation with the claims of TestHostileRules.
var hostileRules = []struct{ condition, refusal string }{
	{`len(reduce(1..34, #acc + #acc, "x")) > 0`, "no function reduce"},
	{`sum(1..19999, # * 2) > 0`, "no function sum"},
	{`len(groupBy(1..19999, string(#) + claims.text)) > 0`, "no function groupBy"},
	{`len(sortBy(1..19999, string(#) + claims.text)) > 0`, "no function sortBy"},
	{`findIndex(1..19999, # > 1) > 0`, "no function findIndex"},
	{`findLast(1..19999, # > 1) > 0`, "no function findLast"},
	{`len(repeat("x", 1000000000)) > 0`, "repeat"},
	{`len(join(map(1..19999, claims.text), "")) > 0`, "join"},
	{`let a = claims.text + claims.text; let b = a + a; len(b + b) > 0`, "let"},
	{`len(map(1..19999, map(1..19999, #))) > 0`, "nested loops"},
	{`claims.text matches claims.text`, "must be a literal"},
	{strings.Repeat(`claims.text matches "(a{1000}){1}z" or `, 40) + "false", "patterns"},
	{`len(1..2000000000) > 0`, ""},
	{`len(map(1..19999, claims.text + claims.text)) > 0`, ""},
	{`len(map(1..19999, "` + strings.Repeat("literal", 100) + `" + user)) > 0`, ""},
	{`len(map(claims.list, split(claims.text, ""))) > 0`, ""},
	{`len(map(claims.list, upper(claims.text))) > 0`, ""},
	{`len(map(claims.list, string(claims))) > 0`, ""},
	{`len(map(claims.list, keys(claims.map))) > 0`, ""},
	{`any(1..19999, claims.text contains "zz")`, ""},
	{`any(1..19999, claims.text matches "(a|aa)*z")`, ""},
	{`claims.text matches "(a{900}){1}z" or claims.text matches "(a{900}){1}y"`, ""},
	{`any(1..19999, "z" in claims.list)`, ""},
	{`any(1..19999, indexOf(claims.text, "zz") > 0)`, ""},
	{`any(1..19999, claims.list != claims.list2)`, ""},
	{`any(1..19999, len(claims.text) < 1)`, ""},
	{`len(map(1..15000, [#, #])) > 0`, ""},
}

// A condition that would take gigabytes or minutes is refused, or fails and so denies, and allocates little memory.
func TestHostileRules(t *testing.T) {
	claims := map[string]any{"text": strings.Repeat("a", 16<<10), "map": map[string]any{}}
	for _, name := range []string{"list", "list2"} {
		var list []any
		for i := range 5000 {
			list = append(list, i)
		}
		claims[name] = list
	}
	for i := range 1000 {
		claims["map"].(map[string]any)[fmt.Sprint(i)] = i
	}
	id := &Identity{Subject: "ann", Claims: claims}
	for _, tt := range hostileRules {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rules, err := NewRules(Rule{Effect: Deny, If: tt.condition}, Rule{Effect: Allow, If: "true"})
		switch {
		case tt.refusal != "":
			if err == nil || !strings.Contains(err.Error(), tt.refusal) {
				t.Errorf("%.80s: %v, want %q", tt.condition, err, tt.refusal)
			}
		case err != nil:
			t.Errorf("%.80s: %v", tt.condition, err)
		default:
			if d := rules.Decide(id, Action{Do: "connect"}); d.Allowed || !strings.Contains(d.Reason, "cannot be evaluated") || !strings.Contains(d.Reason, "megabyte") && !strings.Contains(d.Reason, "budget") {
				t.Errorf("%.80s: %v %.300s", tt.condition, d.Allowed, d.Reason)
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 128<<20 { // including garbage; with the race detector regexp allocates more
			t.Errorf("%.80s: %d MiB were allocated", tt.condition, n>>20)
		}
	}
}

// The budget is per evaluation: the next evaluation has the whole budget, and ordinary conditions use little of it.
func TestRuleBudget(t *testing.T) {
	roles := make([]any, 200)
	for i := range roles {
		roles[i] = fmt.Sprintf("role-%d", i)
	}
	id := &Identity{Subject: "ann", Claims: map[string]any{"roles": roles, "text": strings.Repeat("a", 16<<10)}}
	rules, err := NewRules(Rule{Effect: Allow, If: `any(claims.roles, channel == "team-" + # + "/") and claims.text matches "^a+$" and
		any(claims.roles, # in claims.roles)`})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if d := rules.Decide(id, Action{Do: "subscribe", Channel: "team-role-199/"}); !d.Allowed {
			t.Fatal(d.Reason)
		}
	}
	// A missing claim matches nothing, not even a pattern for everything.
	rules, err = NewRules(Rule{Effect: Allow, If: `claims.none matches ".*" or claims.none contains "" or claims.none == user`})
	if err != nil {
		t.Fatal(err)
	}
	if d := rules.Decide(id, Action{Do: "connect"}); d.Allowed {
		t.Error(d.Reason)
	}
}
