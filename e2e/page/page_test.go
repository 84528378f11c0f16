//go:build e2e

package page

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// quote returns a text as a JavaScript literal.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	return string(b)
}

const protected = `
console: true
auth:
  users: {jwt: {secret_file: secret, from: [bearer, subprotocol]}}
  kube: {jwt: {secret_file: secret, from: [kubernetes]}}
  tickets: {ticket: {path: /ticket, auth: [users]}}
endpoints:
  - {path: /echo, target: echo, auth: [anonymous], max_message: 64KiB}
  - {path: /chat, target: echo, auth: [users], subprotocols: [chat.v1], rules: [{when: '"chat" in claims.roles', do: allow}]}
  - {path: /bare, target: echo, auth: [users]}
  - {path: /kube, target: echo, auth: [kube], subprotocols: [chat.v1]}
  - {path: "/room/{name}", target: echo, auth: [tickets]}
  - {path: /channels, target: channels, auth: [anonymous], rules: [{do: allow}]}
apps: [{id: main, secret: "the secret of the application main"}]
hub: {namespaces: [{prefix: "", presence: true, history: 10}]}
`

// The README has a configuration with a protected endpoint. With this configuration, the page names the endpoint, reports the missing
// token instead of 1006, and connects with the token that the README's command prints.
func TestPageWithConfigurationOfREADME(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "cat >handfast.yaml <<'END'\n")
	config, rest, ok := strings.Cut(rest, "\nEND\n")
	_, rest, _ = strings.Cut(rest, "TOKEN=$(")
	command, _, found := strings.Cut(rest, ")\n")
	_, secret, _ := strings.Cut(config, `secret: "`)
	secret, _, _ = strings.Cut(secret, `"`)
	if !ok || !found {
		t.Fatal("README has no handfast.yaml, or no command that prints a token")
	}
	v := open(t, config+"\n")
	if got := v.Eval(`document.querySelector("#endpoint").value`); got != "/chat" {
		t.Errorf("the endpoint is %s", got)
	}
	v.shows("url-note", "Requires a credential")
	v.fails("Rejected with 401", "requires a credential", "enter a token above")
	if got := v.Eval(`document.querySelector("#chat").hidden`); got != "true" {
		t.Error("there is a chat without channels")
	}
	v.u.Write("secret", secret)
	v.set("token", strings.TrimSpace(v.u.Must(command)))
	v.connect()
	v.disconnect()
	v.quiet()
}

func TestMessages(t *testing.T) {
	v := open(t, protected)
	v.connect()
	v.set("text", "hello <b>")
	v.click("send")
	v.Until("the echo comes", `document.querySelectorAll("#log .received").length === 1`)
	v.shows("log", "hello <b>")

	v.format("json")
	v.set("text", `{"a": 1,}`)
	v.shows("text-note", "Not valid JSON")
	v.click("send")
	v.shows("text-note", "Not sent")
	const large = `{"big":12345678901234567890,"list":[1,{}],"s":"a, {b}: \"c\""}`
	v.set("text", large)
	v.click("pretty")
	if got := v.Eval(`document.querySelector("#text").value`); got != "{\n  \"big\": 12345678901234567890,\n  \"list\": [\n    1,\n    {}\n  ],\n  \"s\": \"a, {b}: \\\"c\\\"\"\n}" {
		t.Errorf("formatted:\n%s", got)
	}
	v.click("send")
	v.Until("the echo comes", `document.querySelectorAll("#log .received").length === 2`)

	v.format("hex")
	v.set("text", "0x48 65:6")
	v.shows("text-note", "5 digits")
	v.set("text", "48 zz")
	v.shows("text-note", `"z" is not a hexadecimal digit`)
	v.set("text", "00 48:65,0x6C ff")
	v.click("send")
	v.Until("the echo comes", `document.querySelectorAll("#log .received").length === 3`)
	v.shows("log", "5 bytes\n00 48 65 6c ff")

	v.click("ping")
	v.shows("log", "Round trip of a message and its echo through this WebSocket: ")
	v.set("filter", "0048656c")
	v.set("filter", "48 65 6C")
	v.shows("count", "2 of 8 lines")
	v.set("filter", "")
	v.set("kinds", "event")
	v.shows("count", "2 of 8 lines")

	v.Downloads(v.u.Home)
	v.click("save")
	var file []byte
	harness.Until(t, "the log is saved", func() bool {
		names, err := filepath.Glob(filepath.Join(v.u.Home, "handfast-*.jsonl"))
		if err != nil || len(names) != 1 {
			return false
		}
		file, err = os.ReadFile(names[0])
		return err == nil && len(file) > 0
	})
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	if len(lines) != 8 || !strings.Contains(lines[2], `"kind":"received","text":"hello <b>"`) || !strings.Contains(string(file), `"hex":"0048656cff","size":5`) {
		t.Errorf("saved:\n%s", file)
	}
	v.set("kinds", "")
	v.format("text")
	v.set("text", strings.Repeat("x", 70_000))
	v.click("send")
	v.shows("state", "closed: 1009 message too big: a message was larger than the endpoint accepts")
	v.shows("log", "70,000 characters")
	v.quiet()
}

