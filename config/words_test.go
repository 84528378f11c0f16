package config

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/handfast/handfast/config/internal/tree"
)

// Programs that write YAML 1.1 replace off with false, and people write yes and no: every key with the word off, and every boolean, accepts
// all of these words.
func TestWordsOfYAML11(t *testing.T) {
	document := func(falseWord, trueWord string) string {
		return strings.NewReplacer("OFF", falseWord, "ON", trueWord).Replace(`
listen:
  - {address: ":8443", tls: {mode: dev, client_auth: OFF, refuse_unknown: ON}}
  - {address: "127.0.0.1:8080", tls: OFF, redirect_https: ON}
  - {address: "127.0.0.1:8081", tls: {mode: OFF}, redirect_https: OFF}
console: OFF
admin: {address: OFF, pprof: OFF}
audit: OFF
endpoints:
  - path: /x
    auth: [anonymous]
    compression: ON
    expiry: {close: OFF}
    target: {balance: {to: ["ws://127.0.0.1:1"], sticky: OFF, hold: OFF, messages: OFF, rebalance: {enabled: OFF},
      health: OFF, request: {proxy_protocol: OFF}, storm: {resuming: OFF}}}
`)
	}
	want, err := Parse("f.yaml", []byte(document("false", "true")))
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range [][2]string{{"off", "on"}, {"Off", "On"}, {"OFF", "ON"}, {"no", "yes"}, {"No", "Yes"}, {"NO", "YES"}, {"False", "True"}, {"FALSE", "TRUE"}} {
		c, err := Parse("f.yaml", []byte(document(words[0], words[1])))
		if err != nil {
			t.Errorf("%q: %v", words, err)
			continue
		}
		if changes := Diff(want, c); len(changes) > 0 {
			t.Errorf("%q: %v", words, changes)
		}
	}
	e := want.Endpoints[0]
	b := e.Target.Settings.(*Balance)
	if want.Listen[1].TLS.Mode != TLSOff || want.Listen[0].TLS.ClientAuth != "off" || !want.Listen[1].RedirectHTTPS || want.Console || !want.Admin.Address.Off() ||
		want.Audit.To != "off" || !e.Compression.Enabled || e.Expiry.Close || b.Sticky.Cookie != "" || b.Hold.Mode != "off" || b.Health.Check != "off" ||
		b.Storm.Resuming.Header != "" || b.Request.ProxyProtocol != "off" {
		t.Errorf("%s", want.YAML())
	}
	// Every key whose documentation lists the word off must occur in the document above.
	off := regexp.MustCompile(`^ *\S+  \([^)]*\boff\b`)
	for _, key := range Keys() {
		text, _ := Doc(key)
		if off.MatchString(strings.TrimPrefix(text, "\n")) && !strings.Contains("listen[].tls.mode listen[].tls.client_auth audit.to "+
			"endpoints[].target.balance.hold.mode endpoints[].target.balance.health.check endpoints[].target.balance.request.proxy_protocol admin.address", key) {
			t.Errorf("%s is in no test", key)
		}
	}
	c, err := Load(Sources{Environ: []string{"HANDFAST_ADMIN_ADDRESS=false", "HANDFAST_AUDIT_TO=No", "HANDFAST_CONSOLE=off", "HANDFAST_LISTEN=[{address: ':1', tls: no}]"}})
	if err != nil || !c.Admin.Address.Off() || c.Audit.To != "off" || c.Console || c.Listen[0].TLS.Mode != TLSOff {
		t.Errorf("in the environment: %v", err)
	}
	// A text in quotes is not converted, and a word for true does not mean off.
	for _, document := range []string{"log: {level: off}\n", "listen: [{address: ':1', tls: on}]\n", "console: 'off'\n", "console: y\n", "audit: 'false'\n"} {
		if _, err := Parse("f.yaml", []byte(served(document))); err == nil {
			t.Errorf("%s is accepted", document)
		}
	}
	if c, err := Parse("f.yaml", []byte("endpoints: [{path: /x, name: no, target: echo, auth: [anonymous]}]")); err != nil || c.Endpoints[0].Name != "no" {
		t.Errorf("a text that looks like a boolean: %v", err)
	}
}

