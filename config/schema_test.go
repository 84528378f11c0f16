package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled returns the compiled schema.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("handfast.schema.json", schema); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("handfast.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON decodes a YAML document as a validator does.
func asJSON(t *testing.T, document string) (any, error) {
	t.Helper()
	var x any
	if err := yaml.Unmarshal([]byte(document), &x); err != nil {
		return nil, err
	}
	b, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
}

// The schema accepts the example, the documents in the tests, and each configuration in the documentation.
func TestSchemaAccepts(t *testing.T) {
	s := compiled(t)
	all := map[string]string{"the example": Example(), "all in use": Default().YAML(), "load_test.go": example,
		"words": "listen: [{address: ':1', tls: false}, {address: ':2', tls: off, redirect_https: yes}]\nadmin: {address: false}\naudit: off\nconsole: on\n"}
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	fence, key := regexp.MustCompile("(?s)\n```yaml\n(.*?)```\n"), regexp.MustCompile(`(?m)^([a-z_]+):`)
	configs := 0
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
			keys := key.FindAllStringSubmatch(m[1], -1)
			if len(keys) == 0 || slices.ContainsFunc(keys, func(k []string) bool { return !slices.Contains(Keys(), k[1]) }) {
				continue // the YAML is not a configuration
			}
			configs++
			all[file+":\n"+m[1]] = m[1]
		}
	}
	if configs < 5 {
		t.Errorf("%d configurations in the documents", configs)
	}
	for name, document := range all {
		x, err := asJSON(t, document)
		if err == nil {
			err = s.Validate(x)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for _, document := range []string{
		"lisen: []", "endpoints: [{path: /x, auth: [anonymous]}]", "endpoints: [{path: /x, target: eco, auth: [anonymous]}]", "log: {level: loud}",
		"log: {level: off}", "limits: {connections: many}", "limits: {connections: -1}", "hub: {namespaces: [{trace: 2}]}", "listen: localhost:8443",
		"audit: nowhere", "auth: {a: {jwt: {algorithms: [none]}}}", "console: perhaps", "drain: {code: 1000}",
	} {
		x, err := asJSON(t, document)
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(x) == nil {
			t.Errorf("%s is accepted", document)
		}
	}
}
