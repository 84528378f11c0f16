package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// example is a document that uses most of the keys.
const example = `# everything
listen:
  - address: :8443
    tls:
      files:
        - {cert: cert.pem, key: key.pem}
      client_cas: [cert.pem]
      min_version: 1.3
    hsts: 8760h
  - address: 127.0.0.1:8080
    tls: off
    redirect_https: true
    proxy_protocol:
      from: [10.0.0.0/8, "::1"]
trusted_proxies: [127.0.0.1]
http: {head_timeout: 5s, max_head: 16KiB}
admin:
  address: :9090
  token_file: token
store:
  redis:
    url: redis://:secret@127.0.0.1:6379/0
auth:
  users:
    jwt:
      oidc_issuer: https://id.example.com
      audience: [chat]
      from: [bearer, subprotocol, "query:token"]
  programs:
    apikey:
      keys:
        - id: ci
          hash: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
          claims: {roles: [admin, ops], level: 3, ratio: 0.5, quiet: false, none: ~}
          expires: 2027-01-31
  page:
    cookie:
      name: session
      origins: [https://app.example.com]
      forward: {url: "http://127.0.0.1:1/verify"}
  once:
    ticket: {path: /ticket, auth: [users, page]}
  machines:
    certificate: {map: {"spiffe://example.com/a.b": ab}}
logout: {path: /logout, auth: [page], origins: [https://app.example.com]}
endpoints:
  - name: chat
    path: /chat/{room}
    target: echo
    auth: [users, programs, once, machines, anonymous]
    rules:
      - when: |
          "admin" in claims.roles
            || user == "root"
        do: allow
      - {when: 'user == "x"', do: deny, actions: [connect]}
    origins: [https://app.example.com]
    subprotocols: [chat.v2, chat.v1]
    compression: true
    max_message: 64KiB
    limits: {connections: 5, handshakes_per_second: 0.5}
  - path: /open
    target: {echo: {}}
    auth: [jwt: {secret: 0123456789012345678901234567890123456789}]
    origins: any
limits: {connections: 0}
log: {level: debug}
audit: stdout
drain: {code: 1012}
`

// folder creates a directory with the files that example names, and returns the path of the document in it.
func folder(t *testing.T, document string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"handfast.yaml": document, "cert.pem": "c", "key.pem": "k", "token": " t0ken\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "handfast.yaml")
}

// served adds an endpoint to a document.
func served(document string) string {
	_, err := Parse("f.yaml", []byte(document))
	if err == nil || !strings.Contains(err.Error(), "endpoints: required") {
		return document
	}
	return document + "endpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"
}

