//go:build e2e

package clients

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// connect is a JavaScript function that opens a WebSocket and reports the result.
const connect = `function connect(url, protocols) {
	return new Promise(done => {
		const ws = new WebSocket(url, protocols);
		let got = "";
		ws.onopen = () => ws.send("hello");
		ws.onmessage = e => { got = e.data; ws.close(1000); };
		ws.onclose = e => done(got + " " + ws.protocol + " " + e.code);
	});
}
`

// pages serves an empty page under every host name, and returns the port. GET /login sets a session cookie, like the login of a real
// site.
func (h *home) pages(token string) string {
	h.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.T.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>a page</title>")
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		// SameSite=None is the weakest protection: the browser includes the cookie in requests from any page.
		http.SetCookie(w, &http.Cookie{Name: "session", Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode})
	})
	s := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	ended := make(chan error, 1)
	go func() {
		ended <- s.ServeTLS(l, filepath.Join(h.Home, "server.pem"), filepath.Join(h.Home, "server.key"))
	}()
	h.T.Cleanup(func() { s.Close(); <-ended })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// visited returns a home whose certificate store trusts its CA, a token, and the port of the test pages.
func visited(t *testing.T) (h *home, token, pages string) {
	h = newHome(t)
	h.certificates()
	h.store()
	token = h.tokens()
	return h, token, h.pages(token)
}

// The JavaScript in docs/wss.md works on the server's own page.
func TestChromiumSubprotocolToken(t *testing.T) {
	h, token, _ := visited(t)
	port, log := h.serve(`
listen: [{address: localhost:PORT, tls: {files: [{cert: server.pem, key: server.key}]}}]
auth:
  users:
    jwt: {secret_file: secret, audience: [chat], from: [bearer, subprotocol]}
console: true
endpoints:
  - {path: /chat, target: echo, auth: [users], subprotocols: [chat.v1]}
`)
	b := h.browser()
	b.Open("https://localhost:" + port + "/")
	b.Eval(strings.ReplaceAll(guide(t, "chat.js"), "localhost:8443", "localhost:"+port))
	b.Eval("chat(" + fmt.Sprintf("%q", token) + ")")
	for _, want := range []string{"hello", "closed: 1000 "} {
		if got := b.Printed(); got != want {
			t.Errorf("the page prints %q, want %q\n%s", got, want, log)
		}
	}
	b.Eval(`chat("guessed")`)
	if got := b.Printed(); got != "closed: 1006 " {
		t.Errorf("with another token the page prints %q\n%s", got, log)
	}
	if got := b.Eval(connect + `connect("wss://localhost:` + port + `/chat", ["chat.v1", "handfast.token.` + token + `"])`); got != "hello chat.v1 1000" {
		t.Errorf("got %q; the selected subprotocol must be chat.v1, never the token\n%s", got, log)
	}
}

// The browser sends a session cookie with requests from any page. The server accepts requests from pages of the site only.
func TestChromiumSessionCookie(t *testing.T) {
	h, token, pages := visited(t)
	app := "https://app.example.com:" + pages
	quoted := `"` + app + `"`
	port, log := h.serve(`
listen: [{address: localhost:PORT, tls: {files: [{cert: server.pem, key: server.key}]}}]
auth:
  pages:
    cookie: {name: session, origins: [` + quoted + `], jwt: {secret_file: secret, audience: [chat]}}
endpoints:
  - {path: /chat, target: echo, auth: [pages], origins: [` + quoted + `]}
  - {path: /lax, target: echo, auth: [pages], origins: any}
`)
	b := h.browser()
	server := "wss://chat.example.com:" + port
	b.Open("https://app.example.com:" + pages + "/")
	b.Eval(connect)
	if got := b.Eval(`connect("` + server + `/chat")`); got != "  1006" {
		t.Errorf("before the login: %q\n%s", got, log)
	}
	log.Await(t, "status=401")
	b.Open("https://chat.example.com:" + pages + "/login")
	b.Open("https://app.example.com:" + pages + "/")
	b.Eval(connect)
	if got := b.Eval(`document.cookie + connect.name`); strings.Contains(got, token) {
		t.Errorf("the page sees %q", got)
	}
	for _, path := range []string{"/chat", "/lax"} {
		if got := b.Eval(`connect("` + server + path + `")`); got != "hello  1000" {
			t.Errorf("%s, a page of the site: %q\n%s", path, got, log)
		}
	}

	for _, host := range []string{"attacker.example", "other.example.com"} {
		b.Open("https://" + host + ":" + pages + "/")
		b.Eval(connect)
		for _, path := range []string{"/chat", "/lax"} {
			if got := b.Eval(`connect("` + server + path + `")`); got != "  1006" {
				t.Errorf("%s, a page of %s: %q\n%s", path, host, got, log)
			}
		}
		log.Await(t, `pages of the origin \"https://`+host) // rejected by the endpoint's list of origins
	}
	// At /lax, any origin is allowed, so only the cookie's list of origins rejects requests. Chromium does not include the cookie in
	// requests from other sites, but in those from a sibling host, regardless of SameSite. The logged message shows that the cookie was
	// sent.
	log.Await(t, `the request has the cookie session and comes from the origin [\"https://other.example.com`)
	if strings.Contains(log.String(), token) {
		t.Error("the token is in the log")
	}
}

// A ticket that a page obtains with its token is valid once, and only for pages of its origin.
func TestChromiumTicket(t *testing.T) {
	h, token, pages := visited(t)
	app := "https://app.example.com:" + pages
	quoted := `"` + app + `"`
	port, log := h.serve(`
listen: [{address: localhost:PORT, tls: {files: [{cert: server.pem, key: server.key}]}}]
auth:
  users:
    jwt: {secret_file: secret, audience: [chat]}
  tickets:
    ticket: {path: /ticket, auth: [users], origins: [` + quoted + `]}
endpoints:
  - {path: /chat, target: echo, auth: [tickets], origins: [` + quoted + `, "https://attacker.example:` + pages + `"]}
`)
	b := h.browser()
	script := connect + `const server = "chat.example.com:` + port + `";
async function ticket(token) {
	const reply = await fetch("https://" + server + "/ticket", { method: "POST", headers: { Authorization: "Bearer " + token } });
	return reply.ok ? (await reply.json()).ticket : reply.status + " " + (await reply.text()).trim();
}
const open = ticket => connect("wss://" + server + "/chat?ticket=" + ticket);
`
	b.Open(app + "/")
	b.Eval(script)
	if got := b.Eval(`ticket("guessed")`); got != "401 The credentials are missing or not valid." {
		t.Errorf("with another token: %q", got)
	}
	one := b.Eval(`ticket("` + token + `")`)
	if got := b.Eval(`open("` + one + `")`); got != "hello  1000" {
		t.Errorf("with the ticket %q: %q\n%s", one, got, log)
	}
	if got := b.Eval(`open("` + one + `")`); got != "  1006" {
		t.Errorf("with the same ticket again: %q\n%s", got, log)
	}
	two := b.Eval(`ticket("` + token + `")`)

	b.Open("https://attacker.example:" + pages + "/")
	b.Eval(script)
	if got := b.Eval(`open("` + two + `")`); got != "  1006" {
		t.Errorf("from a page of another origin: %q\n%s", got, log)
	}
	// Because of CORS, the page cannot read the response.
	if got := b.Eval(`ticket("` + token + `").catch(e => e.name)`); got != "TypeError" {
		t.Errorf("a page of an origin that is not allowed gets %q\n%s", got, log)
	}
	for _, secret := range []string{token, one, two} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}
