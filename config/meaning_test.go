package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// hash is the hash of an API key.
const hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestMeaning covers the checks that tags cannot express. If the expected problem is "", the document is valid.
func TestMeaning(t *testing.T) {
	for document, want := range map[string]string{
		// Listeners.
		"listen: []":                                                "listen: there is no listener; expected at least one address",
		"listen: [{address: off}]":                                  `listen[0].address: "off" is not an address`,
		"listen: [{address: ':0'}, {address: ':0'}]":                "",
		"listen: [{address: ':1', tls: off, redirect_https: true}]": "listen[0].redirect_https: there is no listener with TLS to redirect to",
		"listen: [{address: ':1', tls: off, redirect_https: true}, {address: ':2'}]":                                         "",
		"listen: [{address: ':1', tls: off, hsts: 1h}]":                                                                      "listen[0].hsts: browsers ignore HSTS without TLS",
		"listen: [{address: ':1', tls: off, hsts: 1ns}]":                                                                     "listen[0].hsts: browsers ignore HSTS without TLS",
		"listen: [{address: ':1', hsts: 1h}, {address: ':2', tls: off}]":                                                     "",
		"listen: [{address: ':1', tls: {mode: dev, acme: {hosts: [x.org]}}}]":                                                "listen[0].tls.mode: dev does not use acme",
		"listen: [{address: ':1', tls: {mode: off, client_cas: [cert.pem]}}]":                                                "listen[0].tls.client_auth: client certificates require TLS",
		"listen: [{address: ':1', tls: {client_auth: off, client_cas: [cert.pem]}}]":                                         "listen[0].tls.client_auth: off does not use client_cas",
		"listen: [{address: ':1', tls: {client_cas: [none.pem]}}]":                                                           `listen[0].tls.client_cas[0]: "`,
		"listen: [{address: ':1', tls: {ticket_file: none}}]":                                                                `listen[0].tls.ticket_file: "`,
		"listen: [{address: ':1', tls: {files: [{cert: .}]}}]":                                                               "is a directory; expected a file",
		"listen: [{address: ':1', tls: {files: [{cert: cert.pem, key: none}]}}]":                                             "listen[0].tls.files[0].key: ",
		"listen: [{address: ':1', tls: {acme: {hosts: [x.org], accept_terms: true, eab_key_id: x}}}]":                        "eab_key_id and eab_key must be set together",
		"listen: [{address: ':1', tls: {acme: {hosts: [x.org], accept_terms: true, eab_key: x}}}]":                           "eab_key_id and eab_key must be set together",
		"listen: [{address: ':1', tls: {acme: {hosts: [x.org, localhost], accept_terms: true, eab_key: x, eab_key_id: x}}}]": "",
		"listen: [{address: ':1', tls: {acme: {hosts: [x.org], accept_terms: true, directory: 'http://x'}}}]":                `listen[0].tls.acme.directory: the scheme of the URL is "http"; expected a URL that begins with https://`,
		"listen: [{address: ':1', tls: {acme: {hosts: [x.org], accept_terms: true, directory: 'https:x'}}}]":                 "listen[0].tls.acme.directory: not a URL",
		"listen: [{address: ':1', tls: {acme: {hosts: [x.org], accept_terms: true, ca_root: none}}}]":                        "listen[0].tls.acme.ca_root: ",
		"listen: [{address: ':1', tls: {acme: {hosts: [host], accept_terms: true}}}]":                                        `acme.hosts[0]: "host" is not a name`,
		"listen: [{address: ':1', tls: {acme: {hosts: ['10.0.0.1'], accept_terms: true}}}]":                                  `acme.hosts[0]: "10.0.0.1" is not a name`,

		// The rest of the server.
		"admin: {address: '127.0.0.1:9090'}":                                       "",
		"admin: {address: '[::1]:9090'}":                                           "",
		"admin: {address: 'localhost:9090'}":                                       "",
		"admin: {address: 'host:9090'}":                                            "admin.address: other machines",
		"admin: {address: '0.0.0.0:9090', token: x}":                               "",
		"audit: {to: off, file: x}":                                                `audit.to: "off" does not use audit.file; expected file`,
		"audit: {to: file, file: x}":                                               "",
		"drain: {spread: 10s}":                                                     "",
		"drain: {spread: 10001ms, timeout: 10s}":                                   "drain.spread: 10.001s is longer than drain.timeout, 10s",
		"store: {redis: {url: 'unix:///run/redis.sock'}}":                          "",
		"store: {redis: {url: 'redis:///0'}}":                                      "store.redis.url: not a URL",
		"logout: {auth: [jwt: {jwks_url: 'https://x'}]}":                           "logout.path: required along with logout.auth",
		"logout: {path: /x}":                                                       "logout.auth: required: there is no anonymous logout",
		"logout: {path: x, auth: [jwt: {jwks_url: 'https://x'}]}":                  `logout.path: "x" does not begin with a slash`,
		"logout: {path: /out, auth: [jwt: {jwks_url: 'https://x'}], origins: any}": "logout.origins: a page of any site could send this",
		"logout: {path: /out, auth: [jwt: {jwks_url: 'https://x'}]}":               "",

		// Methods.
		"auth: {anonymous: {jwt: {jwks_url: 'https://x'}}}":                       "auth.anonymous: not a valid name of a method",
		"auth: {" + strings.Repeat("a", 64) + ": {jwt: {jwks_url: 'https://x'}}}": "",
		"auth: {" + strings.Repeat("a", 65) + ": {jwt: {jwks_url: 'https://x'}}}": "not a valid name of a method",
		"auth: {k: {apikey: {}}}":               "auth.k.apikey: there are no keys",
		"auth: {k: {apikey: {file: none}}}":     "auth.k.apikey.file: ",
		"auth: {k: {apikey: {file: cert.pem}}}": "",
		"auth: {k: {apikey: {keys: [{id: a, hash: '" + hash + "'}, {id: a, hash: '" + hash + "'}]}}}":                                          `keys[1].id: "a" is also the id of another key`,
		"auth: {k: {apikey: {keys: [{id: a, hash: '" + hash + "0'}]}}}":                                                                        "not the hash of a key",
		"auth: {k: {apikey: {keys: [{id: a, hash: '" + strings.ToUpper(hash) + "'}]}}}":                                                        "not the hash of a key",
		"auth: {b: {basic: {file: none}}}":                                                                                                     "auth.b.basic.file: ",
		"auth: {c: {cookie: {name: s, origins: ['https://x'], jwt: {jwks_url: 'https://x'}, forward: {url: 'http://x'}}}}":                     "auth.c.cookie.forward: jwt is also given",
		"auth: {c: {cookie: {name: 's;', origins: ['https://x'], jwt: {jwks_url: 'https://x'}}}}":                                              "auth.c.cookie.name: not a cookie name",
		"auth: {c: {cookie: {name: s, origins: ['https://x'], jwt: {}}}}":                                                                      "auth.c.cookie.jwt: there is no key to verify tokens with",
		"auth: {c: {cookie: {name: s, origins: ['https://x'], forward: {url: 'ftp://x'}}}}":                                                    `auth.c.cookie.forward.url: the scheme of the URL is "ftp"`,
		"auth: {f: {forward: {url: 'http://x', headers: []}}}":                                                                                 "auth.f.forward.headers: no part of the request is forwarded",
		"auth: {f: {forward: {url: 'http://x', headers: ['a b']}}}":                                                                            `auth.f.forward.headers[0]: "a b" is not a header name`,
		`auth: {f: {forward: {url: 'http://x', headers: ["a\x7f"]}}}`:                                                                          "auth.f.forward.headers[0]: ",
		`auth: {f: {forward: {url: 'http://x', headers: ["a~!"]}}}`:                                                                            "",
		"logout: {path: /out, auth: [jwt: {}]}":                                                                                                "logout.auth[0].jwt: there is no key to verify tokens with",
		"auth: {f: {forward: {url: 'http://x', user_header: ''}}}":                                                                             `auth.f.forward.user_header: "" is not a header name`,
		"auth: {f: {forward: {url: 'http://x', ca: none}}}":                                                                                    "auth.f.forward.ca: ",
		"auth: {u: {jwt: {jwks_url: 'https://x', ca: none}}}":                                                                                  "auth.u.jwt.ca: ",
		"auth: {u: {jwt: {jwks_url: 'ftp://x'}}}":                                                                                              "auth.u.jwt.jwks_url: the scheme of the URL",
		"auth: {u: {jwt: {oidc_issuer: 'ftp://x'}}}":                                                                                           "auth.u.jwt.oidc_issuer: the scheme of the URL",
		"auth: {u: {jwt: {public_key_file: none}}}":                                                                                            "auth.u.jwt.public_key_file: ",
		"auth: {u: {jwt: {jwks_url: 'https://x', any_audience: true}}}":                                                                        "",
		"auth: {u: {jwt: {jwks_url: 'https://x', audience: [a]}}}":                                                                             "",
		"auth: {u: {jwt: {jwks_url: 'https://x', audience: [a], any_audience: true}}}":                                                         "auth.u.jwt.any_audience: audience is also given",
		"auth: {u: {jwt: {secret: 0123456789012345678901234567890123456789, algorithms: [RS256]}}}":                                            `algorithms[0]: "RS256" needs a public key`,
		"auth: {u: {jwt: {secret: 01234567890123456789012345678901}}}":                                                                         "",
		"auth: {u: {jwt: {secret: 0123456789012345678901234567890}}}":                                                                          "auth.u.jwt.secret: the secret has 31 bytes",
		"auth: {u: {jwt: {secret: 01234567890123456789012345678901234567890123456, algorithms: [HS384]}}}":                                     "auth.u.jwt.secret: the secret has 47 bytes; expected 48 bytes",
		"auth: {u: {jwt: {secret: 012345678901234567890123456789012345678901234567, algorithms: [HS384]}}}":                                    "",
		"auth: {u: {jwt: {secret: 012345678901234567890123456789012345678901234567, algorithms: [HS512]}}}":                                    "expected 64 bytes",
		"auth: {u: {jwt: {secret_file: none}}}":                                                                                                "auth.u.jwt.secret_file: ",
		"auth: {t: {ticket: {path: t, auth: [jwt: {jwks_url: 'https://x'}]}}}":                                                                 `auth.t.ticket.path: "t" does not begin`,
		"auth: {t: {ticket: {path: /t, auth: [nobody]}}}":                                                                                      `auth.t.ticket.auth[0]: "nobody" is not a method under auth`,
		"auth: {t: {ticket: {path: /t, auth: [ticket: {path: /u, auth: [jwt: {jwks_url: 'https://x'}]}]}}}":                                    "auth.t.ticket.auth[0]: a ticket cannot be used to get a ticket",
		"auth: {t: {ticket: {path: /t, auth: [jwt: {jwks_url: 'https://x'}]}}, u: {ticket: {path: /t, auth: [jwt: {jwks_url: 'https://x'}]}}}": "auth.u.ticket.path: auth.t.ticket.path has the same path",
	} {
		check(t, document+"\n", want)
	}
}

