package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/redact"
)

// FuzzParse checks that the loader does not panic, that every problem has a position within the document, and that an accepted
// document can be printed and read again without a change.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "log:\n", "log: {level: debug}\n", "- a\n", "a: &x {b: *x}\n", "<<: {log: {level: info}}\n", "log: *x\n", "---\n---\n",
		"listen: [{address: ':1', tls: off}]\nlimits: {connections: 5}\r\n", "auth: {a: {jwt: {secret: |\n  x\n}}}\n", "? log\n: {}\n",
		"\ufefflog: {}\n", "\ufeff", "\ufeffx: {}\n", "log: \"\\u00e4\\n\"\n", "store: redis\n", "drain: {delay: 1h, delay: 2h}\n", "{", "%YAML 1.2\n---\nlog: {}\n",
		"trusted_proxies: [10.0.0.0/8, ::1]\nconsole: false\naudit: stdout\n", "endpoints: [{path: /a, target: echo, auth: [anonymous]}]\n",
		"endpoints: [{path: '/{x}/{y...}', target: echo, auth: [anonymous], rules: [{when: >\n   a\n   b\n, do: allow}]}]\n",
		"auth:\n  k:\n    apikey:\n      keys:\n        - {id: a, hash: b, claims: {x: [1, 2.5, true, ~, '3'], y: 2020-01-01}}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		if len(document) > 4<<10 || strings.Contains(string(document), "_file") || strings.Contains(string(document), "file:") {
			return // large documents are slow, and files of this machine must not be read
		}
		c, err := Parse("f.yaml", document)
		if err != nil {
			checkPlaces(t, document, err)
			return
		}
		// reread does not check the document, which lacks the secrets, and contains derived values.
		again := reread(t, c.YAML())
		for _, change := range Diff(c, again) {
			if !strings.Contains(change.Old, redact.Mark) {
				t.Errorf("%s\n%s", change, c.YAML())
			}
		}
	})
}

// checkPlaces checks that the positions of problems are within the document.
func checkPlaces(t *testing.T, document []byte, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) == 0 {
		t.Fatalf("error %v", err)
	}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(document)), "\n")
	for _, p := range e.Problems {
		switch {
		case p.Pos == Pos{}: // the problem is with a default
		case p.Pos.Line < 1 || p.Pos.Line > len(lines), p.Pos.Column < 1:
			t.Errorf("%v: the document has %d lines", p, len(lines))
		case utf8.Valid(document) && p.Pos.Column > len([]rune(lines[p.Pos.Line-1]))+1:
			t.Errorf("%v: the line is %q", p, lines[p.Pos.Line-1])
		}
		if p.Text == "" || p.Pos.Line > 0 && !strings.HasPrefix(p.Error(), fmt.Sprintf("f.yaml:%d:%d: ", p.Pos.Line, p.Pos.Column)) {
			t.Errorf("%+v", p)
		}
	}
}

// FuzzSet checks that settings and environment variables do not make the loader panic, and that a problem names its setting or variable.
func FuzzSet(f *testing.F) {
	for _, seed := range [][2]string{
		{"log.level", "debug"}, {"listen[0].address", ":1"}, {"listen[1].tls", "off"}, {"auth.users.jwt.secret", "x"}, {"endpoints[0].auth", "a, b"},
		{"endpoints[0].auth[1].apikey.keys[0].claims.x", "[1]"}, {"endpoints[0].origins", "any"}, {"store", "{redis: {url: x}}"}, {"a[", "b"},
		{"trusted_proxies", "::1"}, {"drain", ""}, {"limits.connections", "1e9"}, {"auth", "{"}, {"listen[65536].address", ":1"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, value string) {
		if len(value) > 1<<10 || strings.Contains(path+value, "file") || strings.Contains(strings.ToLower(path), "ca") {
			return // files of this machine must not be read
		}
		name := envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "[", "_", "]", "").Replace(path))
		for _, s := range []Sources{{Set: []Setting{{path, value, "--set"}}}, {Environ: []string{name + "=" + value}}} {
			c, err := Load(s)
			var e *Error
			switch {
			case err == nil && c == nil, err != nil && (!errors.As(err, &e) || len(e.Problems) == 0):
				t.Errorf("%v, %v", c, err)
			}
		}
	})
}