// If the endpoint does not echo, the label of the round trip says what is measured instead.
func TestRoundTripWithoutEcho(t *testing.T) {
	v := open(t, protected)
	v.set("endpoint", "/channels")
	v.connect()
	v.click("ping")
	v.shows("log", "Round trip of a separate HTTP request to this server")
	v.disconnect()
	v.shows("log", "Closed with 1000 normal closure")
}

func TestCredentials(t *testing.T) {
	v := open(t, protected)
	good, other, expired := token(time.Hour, "chat"), token(time.Hour), token(-time.Hour, "chat")
	forged := good[:strings.LastIndex(good, ".")+1] + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

	v.set("endpoint", "/chat")
	v.shows("url-note", "Requires a credential: a token as a subprotocol.")
	v.fails("Rejected with 401", "requires a credential, and the page sent none", "enter a token above")
	v.set("token", expired)
	v.fails("Rejected with 401", "The token expired at ", "use a new token")
	v.set("token", forged)
	v.fails("Rejected with 401", "did not accept the token", "the server's log has the reason")
	v.set("token", other)
	v.fails("Rejected with 403", "rules do not allow this user to connect", "the server's log names the rule")
	v.set("token", good)
	v.connect()
	v.shows("state", "connected, chat.v1")
	v.disconnect()
	v.set("subprotocols", "chat.v2, chat.v1")
	v.connect()
	v.shows("state", "connected, chat.v1")
	v.disconnect()
	v.set("subprotocols", "chat.v2")
	v.fails("Closed by the browser", "The endpoint's subprotocols: chat.v1.", "offer one of these")
	v.set("subprotocols", "chat v1")
	v.fails("Not sent", "a subprotocol", "correct the fields")
	v.set("subprotocols", "chat.v1")
	v.set("token", "a token")
	v.fails("Not sent", "characters that are not allowed in a subprotocol", "correct the fields")

	v.set("endpoint", "/bare")
	v.set("token", good)
	v.fails("Closed by the browser", "chose none of the offered subprotocols", "add one to the endpoint's subprotocols")
	v.set("endpoint", "/kube")
	v.connect()
	v.disconnect()

	v.set("endpoint", "/room/{name}")
	v.fails("Not sent", "Replace the part in braces", "correct")
	v.set("url", "/room/a?x=1")
	v.shows("url-note", "a ticket from /ticket")
	v.connect()
	v.shows("log", "/room/a?x=1.")
	v.disconnect()
	v.set("token", forged)
	v.fails("Not sent", "/ticket answered 401", "correct")
	v.noSecret(good, other, expired, forged, "hft_", "handfast-attempt")
	v.quiet()
}

func TestURLs(t *testing.T) {
	v := open(t, protected)
	for url, want := range map[string]string{
		"wss://example.com/echo":                   "This page can connect only to",
		strings.Replace(v.url, "http:", "wss:", 1): "This page was loaded over http",
		"/room/{name}":                             "Replace the part in braces.",
		"http://[":                                 "This is not a URL.",
		"/none":                                    "The server has no endpoint at this path.",
		"echo":                                     "Open to all clients.",
		strings.Replace(v.url, "http:", "ws:", 1) + "echo": "Open to all clients.",
	} {
		v.set("url", url)
		v.shows("url-note", want)
	}
	v.set("url", "/none?x=1")
	v.fails("Rejected with 404", "There is no endpoint at this path.", "check the path")
	v.s.Stop(os.Interrupt)
	v.set("url", "/echo")
	v.fails("No response", "The server does not respond", "start the server")
}
