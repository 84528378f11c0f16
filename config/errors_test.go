package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// jwtMethod is a method for documents that need one.
const jwtMethod = "auth: {users: {jwt: {secret: 0123456789012345678901234567890123456789}}}\n"

// A problem has a line, a column and a path, and reports what was expected or a similar known word.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name, document string
		want           []string // a part of each line of the error
	}{
		// Invalid YAML.
		{"no YAML", "listen: [", []string{"handfast.yaml:1:"}},
		{"indentation", "log:\n  level: info\n format: text\n", []string{"handfast.yaml:3:2: not valid YAML"}},
		{"control", "log:\n  level: a\x01\n", []string{"handfast.yaml:2:11: not UTF-8 text"}},
		{"two documents", "log: {}\n---\nlog: {}\n", []string{"handfast.yaml:2:1: a second document begins here"}},
		{"a list", "- a\n", []string{"handfast.yaml:1:1: this is a list; expected a mapping with listen, "}},
		{"a tag", "log: {level: !!str info}\n", []string{":1:14: log.level: tags are not supported here"}},
		{"no anchor", "log: *x\n", []string{":1:6: log: there is no anchor &x before this"}},
		{"a circle", "auth: {a: {apikey: {keys: [{id: x, hash: x, claims: &x {y: *x}}]}}}\n", []string{
			"keys[0].hash: not the hash", "keys[0].claims.y: there is no anchor &x before this"}},

		// Keys.
		{"unknown", "limits:\n  conections: 5\n", []string{"handfast.yaml:2:3: limits.conections: there is no such key; did you mean connections?"}},
		{"unknown and missing", "endpoints: [{pth: /x, target: echo, auth: [anonymous]}]\n", []string{":1:14: endpoints[0].pth: there is no such key; did you mean path?"}},
		{"unknown and one of several", "auth: {u: {jwt: {jwks_ulr: 'https://x/'}}}\n", []string{":1:18: auth.u.jwt.jwks_ulr: there is no such key; did you mean jwks_url?"}},
		{"elsewhere", "max_message: 5\n", []string{":1:1: max_message: there is no such key; the key exists as endpoints[].max_message"}},
		{"nowhere", "log:\n  colour: red\n", []string{":2:3: log.colour: there is no such key; expected format or level"}},
		{"twice", "log: {}\nadmin: {}\nlog: {}\n", []string{":3:1: log: the key is repeated: line 1 has the same key"}},
		{"twice, below", "log:\n  level: info\n  level: warn\n", []string{":3:3: log.level: the key is repeated: line 2 has the same key"}},
		{"with its file", "admin: {token: a, token_file: b}\n", []string{":1:19: admin.token_file: token is also given; expected one of the two"}},
		{"all at once", "log: {level: loud, frmat: json}\nlimits: {connections: many}\n", []string{
			`:1:14: log.level: "loud" is not an allowed value; expected debug, info, warn or error`,
			":1:20: log.frmat: there is no such key; did you mean format?",
			`:2:23: limits.connections: "many": not a whole number; expected a whole number`}},

		// Types.
		{"a mapping for a value", "log: {level: {a: b}}\n", []string{":1:14: log.level: this is a mapping; expected text"}},
		{"a value for a mapping", "log: info\n", []string{":1:6: log: this is one value; expected a mapping with format or level"}},
		{"a value for a list", "listen: localhost\n", []string{":1:9: listen: this is one value; expected a list, [] for none"}},
		{"no value for a list", "listen:\n", []string{"listen: empty value; expected a list, [] for none"}},
		{"no value for a scalar", "log:\n  level:\n", []string{":2:3: log.level: empty value; expected text"}},
		{"no value for a mapping", "log:\nauth:\n", nil},
		{"bool", "console: yea\n", []string{`:1:10: console: "yea": neither true nor false; expected true or false`}},
		{"quoted", "limits: {connections: '5'}\n", []string{`:1:23: limits.connections: "5" is a string because of its quotes; expected a whole number without quotes`}},
		{"duration", "drain: {delay: 5}\n", []string{`:1:16: drain.delay: "5": the unit is missing; expected a duration`}},
		{"bytes", "http: {max_head: 5QB}\n", []string{`:1:18: http.max_head: "5QB": not a size; expected a size`}},
		{"prefix", "trusted_proxies: [10.0.0.1/8, x]\n", []string{
			`:1:19: trusted_proxies[0]: "10.0.0.1/8": the address has bits set beyond the prefix length: the network is 10.0.0.0/8`,
			`:1:31: trusted_proxies[1]: "x": not a network; expected an IP address or a network`}},
		{"address", "listen: [{address: 8443}]\n", []string{`:1:20: listen[0].address: "8443": not an address with a port; expected host:port`}},
		{"file", "admin: {token_file: nothing}\n", []string{"admin.token_file: nothing cannot be read: no such file"}},
		{"bounds", "http: {head_timeout: 1h}\n", []string{":1:22: http.head_timeout: 1h is more than 5m; expected 100ms to 5m"}},
		{"least", "limits: {connections: -1}\n", []string{":1:23: limits.connections: -1 is less than 0; expected 0 or more"}},
		{"enum of numbers", "drain: {code: 1000}\n", []string{`:1:15: drain.code: "1000" is not an allowed value; did you mean 1001?; expected 1001 or 1012`}},
		{"required", "endpoints:\n  - path: /x\n    target: echo\n", []string{":2:5: endpoints[0].auth: required; expected a list"}},

		// One of several keys.
		{"both", "store: {memory: {}, redis: {url: 'redis://x'}}\n", []string{":1:21: store.redis: memory is also given; expected one of the two"}},
		{"kind", "store: reddis\n", []string{`:1:8: store: "reddis" is not an allowed kind; did you mean redis?; expected memory or redis`}},
		{"kind without its settings", "store: redis\n", []string{"store.redis.url: required; expected a secret"}},
		{"no kind", "auth: {x: {}}\n", []string{":1:8: auth.x: empty; expected one of jwt, apikey"}},
		{"target", "endpoints: [{path: /x, target: ecko, auth: [anonymous]}]\n", []string{`endpoints[0].target: "ecko" is not an allowed kind; did you mean echo?`}},

		// The meaning of values.
		{"method", jwtMethod + "endpoints: [{path: /x, target: echo, auth: [user]}]\n",
			[]string{`:2:45: endpoints[0].auth[0]: "user" is not a method under auth; did you mean users?; expected users or anonymous`}},
		{"after anonymous", jwtMethod + "endpoints: [{path: /x, target: echo, auth: [anonymous, users]}]\n",
			[]string{":2:45: endpoints[0].auth[0]: anonymous admits every client"}},
		{"path twice", "endpoints:\n  - {path: '/a/{x}', target: echo, auth: [anonymous]}\n  - {path: '/a/{y}', name: n, target: echo, auth: [anonymous]}\n",
			[]string{":3:12: endpoints[1].path: endpoints[0].path has the same path"}},
		{"path twice at a host", "endpoints:\n  - {path: /a, hosts: [x, y], target: echo, auth: [anonymous]}\n  - {path: /a, name: n, hosts: [z, y], target: echo, auth: [anonymous]}\n",
			[]string{":3:12: endpoints[1].path: endpoints[0].path has the same path; expected a unique path or host"}},
		{"name twice", "endpoints:\n  - {path: /a, name: n, target: echo, auth: [anonymous]}\n  - {path: /b, name: n, target: echo, auth: [anonymous]}\n",
			[]string{`:3:22: endpoints[1].name: endpoints[0] has the same name, "n"`}},
		{"path", "endpoints: [{path: chat, target: echo, auth: [anonymous]}]\n", []string{`:1:20: endpoints[0].path: "chat" does not begin with a slash`}},
		{"path variable", "endpoints: [{path: '/a{b}', target: echo, auth: [anonymous]}]\n", []string{"a{b} must be a name in braces"}},
		{"origin", "endpoints: [{path: /x, target: echo, auth: [anonymous], origins: ['https://*.example.com', app.example.com]}]\n",
			[]string{"endpoints[0].origins[0]: \"https://*.example.com\": a wildcard would admit", "endpoints[0].origins[1]: \"app.example.com\": not a web origin"}},
		{"origins", "endpoints: [{path: /x, target: echo, auth: [anonymous], origins: all}]\n", []string{"endpoints[0].origins: this is one value; expected the word any, or a list of web origins"}},
		{"password for any page", "auth: {p: {basic: {file: cert.pem}}}\nendpoints: [{path: /x, target: echo, auth: [p], origins: any}]\n",
			[]string{"endpoints[0].origins: auth[0] is a credential that browsers send automatically"}},
		{"redis", "store: {redis: {url: 'http://user:pass@x/'}}\n", []string{`:1:22: store.redis.url: the scheme of the URL is "http"; expected a URL that begins with redis://, rediss:// or unix://`}},
		{"ttl", jwtMethod + "logout: {}\nendpoints: [{path: /x, target: echo, auth: [ticket: {path: /t, auth: [users], ttl: 61s}]}]\n",
			[]string{"endpoints[0].auth[0].ticket.ttl: 1m1s is more than 60s; expected 1s to 60s"}},
		{"ticket for a ticket", "auth: {t: {ticket: {path: /t, auth: [t]}}}\n", []string{"auth.t.ticket.auth[0]: a ticket cannot be used to get a ticket"}},
		{"no certificate", "listen: [{address: ':1', tls: {files: [{key: key.pem}]}}]\n", []string{"listen[0].tls.files[0].cert: required; expected the path of a file"}},
		{"no such certificate", "listen: [{address: ':1', tls: {files: [{cert: none.pem}]}}]\n", []string{`none.pem" cannot be read: no such file`}},
		{"no files", "listen: [{address: ':1', tls: files}]\n", []string{"listen[0].tls.files: required with mode files"}},
		{"files for nothing", "listen: [{address: ':1', tls: {mode: dev, files: [{cert: cert.pem}]}}]\n", []string{":1:38: listen[0].tls.mode: dev does not use files"}},
		{"acme", "listen: [{address: ':1', tls: acme}]\n", []string{"listen[0].tls.acme.hosts: required with mode acme", "listen[0].tls.acme.accept_terms: the authority issues certificates only"}},
		{"acme host", "listen: [{address: ':1', tls: {acme: {hosts: ['*.x.org'], accept_terms: true}}}]\n", []string{"listen[0].tls.acme.hosts[0]: \"*.x.org\" is not a name"}},
		{"client authorities", "listen: [{address: ':1', tls: {client_auth: required}}]\n", []string{"listen[0].tls.client_cas: required"}},
		{"certificate that no listener requests", "auth: {c: {certificate: {}}}\n", []string{"auth.c.certificate: no listener requests client certificates"}},
		{"redirect", "listen: [{address: ':1', redirect_https: true, tls: dev}]\n", []string{"listen[0].redirect_https: only a listener without TLS can redirect"}},
		{"same address", "listen: [{address: ':1'}, {address: ':1'}]\n", []string{"listen[1].address: the address is already in the list; expected each address once"}},
		{"admin", "admin: {address: ':9090'}\n", nil},
		{"open admin", "admin: {address: '0.0.0.0:9090'}\n", []string{"1:18: admin.address: other machines may reach this address, and there is no token; expected a token, as admin.token or in"}},
		{"weak secret", "auth: {u: {jwt: {secret: hunter2}}}\n", []string{":1:26: auth.u.jwt.secret: the secret has 7 bytes; expected 32 bytes or more for HS256"}},
		{"confusion", "auth: {u: {jwt: {public_key: x, algorithms: [HS256]}}}\n", []string{`auth.u.jwt.algorithms[0]: "HS256" needs a secret`}},
		{"no key", "auth: {u: {jwt: {}}}\n", []string{"auth.u.jwt: there is no key to verify tokens with"}},
		{"two keys", "auth: {u: {jwt: {jwks_url: 'https://x/', oidc_issuer: 'https://x/'}}}\n", []string{"auth.u.jwt.oidc_issuer: jwks_url is also given"}},
		{"token in a cookie", "auth: {u: {jwt: {jwks_url: 'https://x/', from: ['cookie:a']}}}\n", []string{"use the method cookie"}},
		{"hash", "auth: {k: {apikey: {keys: [{id: a, hash: abc}]}}}\n", []string{"auth.k.apikey.keys[0].hash: not the hash of a key"}},
		{"cookie", "auth: {c: {cookie: {name: s, origins: ['https://x.org']}}}\n", []string{"auth.c.cookie: no check of the cookie's value is configured; expected one of jwt and forward"}},
		{"anonymous logout", "logout: {path: /logout, auth: [anonymous]}\n", []string{"logout.auth[0]: anonymous is not allowed here"}},
		{"name of a method", "auth: {Users: {jwt: {jwks_url: 'https://x/'}}}\n", []string{"auth.Users: not a valid name of a method"}},
		{"tickets for any page", jwtMethod + "endpoints: [{path: /x, target: echo, auth: [ticket: {path: /t, auth: [users], origins: any}]}]\n",
			[]string{"endpoints[0].auth[0].ticket.origins: a page of any site could send this request on behalf of its visitor"}},
		{"audit", "audit: {to: file}\n", []string{"audit.file: required when audit.to is file"}},
		{"spread", "drain: {spread: 1m, timeout: 10s}\n", []string{"drain.spread: 1m is longer than drain.timeout, 10s"}},
		{"rule", "endpoints: [{path: /x, target: echo, auth: [anonymous], rules: [{do: alow}]}]\n",
			[]string{`:1:70: endpoints[0].rules[0].do: "alow" is not an allowed value; did you mean allow?; expected allow or deny`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := folder(t, served(tt.document))
			_, err := Load(Sources{File: file})
			if err == nil {
				if tt.want != nil {
					t.Error("no error")
				}
				return
			}
			got := problems(t, err, filepath.Dir(file))
			if len(got) != len(tt.want) {
				t.Fatalf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) || !strings.HasPrefix(got[i], "handfast.yaml:") {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
		})
	}
}

