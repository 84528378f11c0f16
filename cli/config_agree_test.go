package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/bounded"
)

// documents are configurations, some of which name files in the same directory. fails is a part of the error.
var documents = []struct{ name, text, fails string }{
	{"plain", "", ""},
	{"page at a path of an endpoint", "endpoints: [{path: '/{$}', target: echo, auth: [anonymous]}]\nconsole: true\n", ""},
	{"a URL with a password", "auth: {f: {forward: {url: 'http://u:hush@127.0.0.1:1/verify'}}}\n", "auth.f"},
	{"a URL without", "auth: {f: {forward: {url: 'http://127.0.0.1:1/verify'}}}\n", ""},
	{"a header that is the server's", "auth: {f: {forward: {url: 'http://127.0.0.1:1/verify', headers: [Host]}}}\n", "auth.f"},
	{"a broken authority", "auth: {f: {forward: {url: 'https://127.0.0.1:1/verify', ca: none.pem}}}\n", "auth.f"},
	{"keys over http", "auth: {j: {jwt: {jwks_url: 'http://192.0.2.1/keys'}}}\n", "auth.j"},
	{"keys over http, allowed", "auth: {j: {jwt: {jwks_url: 'http://192.0.2.1/keys', allow_http: true}}}\n", ""},
	{"an issuer with a query", "auth: {j: {jwt: {oidc_issuer: 'https://id.example.com/?x'}}}\n", "auth.j"},
	{"a password in the URL of keys", "auth: {j: {jwt: {jwks_url: 'https://u:hush@id.example.com/keys'}}}\n", ""},
	{"a broken key in a cookie", "auth: {c: {cookie: {name: s, origins: ['https://x.org'], jwt: {public_key: x}}}}\n", "auth.c.cookie.jwt.public_key"},
	{"a cookie with a password in the URL", "auth: {c: {cookie: {name: s, origins: ['https://x.org'], forward: {url: 'http://u:hush@127.0.0.1:1'}}}}\n", "auth.c"},
	{"an inline method", "endpoints: [{path: /y, target: echo, auth: [{forward: {url: 'http://u:hush@127.0.0.1:1'}}]}]\n", "endpoints[0].auth[0]"},
	{"two keys with one hash", "auth: {k: {apikey: {keys: [{id: a, hash: HASH}, {id: b, hash: HASH}]}}}\n", ""},
	{"an id with an underscore", "auth: {k: {apikey: {keys: [{id: a_b, hash: HASH}]}}}\n", "auth.k"},
	{"an API key header", "auth: {k: {apikey: {header: 'a b', keys: [{id: a, hash: HASH}]}}}\n", "auth.k"},
	{"a parameter that belongs to others", "auth: {k: {apikey: {query: 'a&b', keys: [{id: a, hash: HASH}]}}}\n", ""},
	{"a realm with a quote", "auth: {b: {basic: {file: passwords, realm: \"a\\\"b\\n\"}}}\n", "auth.b"},
	{"a subject", "listen: [{address: 'localhost:0', tls: {client_cas: [leaf.pem]}}]\nauth: {c: {certificate: {subject: [cn, cn]}}}\n", ""},
	{"a ticket's parameter", "auth: {p: {apikey: {keys: [{id: a, hash: HASH}]}}, t: {ticket: {path: /t, query: '', auth: [p]}}}\n", ""},
	{"paths that overlap", "endpoints: [{path: '/a/{x}', target: echo, auth: [anonymous]}, {path: '/{x}/b', target: echo, auth: [anonymous]}]\n", "endpoints[1].path"},
	{"paths that do not", "endpoints: [{path: '/a/{x}', target: echo, auth: [anonymous]}, {path: '/a/b', target: echo, auth: [anonymous]}]\n", ""},
	{"a percent sign", "endpoints: [{path: '/%zz', target: echo, auth: [anonymous]}]\n", ""},
	{"logout and a ticket", "logout: {path: '/{x}', auth: [p]}\nauth: {p: {apikey: {keys: [{id: a, hash: HASH}]}}, t: {ticket: {path: '/{y}', auth: [p]}}}\n", "auth.t.ticket.path"},
	{"logout and a ticket that overlap", "logout: {path: '/{x}/a', auth: [p]}\nauth: {p: {apikey: {keys: [{id: a, hash: HASH}]}}, t: {ticket: {path: '/b/{y}', auth: [p]}}}\n", "logout.path"},
	{"two paths of Pusher", "apps: [{id: a, secret: s}]\nendpoints: [{path: '/app/{key}', target: pusher, auth: [anonymous]}, {path: '/x/app/{key}', target: pusher, auth: [anonymous]}]\n", ""},
	{"a call with a password", "apps: [{id: a, secret: s}]\nendpoints: [{path: /c, target: {centrifugo: {rpc: {url: 'http://u:hush@127.0.0.1:1'}}}, auth: [anonymous]}]\n", "rpc.url"},
	{"a broken authority of calls", "apps: [{id: a, secret: s}]\nendpoints: [{path: /c, target: {centrifugo: {rpc: {url: 'https://127.0.0.1:1', ca: none.pem}}}, auth: [anonymous]}]\n", "rpc"},
	{"a broken authority of webhooks", "apps: [{id: a, secret: s}]\nwebhooks: [{url: 'https://127.0.0.1:1', ca: none.pem}]\nendpoints: [{path: /c, target: channels, auth: [anonymous]}]\n", "webhooks[0]"},
	{"the same without channels", "apps: [{id: a, secret: s}]\nwebhooks: [{url: 'https://127.0.0.1:1', ca: none.pem}]\n", "webhooks[0]"},
	{"the application dev", "apps: [{id: dev}]\nendpoints: [{path: /c, target: channels, auth: [anonymous]}]\n", ""},
	{"a balancer", "endpoints: [{path: /b, target: {balance: {to: ['ws://127.0.0.1:1']}}, auth: [anonymous]}]\n", ""},
	{"a balancer with a broken authority", "endpoints: [{path: /b, target: {balance: {to: ['wss://127.0.0.1:1'], tls: {ca: none.pem}}}, auth: [anonymous]}]\n", "tls.ca"},
	{"a balancer with a broken file", "endpoints: [{path: /b, target: {balance: {file: passwords}}, auth: [anonymous]}]\n", "balance.file"},
	{"tickets of TLS", "listen: [{address: 'localhost:0', tls: {mode: dev, ticket_file: none.pem}}]\n", "listen[0].tls.ticket_file"},
	{"client authorities", "listen: [{address: 'localhost:0', tls: {mode: dev, client_cas: [none.pem]}}]\n", "listen[0].tls.client_cas[0]"},
	{"ACME with a broken authority", "listen: [{address: 'localhost:0', tls: {acme: {hosts: [a.example.com], accept_terms: true, ca_root: none.pem}}}]\n", "listen[0].tls.acme.ca_root"},
	{"ACME with a broken key", "listen: [{address: 'localhost:0', tls: {acme: {hosts: [a.example.com], accept_terms: true, eab_key_id: a, eab_key: '!'}}}]\n", "listen[0].tls"},
	{"ACME for a strange name", "listen: [{address: 'localhost:0', tls: {acme: {hosts: ['a_.example..com'], accept_terms: true}}}]\n", "listen[0].tls"},
	{"ACME", "listen: [{address: 'localhost:0', tls: {acme: {hosts: [a.example.com], accept_terms: true, directory: 'https://127.0.0.1:1/d'}}}]\n", ""},
	{"a store", "store: {redis: {url: 'redis://127.0.0.1:1/x'}}\n", "store.redis"},
	{"an engine", "hub: {engine: {redis: {url: 'redis://127.0.0.1:1/?x=y'}}}\nendpoints: [{path: /c, target: channels, auth: [anonymous]}]\napps: [{id: a, secret: s}]\n", "hub.engine.redis.url"},
	{"a rule", "endpoints: [{path: /x, target: echo, auth: [anonymous], rules: [{when: 'claims.x', do: allow}]}]\n", "endpoints[0].rules[0]"},
	{"a prefix twice", "hub: {namespaces: [{prefix: 'a:'}, {prefix: 'a:b'}]}\n", ""},
}

