package config

import (
	"slices"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	file := folder(t, example)
	before, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(before, before); len(d) != 0 {
		t.Errorf("changes of an unchanged configuration: %q", d)
	}
	load := func(pairs ...string) *Config {
		t.Helper()
		c, err := Load(Sources{File: folder(t, strings.NewReplacer(pairs...).Replace(example)),
			// These keys need the path of an existing file; the test does not change them.
			Set: []Setting{{"listen[0].tls.files[0].cert", file, ""}, {"listen[0].tls.files[0].key", file, ""},
				{"listen[0].tls.client_cas", file, ""}}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before = load()
	for _, tt := range []struct {
		name     string
		old, new string
		want     []string
	}{
		{"a value", "code: 1012", "code: 1001", []string{"drain.code: 1012 → 1001"}},
		{"a default", "code: 1012", "code: 1012, delay: 5s", []string{"drain.delay: 0s → 5s"}},
		{"a secret", ":secret@", ":another@", []string{"store.redis.url: '[redacted]' → '[redacted]'"}},
		{"a list", "[bearer, subprotocol, \"query:token\"]", "[bearer]",
			[]string{"auth.users.jwt.from: [bearer, subprotocol, query:token] → [bearer]"}},
		{"items with a name", "path: /chat/{room}", "path: /talk/{room}", []string{"endpoints[chat].path: '/chat/{room}' → '/talk/{room}'"}},
		{"another name", "  - path: /open", "  - path: /open\n    name: open", []string{
			"endpoints[/open]: {name: /open, path: /open, target: {echo: {}}, auth: [{jwt: {algorithms: [HS256], secret: '[redacted]'}}], origins: any} is gone",
			"endpoints[open]: {name: open, path: /open, target: {echo: {}}, auth: [{jwt: {algorithms: [HS256], secret: '[redacted]'}}], origins: any} is new"}},
		{"a new listener", "trusted_proxies:", "  - {address: ':1'}\ntrusted_proxies:", []string{"listen[:1]: {address: :1, tls: {mode: dev, client_auth: off}} is new"}},
		{"a new method", "logout:", "  new: {forward: {url: 'http://h/'}}\nlogout:", []string{"auth.new: {forward: {url: http://h/}} is new"}},
		{"claims", "level: 3", "level: 4", []string{
			"auth.programs.apikey.keys[ci].claims: {level: 3, none: null, quiet: false, ratio: 0.5, roles: [admin, ops]} → {level: 4, none: null, quiet: false, ratio: 0.5, roles: [admin, ops]}"}},
		{"a rule", "do: deny", "do: allow", []string{"endpoints[chat].rules: ["}},
		{"another kind", "redis:\n    url: redis://:secret@127.0.0.1:6379/0", "memory: {}", []string{"store.redis: {url: '[redacted]'} is gone", "store.memory: {} is new"}},
		{"origins", "origins: any", "origins: [https://x.org]", []string{"endpoints[/open].origins: any → [https://x.org]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range Diff(before, load(tt.old, tt.new)) {
				got = append(got, c.String())
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
			}
		})
	}
}