// The same checks for endpoints; the keys in braces are added to an endpoint with a path, a target and the method anonymous.
func TestMeaningOfEndpoints(t *testing.T) {
	for keys, want := range map[string]string{
		"path: /, console: 1":             "there is no such key",
		"path: /a/b":                      "",
		"path: '/{$}'":                    "",
		"path: '/{x}/{y...}'":             "",
		"path: '/{_x1}'":                  "",
		"path: '/{azAZ09}'":               "",
		"path: '/{a@}'":                   "{a@} must be a name in braces",
		"path: '/{a[}'":                   "{a[} must be a name in braces",
		"path: '/{a`}'":                   "{a`} must be a name in braces",
		"path: '/{a:}'":                   "{a:} must be a name in braces",
		"path: '/a b'":                    "is not a path",
		"path: /a//b":                     "is not a path",
		"path: /a?b":                      "is not a path",
		"path: /a/./b":                    "has a . or .. segment",
		"path: /a/..":                     "has a . or .. segment",
		"path: /...":                      "",
		"path: '/{x...}/y'":               "only the last part can have ...",
		"path: '/{x}/{x}'":                "has {x} twice",
		"path: '/{1}'":                    "{1} must be a name in braces",
		"path: '/{}'":                     "{} must be a name in braces",
		"path: '/{$}/x'":                  "{$} must be a name in braces",
		"path: '/a}'":                     "a} must be a name in braces",
		"path: /x, subprotocols: [a, b]":  "",
		"path: /x, subprotocols: [a, a]":  `endpoints[0].subprotocols[1]: "a" is already in the list`,
		"path: /x, subprotocols: ['a b']": `endpoints[0].subprotocols[0]: "a b" cannot be a subprotocol`,
		"path: /x, subprotocols: ['']":    `endpoints[0].subprotocols[0]: "" cannot be a subprotocol`,
		"path: /x, rules: [{do: allow, channels: [a, '']}]":                          "endpoints[0].rules[0].channels[1]: not a channel name",
		"path: /x, rules: [{do: allow, channels: [a], actions: [connect]}]":          "endpoints[0].rules[0].channels: the action connect does not apply to channels",
		"path: /x, rules: [{do: allow, channels: [a], actions: [connect, publish]}]": "",
		"path: /x, rules: [{do: allow, actions: [connect]}]":                         "",
		"path: /x, rules: [{when: x}]":                                               "endpoints[0].rules[0].do: required; expected allow or deny",
		"path: /x, origins: any":                                                     "",
		"path: /x, max_message: 0":                                                   "endpoints[0].max_message: 0 is less than 1",
		"path: /x, hosts: [chat.example.com, localhost, 10.0.0.1]":                   "",
		"path: /x, hosts: [a.example, A.example]":                                    `hosts[1]: "A.example" is not a host name`,
		"path: /x, hosts: ['a.example:80']":                                          `hosts[0]: "a.example:80" is not a host name; expected a name in lower case without a port`,
		"path: /x, hosts: ['*.example']":                                             `hosts[0]: "*.example" is not a host name`,
		"path: /x, hosts: ['a.example/y']":                                           `hosts[0]: "a.example/y" is not a host name`,
		"path: /x, hosts: [a.example, a.example]":                                    "endpoints[0].path: endpoints[0].path has the same path",
		"path: /x, max_message: 1GiB":                                                "",
		"path: /x, max_message: 1073741825":                                          "is more than 1GiB",
	} {
		check(t, "endpoints: [{target: echo, auth: [anonymous], "+keys+"}]\n", want)
	}
	for document, want := range map[string]string{
		"console: true\nendpoints: [{target: echo, auth: [anonymous], path: /}]":                                                                                               "endpoints[0].path: the console uses this path",
		"console: false\nendpoints: [{target: echo, auth: [anonymous], path: /}]":                                                                                              "",
		"logout: {path: /x, auth: [jwt: {jwks_url: 'https://x'}]}":                                                                                                             "endpoints[0].path: logout.path has the same path",
		"endpoints: [{target: echo, auth: [anonymous, anonymous], path: /x}]":                                                                                                  "endpoints[0].auth[0]: anonymous admits every client",
		jwtMethod + "endpoints: [{target: echo, auth: [users, users], path: /x}]":                                                                                              `endpoints[0].auth[1]: "users" is already in the list`,
		"endpoints: [{target: echo, auth: [ticket: {path: /x, auth: [jwt: {jwks_url: 'https://x'}]}], path: /x}]":                                                              "endpoints[0].path: endpoints[0].auth[0].ticket.path has the same path",
		"endpoints: [{target: echo, auth: [basic: {file: cert.pem}], origins: any, path: /x}]":                                                                                 "endpoints[0].origins: auth[0] is a credential that browsers send",
		"listen: [{address: ':1', tls: {client_cas: [cert.pem]}}]\nendpoints: [{target: echo, auth: [jwt: {jwks_url: 'https://x'}, certificate: {}], origins: any, path: /x}]": "endpoints[0].origins: auth[1] is a credential",
		"endpoints:\n  - {target: echo, auth: [anonymous], path: '/x/{y...}'}\n  - {target: echo, auth: [anonymous], path: /x/}":                                               "endpoints[1].path: endpoints[0].path has the same path",
		"endpoints:\n  - {target: echo, auth: [anonymous], path: '/x/{$}'}\n  - {target: echo, auth: [anonymous], path: '/x/{y}'}":                                             "",
	} {
		check(t, document+"\n", want)
	}
}

// check loads a document and compares the first line of its problems.
func check(t *testing.T, document, want string) {
	t.Helper()
	file := folder(t, served(document))
	_, err := Load(Sources{File: file})
	got, _, _ := strings.Cut(strings.ReplaceAll(fmt.Sprint(err), filepath.Dir(file)+string(filepath.Separator), ""), "\n")
	if err == nil {
		got = ""
	}
	if !strings.Contains(got, want) || (got == "") != (want == "") {
		t.Errorf("%s%s\nwant %s", document, got, want)
	}
}