func TestLoadFile(t *testing.T) {
	file := folder(t, example)
	c, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"cert", c.Listen[0].TLS.Files[0].Cert, Path(filepath.Join(dir, "cert.pem"))},
		{"mode", c.Listen[0].TLS.Mode, TLSFiles},
		{"client_auth", c.Listen[0].TLS.ClientAuth, ClientAuthOptional},
		{"min_version", c.Listen[0].TLS.MinVersion, "1.3"},
		{"hsts", c.Listen[0].HSTS.String(), "8760h"},
		{"off", c.Listen[1].TLS.Mode, TLSOff},
		{"prefix", c.Listen[1].ProxyProtocol.From[1].String(), "::1/128"},
		{"head", c.HTTP.MaxHead, Bytes(16 << 10)},
		{"tls_timeout", c.HTTP.TLSTimeout.String(), "10s"},
		{"token", c.Admin.Token.Reveal(), "t0ken"},
		{"redis", c.Store.Redis.URL.Reveal(), "redis://:secret@127.0.0.1:6379/0"},
		{"memory", c.Store.Memory, (*MemoryStore)(nil)},
		{"algorithms", strings.Join(c.Auth["users"].JWT.Algorithms, " "), "RS256 ES256 EdDSA"},
		{"from", c.Auth["users"].JWT.From[2], TokenSource{"query", "token"}},
		{"level", c.Auth["programs"].APIKey.Keys[0].Claims["level"], int64(3)},
		{"ratio", c.Auth["programs"].APIKey.Keys[0].Claims["ratio"], 0.5},
		{"roles", c.Auth["programs"].APIKey.Keys[0].Claims["roles"].([]any)[1], "ops"},
		{"expires", c.Auth["programs"].APIKey.Keys[0].Expires.String(), "2027-01-31"},
		{"timeout", c.Auth["page"].Cookie.Forward.Timeout.String(), "2s"},
		{"ttl", c.Auth["once"].Ticket.TTL.String(), "30s"},
		{"map", c.Auth["machines"].Certificate.Map["spiffe://example.com/a.b"], "ab"},
		{"auth", c.Endpoints[0].Auth[4], AuthRef{Name: Anonymous}},
		{"when", c.Endpoints[0].Rules[0].When, "\"admin\" in claims.roles\n  || user == \"root\"\n"},
		{"compression", c.Endpoints[0].Compression, Compression{Enabled: true, Threshold: 128}},
		{"max_message", c.Endpoints[0].MaxMessage.String(), "64KiB"},
		{"name", c.Endpoints[1].Name, "/open"},
		{"any", c.Endpoints[1].Origins.Any, true},
		{"in place", c.Endpoints[1].Auth[0].Method.JWT.Algorithms[0], "HS256"},
		{"audit", c.Audit.To, "stdout"},
		{"code", c.Drain.Code, 1012},
		{"limit", c.Limits.Connections, 0},
		{"limit", c.Limits.AuthCalls, 256},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if got := c.Files(); len(got) != 2 || got[0] != file || got[1] != filepath.Join(dir, "token") {
		t.Errorf("files %q", got)
	}
}

// problems returns the lines of an error, without the directory of the file.
func problems(t *testing.T, err error, dir string) []string {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v", err)
	}
	return strings.Split(strings.ReplaceAll(e.Error(), dir+string(filepath.Separator), ""), "\n")
}

func TestByteOrderMark(t *testing.T) {
	c, err := Parse("handfast.yaml", []byte(served("\ufefflog: {level: debug}\r\n")))
	if err != nil || c.Log.Level != "debug" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestPositions(t *testing.T) {
	c, err := Load(Sources{File: folder(t, example)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path         string
		line, column int
	}{
		{"listen[0].address", 3, 14},
		{"listen[0].tls", 4, 5},
		{"listen[0].tls.files[0].key", 6, 33},
		{"listen[1].tls.mode", 11, 10},
		{"trusted_proxies[0]", 15, 19},
		{"admin.token", 19, 15},
		{"auth.users.jwt.audience[0]", 27, 18},
		{"endpoints[0].rules[1].when", 56, 16},
		{"endpoints[0].expiry.warn", 47, 5}, // for a default value, the beginning of the endpoint
		{"endpoints[1].auth[0].jwt", 64, 12},
		{"handshakes.keep", 2, 1}, // for a default value in a missing section, the beginning of the document
	} {
		if p := c.Pos(tt.path); p.Line != tt.line || p.Column != tt.column || filepath.Base(p.File) != "handfast.yaml" {
			t.Errorf("%s: %v, want %d:%d", tt.path, p, tt.line, tt.column)
		}
	}
	// Positions within a text: in a block, in quotes, and in a text for which columns are unknown.
	for _, tt := range []struct {
		path                       string
		line, column, line2, colu2 int
	}{
		{"endpoints[0].rules[0].when", 2, 6, 54, 16},
		{"endpoints[0].rules[1].when", 1, 6, 56, 22},
		{"endpoints[0].name", 1, 3, 47, 13},
	} {
		if p := c.ProblemIn(tt.path, tt.line, tt.column, "x", "").Pos; p.Line != tt.line2 || p.Column != tt.colu2 {
			t.Errorf("in %s: %v, want %d:%d", tt.path, p, tt.line2, tt.colu2)
		}
	}
}
