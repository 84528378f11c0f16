//go:build e2e

package clients

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// one configures endpoints that accept tokens, and an endpoint that accepts certificates.
const one = `
listen:
  - address: localhost:PORT
    tls:
      files: [{cert: server.pem, key: server.key}]
      client_cas: [ca.pem]
      client_auth: optional
auth:
  users:
    jwt: {secret_file: secret, audience: [chat]}
  devices:
    certificate: {}
endpoints:
  - path: /chat
    target: echo
    auth: [users]
    subprotocols: [chat.v1]
  - path: /devices
    target: echo
    auth: [devices]
  - path: /nobody
    target: echo
    auth: [users]
    rules: [{when: '"admin" in claims.roles', do: allow}]
`

// The C# program in the guide works unchanged. The package comment describes the use of Mono.
func TestCSharp(t *testing.T) {
	h := newHome(t)
	h.certificates()
	token := h.tokens()
	port, log := h.serve(one)
	h.Write("Echo.cs", guide(t, "Echo.cs"))
	h.Must("mcs -warnaserror -r:System.dll Echo.cs")
	run := func(port, token string) harness.Result {
		return h.Bash("mono Echo.exe wss://localhost:"+port+"/chat 'grüß dich'", "TOKEN="+token)
	}

	if r := run(port, token); r.Code == 0 {
		t.Errorf("before it trusts the authority: exit %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	h.Must("cert-sync --quiet --user ca.pem")
	if r := run(port, token); r.Code != 0 || r.Stdout != "grüß dich, over chat.v1\n" || r.Stderr != "" {
		t.Errorf("exit %d, %s%s\n%s", r.Code, r.Stdout, r.Stderr, log)
	}
	if r := run(port, "guessed"); r.Code != 1 || r.Stderr == "" {
		t.Errorf("with another token: exit %d, %s%s\n%s", r.Code, r.Stdout, r.Stderr, log)
	}
	log.Await(t, "status=401")
	if r := run(harness.FreePort(t), token); r.Code != 1 || r.Stderr == "" {
		t.Errorf("with no server: exit %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// head contains a WebSocket handshake as header arguments for curl.
const head = `-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' `

func TestCurl(t *testing.T) {
	h := newHome(t)
	h.certificates()
	token := h.tokens()
	port, _ := h.serve(one)
	version, bearer := "-H 'Sec-WebSocket-Version: 13' ", "-H 'Authorization: Bearer "+token+"' "
	refused, body := "www-authenticate: Bearer realm=\"handfast\"", "The credentials are missing or not valid."
	for _, c := range []struct {
		name, path, args string
		status           string
		fields           []string
	}{
		{"no credential", "/chat", head + version, "401", []string{refused, body}},
		{"an invalid token", "/chat", head + version + "-H 'Authorization: Bearer x' ", "401", []string{refused, body}},
		{"another scheme", "/chat", head + version + "-u alice:secret ", "401", []string{refused, body}},
		{"a good token", "/chat", head + version + bearer, "101", []string{"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}},
		{"a token among the subprotocols, which is not looked at here", "/chat",
			head + version + "-H 'Sec-WebSocket-Protocol: chat.v1, handfast.token." + token + "' ", "401", []string{refused}},
		{"a good token, and no rule for it", "/nobody", head + version + bearer, "403", []string{"This is not allowed."}},
		{"a page of another site", "/chat", head + version + bearer + "-H 'Origin: https://attacker.example' ", "403",
			[]string{"RFC 6455 §10.2"}},
		{"no certificate", "/devices", head + version, "401", []string{body}},
		{"a certificate", "/devices", head + version + "--cert device.pem --key device.key ", "101", nil},
		{"no upgrade", "/chat", bearer, "426", []string{"upgrade: websocket", "sec-websocket-version: 13"}},
		{"another version", "/chat", head + bearer + "-H 'Sec-WebSocket-Version: 8' ", "426", []string{"sec-websocket-version: 13"}},
		{"no version", "/chat", head + bearer, "426", []string{"sec-websocket-version: 13"}},
		{"a POST", "/chat", "-X POST " + head + version + bearer, "405", []string{"allow: GET"}},
		{"another path", "/chats", head + version + bearer, "404", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &home{h.In(t)}
			run := func(seconds int) harness.Result {
				return h.Bash(fmt.Sprintf("curl -si --http1.1 --max-time %d --cacert ca.pem %shttps://localhost:%s%s", seconds, c.args, port, c.path))
			}
			r := harness.Result{}
			if c.status == "101" { // curl keeps the connection open until its time limit
				for seconds := 2; r.Stdout == "" && seconds < 100; seconds *= 3 {
					r = run(seconds)
				}
			} else {
				r = run(100)
			}
			status, _, _ := strings.Cut(strings.TrimPrefix(r.Stdout, "HTTP/1.1 "), " ")
			if status != c.status {
				t.Errorf("status %s, want %s", status, c.status)
			}
			for _, f := range c.fields {
				if !strings.Contains(strings.ToLower(r.Stdout), strings.ToLower(f)) {
					t.Errorf("the response lacks %q", f)
				}
			}
			if opened := r.Code == 28; opened != (c.status == "101") {
				t.Errorf("curl's exit code is %d", r.Code)
			}
			if strings.Contains(r.Stdout, token) {
				t.Error("the response contains the token")
			}
			if t.Failed() {
				t.Logf("%s%s", r.Stdout, r.Stderr)
			}
		})
	}
}

// A handshake and frames are sent by hand, over the TLS connection of openssl.
func TestOpenSSL(t *testing.T) {
	h := newHome(t)
	h.certificates()
	token := h.tokens()
	port, log := h.serve(one)
	const text, closeFrame = `\x81\x85\0\0\0\0hello`, `\x88\x82\0\0\0\0\x03\xe8` // with a masking key of zeros
	talk := func(path, more, args string) harness.Result {
		return h.Bash(`printf 'GET ` + path + ` HTTP/1.1\r\nHost: localhost:` + port + `\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
			`Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n` + more + `\r\n` + text + closeFrame + `' |
openssl s_client -quiet -connect localhost:` + port + ` -servername localhost -verify_return_error -verify_hostname localhost -CAfile ca.pem ` + args)
	}
	opened := func(t *testing.T, r harness.Result) {
		t.Helper()
		answer, frames, _ := strings.Cut(r.Stdout, "\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 101 ") || !slices.Contains(strings.Split(answer, "\r\n"), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
			t.Errorf("the response is %q, %s\n%s", answer, r.Stderr, log)
		}
		if want := "\x81\x05hello\x88\x02\x03\xe8"; frames != want || r.Code != 0 {
			t.Errorf("exit %d, frames %q, want %q", r.Code, frames, want)
		}
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			opened(t, talk("/chat", `Authorization: Bearer `+token+`\r\n`, version))
			opened(t, talk("/devices", "", version+" -cert device.pem -key device.key"))
			if r := talk("/chat", "", version); !strings.HasPrefix(r.Stdout, "HTTP/1.1 401 ") {
				t.Errorf("without a token: %q", r.Stdout)
			}
			if r := talk("/devices", "", version); !strings.HasPrefix(r.Stdout, "HTTP/1.1 401 ") {
				t.Errorf("without a certificate: %q", r.Stdout)
			}
		})
	}
	if r := talk("/chat", "", "-tls1_1 -cipher DEFAULT@SECLEVEL=0"); r.Code == 0 || r.Stdout != "" {
		t.Errorf("TLS 1.1: exit %d, %q", r.Code, r.Stdout)
	}
	// The certificate in other.pem is signed by another CA.
	h.Must(`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other`)
	if r := talk("/devices", "", "-cert other.pem -key other.key"); strings.Contains(r.Stdout, "101") || !strings.Contains(r.Stderr, "alert") {
		t.Errorf("with a certificate of another authority: %q, %s", r.Stdout, r.Stderr)
	}
}