// Problems do not contain secrets.
func TestProblemsContainNoSecret(t *testing.T) {
	for _, document := range []string{
		"store: redis://user:hunter2@host/0\n",
		"store: hunter2\n",
		"store: {redis: 'redis://user:hunter2@host/0'}\n",
		"store: {redis: {url: 'http://user:hunter2@host/0'}}\n",
		"store: {redis: {url: 'redis://user:hunter2@ho st/0%zz'}}\n",
		"store: {redis: {url: [hunter2]}}\n",
		"auth: {u: {jwt: {secret: hunter2}}}\n",
		"auth: {u: {jwt: hunter2}}\n",
		"auth: {u: {forward: {url: 'ftp://user:hunter2@host/'}}}\n",
		"listen: [{address: 'https://user:hunter2@host'}]\n",
		"admin: {token: {a: hunter2}}\n",
	} {
		_, err := Parse("handfast.yaml", []byte(document))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", document, err)
		}
	}
}

// Files written by editors on other systems, and files with common mistakes: each problem has its position and what was
// expected.
func TestWrongFiles(t *testing.T) {
	const rest = "endpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"
	for text, want := range map[string]string{
		"endpoints:\n\t- path: /x\n":                              "f:2:1: not valid YAML: a tab where only spaces are allowed",
		"listen:\r\n  - address: a:0\r\n    tlss: off\r\n" + rest: "f:3:5: listen[0].tlss: there is no such key; did you mean tls?",
		"\xef\xbb\xbfconsolee: true\n" + rest:                     "f:1:1: consolee: there is no such key; did you mean console?",
		"\xff\xfee\x00n\x00":                                      "f:1:1: the file is UTF-16",
		"e\x00n\x00":                                              "f:1:2: not UTF-8 text",
		"limits: {connections: 99999999999999999999}\n" + rest:    `f:1:23: limits.connections: "99999999999999999999": too large`,
		"limits: {connections: -5}\n" + rest:                      "f:1:23: limits.connections: -5 is less than 0; expected 0 or more",
		"drain: {timeout: 5min}\n" + rest:                         `f:1:18: drain.timeout: "5min": not a duration; expected a duration with its unit`,
		"drain: {timeout: 5}\n" + rest:                            `f:1:18: drain.timeout: "5": the unit is missing`,
		"http: {max_head: 5mb}\n" + rest:                          `f:1:18: http.max_head: "5mb": not a size; expected a size, such as 512, 64KiB or 1MiB`,
		"limits: {}\nlimits: {}\n" + rest:                         "f:2:1: limits: the key is repeated: line 1 has the same key",
		"listen: [{address: ''}]\n" + rest:                        `f:1:20: listen[0].address: "": not an address with a port; expected host:port`,
		"":                                                        "f:1:1: endpoints: required",
		"a: b: c\n":                                               "f:1:4: not valid YAML",
		rest + "---\n" + rest:                                     "f:2:1: a second document begins here",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}