// A boolean in place of a text is an error. It was meant as a switch, and would otherwise become the name of a cookie or a file, or a
// secret.
func TestBooleansInPlaceOfTexts(t *testing.T) {
	balance := func(settings string) string {
		return "endpoints:\n  - {path: /x, auth: [anonymous], target: {balance: {to: [\"ws://127.0.0.1:1\"], " + settings + "}}}\n"
	}
	for document, want := range map[string]string{
		balance("sticky: true"):           `f.yaml:2:88: endpoints[0].target.balance.sticky.cookie: true without quotes is not text; expected text, such as handfast_server, or off`,
		balance("sticky: Yes"):            `sticky.cookie: Yes without quotes is not text`,
		balance("sticky: on"):             `sticky.cookie: on without quotes is not text`,
		balance("sticky: {cookie: true}"): `sticky.cookie: true without quotes is not text`,
		balance("sticky: {secret: true}"): `sticky.secret: true without quotes is not text`,
		balance("file: true"):             `balance.file: true without quotes is not text; expected the path of a file`,
		balance("request: {host: false}"): `balance.request.host: "false"`,
		balance("hold: true"):             `balance.hold.mode: "true"`,
		balance("storm: {resuming: on}"):  `balance.storm.resuming.header: on without quotes is not text`,
		served("store: true\n"):           `store: not an allowed kind`,
		served("store: {redis: true}\n"):  `store.redis: this is one value`,
		served("audit: {file: true}\n"):   `audit.file: true without quotes is not text`,
		served("audit: true\n"):           `audit.to: "true"`,
		served("admin: true\n"):           `admin: this is one value`,
		served("webhooks: true\n"):        `webhooks: this is one value`,
		served("log: true\n"):             `log`,
		"endpoints: [{path: /x, name: true, target: echo, auth: [anonymous]}]":                      `endpoints[0].name: true without quotes is not text`,
		"endpoints: [{path: /x, target: echo, auth: [true]}]":                                       `endpoints[0].auth[0]: "true" is not a method`,
		"endpoints: [{path: /x, target: echo, auth: [anonymous], hosts: [true]}]":                   `endpoints[0].hosts[0]: true without quotes is not text`,
		"endpoints: [{path: /x, target: echo, auth: [anonymous], rules: [{when: true, do: deny}]}]": ``,
	} {
		_, err := Parse("f.yaml", []byte(document))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", document, err)
		}
	}
	for _, word := range []string{"'true'", `"true"`, "cookie", "off", "false"} {
		if _, err := Parse("f.yaml", []byte(balance("sticky: "+word))); err != nil {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// Documents for which the YAML library would need minutes or gigabytes are rejected before it parses them; large files are not.
func TestBoundsOfDocuments(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x: 1\n", n) }
	for name, document := range map[string]string{
		"brackets": strings.Repeat("[", 20_000), "many brackets": strings.Repeat("[", tree.MaxFile-1), "braces": strings.Repeat("{", 20_000), "both": strings.Repeat("{a: [", 10_000),
		"lists": strings.Repeat("- ", 20_000), "a list and brackets": strings.Repeat("- [", 10_000), "keys": strings.Repeat("? ", 20_000),
		"keys and lists": strings.Repeat("? - ", 20_000), "many keys": long(20_000), "many items": strings.Repeat("-\n", 60_000),
		"closed in a comment": strings.Repeat(strings.Repeat("[", 90)+"\n#"+strings.Repeat("]", 90)+"\n", 500),
		"closed in a text":    "a: " + strings.Repeat("[ ']', ", 5_000),
	} {
		if _, err := Parse("f.yaml", []byte(document)); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: %.200v", name, err)
		}
		if _, err := Load(Sources{Environ: []string{"HANDFAST_ENDPOINTS=" + document}}); err == nil || len(err.Error()) > 2000 {
			t.Errorf("%s in the environment: %.200v", name, err)
		}
		if _, err := ParseCases("f.yaml", []byte(document)); err == nil {
			t.Errorf("%s as cases", name)
		}
	}
	deep := "auth: {p: {apikey: {keys: [{id: a, hash: sha256:" + strings.Repeat("0", 64) + ", claims: {x: " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "}}]}}}\n"
	if _, err := Parse("f.yaml", []byte(served(deep))); err != nil {
		t.Errorf("60 nested lists: %v", err)
	}
	var m strings.Builder
	m.WriteString("auth: {}\nendpoints:\n")
	for i := range 1000 {
		m.WriteString("  - {path: /" + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + fmt.Sprint(i) + ", target: echo, auth: [anonymous]}\n")
	}
	if _, err := Parse("f.yaml", []byte(m.String())); err != nil {
		t.Errorf("1000 endpoints: %.300v", err)
	}
}
