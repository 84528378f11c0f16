package config

import (
	"strings"
	"testing"
)

func TestParseCases(t *testing.T) {
	cases, err := ParseCases("cases.yaml", []byte("- {user: alice, claims: {roles: [admin]}, expect: allow}\n- name: b\n  do: publish\n  expect: deny\n"))
	if err != nil || len(cases) != 2 || cases[0].Do != "connect" || cases[0].Claims["roles"].([]any)[0] != "admin" ||
		cases[1].Name != "b" || cases[1].Pos.String() != "cases.yaml:2:3" {
		t.Errorf("%+v, %v", cases, err)
	}
	for document, want := range map[string]string{
		"":                                "cases.yaml:1:1: the file contains no cases",
		"[":                               "not valid YAML",
		"- {user: alice}\n":               "cases.yaml:1:3: [0].expect: required; expected allow or deny",
		"- {expect: yes}\n":               `"yes" is not an allowed value`,
		"- {expect: allow, usr: alice}\n": "did you mean user?",
		"user: alice\n":                   "this is a mapping; expected a list",
	} {
		if _, err := ParseCases("cases.yaml", []byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", document, err, want)
		}
	}
}

// Problems that Sources.Check returns are reported along with the others.
func TestCheckHook(t *testing.T) {
	file := folder(t, "log: {level: loud}\nendpoints: [{path: /x, target: echo, auth: [anonymous], rules: [{when: 'a +', do: allow}]}]\n")
	_, err := Load(Sources{File: file, Check: func(c *Config) []*Problem {
		return []*Problem{c.ProblemIn("endpoints[0].rules[0].when", 1, 3, "no", "")}
	}})
	if err == nil || !strings.Contains(err.Error(), "handfast.yaml:1:14: log.level") ||
		!strings.Contains(err.Error(), "handfast.yaml:2:75: endpoints[0].rules[0].when: no") {
		t.Error(err)
	}
}