// "config check", "serve" and a reload accept and reject the same files, because they use the same check. A server starts with an accepted
// file, and does not start with a rejected file.
func TestCheckServeAndReloadAgree(t *testing.T) {
	state(t)
	dir := agreeFiles(t)
	base, err := config.Parse("base.yaml", []byte("listen: [{address: '127.0.0.1:0', tls: off}]\nendpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range documents {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, "c.yaml")
			text := strings.ReplaceAll(tt.text, "HASH", "sha256:"+strings.Repeat("0", 64))
			if !strings.Contains(text, "endpoints:") {
				text += "endpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"
			}
			if !strings.Contains(text, "listen:") {
				text += "listen: [{address: '127.0.0.1:0', tls: off}]\n"
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			check := runCommand(t, "config", "check", file)
			served := (&serveFlags{config: file, given: func(string) bool { return false }})
			_, loadErr := served.load(nil)
			if (check.code == exitOK) != (loadErr == nil) || strings.Contains(check.stdout, "hush") {
				t.Errorf("check: %s; serve: %v", check.stdout, loadErr)
			}
			if (tt.fails == "") != (check.code == exitOK) || !strings.Contains(check.stdout, tt.fails) {
				t.Errorf("check: %s, want %q", check.stdout, tt.fails)
			}
			// Start one server with a file that only package config has checked, and reload another server with the same file.
			cfg, err := config.Load(config.Sources{File: file})
			if err != nil {
				if check.code == exitOK {
					t.Errorf("check accepts the file, but loading it returns %v", err)
				}
				return
			}
			s, openErr := gateway.Open(bounded.Context(t), gateway.Options{Config: cfg})
			if openErr == nil {
				s.Close()
			}
			r, err := gateway.Open(bounded.Context(t), gateway.Options{Config: base})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			reloadErr := r.Reload(bounded.Context(t), cfg)
			if check.code == exitOK && (openErr != nil || reloadErr != nil) {
				t.Errorf("check accepts the file, but starting returns %v, and reloading %v", openErr, reloadErr)
			}
			// These keys have no effect here: a reload does not apply them, and a server without channels does not use them.
			unused := slices.ContainsFunc([]string{"webhooks", "hub.engine", "store"}, func(key string) bool { return strings.HasPrefix(tt.fails, key) })
			if check.code != exitOK && (openErr == nil || reloadErr == nil) && !unused {
				t.Errorf("check rejects the file, but starting returns %v, and reloading %v", openErr, reloadErr)
			}
		})
	}
}

// agreeFiles creates the files that the documents name.
func agreeFiles(t *testing.T) string {
	t.Helper()
	if got := runCommand(t, "cert", "dev"); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	leaf := runCommand(t, "cert", "show", "--path")
	ca, err := os.ReadFile(strings.TrimSpace(leaf.stdout))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"leaf.pem": string(ca), "none.pem": "nothing\n", "passwords": "alice:$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
