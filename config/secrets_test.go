package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Secrets returns the files with secrets, and the configuration file if a secret is in it. A URL without user information is not a
// secret, and a certificate is one only if its key is in the same file.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"key.pem": "k", "cert.pem": "c", "url": "redis://b", "url-with-password": "redis://:p@b",
		"secret": "0123456789abcdef0123456789abcdef", "creds": "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const inline, hash = "0123456789abcdef0123456789abcdef", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for document, want := range map[string]string{
		"drain: {delay: 1s}":                         "",
		"apps: [{id: a, secret: " + inline + "}]":    "f.yaml",
		"apps: [{id: a, secret_file: secret}]":       "secret",
		"apps: [{id: dev}]":                          "",
		"admin: {token: x}":                          "f.yaml",
		"auth: {u: {jwt: {secret: " + inline + "}}}": "f.yaml",
		"auth: {c: {cookie: {name: s, origins: ['https://x.org'], jwt: {secret: " + inline + "}}}}":                                        "f.yaml",
		"auth: {u: {jwt: {public_key_file: key.pem}}}":                                                                                     "",
		"auth: {k: {apikey: {file: key.pem}}}":                                                                                             "key.pem",
		"auth: {k: {apikey: {keys: [{id: a, hash: '" + hash + "'}]}}}":                                                                     "f.yaml",
		"auth: {b: {basic: {file: key.pem}}}":                                                                                              "key.pem",
		"listen: [{address: ':1', tls: {files: [{cert: cert.pem, key: key.pem}]}}]":                                                        "key.pem",
		"listen: [{address: ':1', tls: {files: [{cert: cert.pem}]}}]":                                                                      "cert.pem",
		"listen: [{address: ':1', tls: {ticket_file: key.pem, client_cas: [cert.pem]}}]":                                                   "key.pem",
		"store: {redis: {url: 'redis://b:6379/0'}}":                                                                                        "",
		"store: {redis: {url: 'redis://u:p@b:6379/0'}}":                                                                                    "f.yaml",
		"store: {redis: {url_file: url}}":                                                                                                  "",
		"store: {redis: {url_file: url-with-password}}":                                                                                    "url-with-password",
		"hub: {engine: redis}":                                                                                                             "",
		"hub: {engine: {redis: {url: 'redis://:p@b'}}}":                                                                                    "f.yaml",
		"hub: {engine: {nats: {url: 'nats://a, nats://b', credentials: creds}}}":                                                           "creds",
		"hub: {engine: {nats: {url: 'nats://a, nats://t@b'}}}":                                                                             "f.yaml",
		"hub: {engine: {nats: {cluster: {listen: '127.0.0.1:0', cert: cert.pem, ca: cert.pem}}}}":                                          "cert.pem",
		"hub: {engine: {nats: {cluster: {listen: '127.0.0.1:0', cert: cert.pem, key: key.pem, ca: cert.pem}}}}":                            "key.pem",
		"endpoints: [{path: /x, auth: [anonymous], target: {balance: {to: [a], tls: {cert: cert.pem, key: key.pem}}}}]":                    "key.pem",
		"endpoints: [{path: /x, auth: [anonymous], target: {balance: {to: [a], request: {identity: {header: X-Id, key_file: key.pem}}}}}]": "key.pem",
		"endpoints: [{path: /x, auth: [anonymous], target: {balance: {to: [a], request: {header: {Authorization: Bearer t}}}}}]":           "f.yaml",
		"endpoints: [{path: /x, auth: [anonymous], target: {balance: {to: [a], request: {header: {}}}}}]":                                  "",
		"endpoints: [{path: /x, auth: [jwt: {secret: " + inline + "}], target: echo}]":                                                     "f.yaml",
	} {
		file := filepath.Join(dir, "f.yaml")
		if !strings.HasPrefix(document, "endpoints:") {
			document += "\nendpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"
		}
		if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Sources{File: file})
		if err != nil {
			t.Errorf("%s: %v", document, err)
			continue
		}
		var got []string
		for _, name := range c.Secrets() {
			got = append(got, strings.TrimPrefix(name, dir+string(filepath.Separator)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", document, got, want)
		}
	}
	file := filepath.Join(dir, "f.yaml")
	if err := os.WriteFile(file, []byte("endpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{File: file, Environ: []string{"HANDFAST_ADMIN_TOKEN=x"}})
	if err != nil || len(c.Secrets()) > 0 {
		t.Errorf("a secret in the environment: %v", err)
	}
}

// Each key that names a file has the tag secret, unless the file is public or the server creates it.
func TestFilesAreSecretOrPublic(t *testing.T) {
	public := strings.Fields("TLS.ClientCAs ACME.CARoot JWT.PublicKeyFile JWT.CA Forward.CA Webhook.CA RPC.CA NATSEngine.CA NATSCluster.CA " +
		"BackendTLS.CA BackendTLS.Cert Balance.File")
	types := []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[Method]()} // a Method is also in an AuthRef
	for _, k := range append(slices.Clone(targets), engines...) {
		types = append(types, k.Settings)
	}
	seen, files := map[reflect.Type]bool{}, 0
	for len(types) > 0 {
		typ := types[0]
		types = types[1:]
		for k := typ.Kind(); k == reflect.Pointer || k == reflect.Slice || k == reflect.Map; k = typ.Kind() {
			typ = typ.Elem()
		}
		if seen[typ] || typ.Kind() != reflect.Struct {
			continue
		}
		seen[typ] = true
		for f := range typ.Fields() {
			types = append(types, f.Type)
			if f.Type != reflect.TypeFor[Path]() && f.Type != reflect.TypeFor[[]Path]() || f.Tag.Get("made") == "true" {
				continue
			}
			files++
			name := typ.Name() + "." + f.Name
			if (f.Tag.Get("secret") == "") != slices.Contains(public, name) {
				t.Errorf("%s: the tag secret is %q", name, f.Tag.Get("secret"))
			}
		}
	}
	if files < len(public)+9 {
		t.Errorf("%d keys", files)
	}
}

// The values of header fields for servers are in no printed configuration, in no report of a reload, and in no message.
func TestSecretHeader(t *testing.T) {
	const document = "endpoints: [{path: /x, auth: [anonymous], target: {balance: {to: [a], request: {header: {Authorization: 'Bearer %s'}}}}}]\n"
	load := func(secret string) *Config {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, document, secret), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Sources{File: file})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := load("s3cret-a"), load("s3cret-b")
	if got := a.Endpoints[0].Target.Settings.(*Balance).Request.Header["Authorization"].Reveal(); got != "Bearer s3cret-a" {
		t.Errorf("the value is %q", got)
	}
	changes := Diff(a, b)
	if len(changes) != 1 {
		t.Errorf("changes: %v, want one", changes)
	}
	text, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%+v\n", a.Endpoints[0].Target.Settings) + a.YAML() + string(text)
	if !strings.Contains(printed, "Authorization: '[redacted]'") || strings.Contains(printed, "s3cret") {
		t.Errorf("printed:\n%s", printed)
	}
}
