package explain

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/websocket/frame"
)

// One secret for each kind of credential.
const (
	secretBearer   = "bearer-Zq81x"
	secretPassword = "pass word/9&<>"
	secretCookie   = "cookie-u71Kd"
	secretCookie2  = "cookie-Lw02s"
	secretAPIKey   = "apikey-88aQz"
	secretSub      = "subprotocol-7Gh1"
	secretTicket   = "ticket+P1/x=="
	secretQuery    = "query-6Ttu0"
	secretHeader   = "header-3Vbn4"
	secretUserinfo = "userinfo-5Mka"
	secretProxy    = "proxy-2Rew9"
	secretPlainSub = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
)

// forms returns all forms in which the secrets might occur in the output.
func forms() []string {
	var all []string
	for _, s := range []string{
		secretBearer, secretPassword, secretCookie, secretCookie2, secretAPIKey, secretSub, secretTicket, secretQuery,
		secretHeader, secretUserinfo, secretProxy, secretPlainSub,
	} {
		quoted, _ := json.Marshal(s)
		all = append(all, s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)),
			base64.RawURLEncoding.EncodeToString([]byte(s)), fmt.Sprintf("%x", s), fmt.Sprintf("% x", s),
			strings.Trim(string(quoted), `"`))
	}
	return append(all, basic("alice", secretPassword), basic("bob", secretUserinfo), basic("carol", secretProxy))
}

// withSecrets adds every kind of credential to opts.
func withSecrets(opts *Options) {
	opts.Credentials = Credentials{
		Bearer: secretBearer, Cookie: "sid=" + secretCookie + "; theme=\"" + secretCookie2 + "\"", APIKey: secretAPIKey,
		SubprotocolToken: secretSub, Query: url.Values{"ticket": {secretTicket}},
	}
	opts.Header = http.Header{"X-Auth-Thing": {secretHeader}}
	opts.Subprotocols = []string{"chat", secretPlainSub}
}

// No output contains a secret, whatever the server does with the secret: neither the report, nor its JSON and text forms, nor the arguments
// of the callbacks.
func TestSecretsAreRedacted(t *testing.T) {
	const target = "ws://192.0.2.1/chat?access_token=" + secretQuery + "&x=1"
	repeats := func(v *exchange) string {
		dump, _ := httputil.DumpRequest(v.req, false)
		return string(dump)
	}
	for name, c := range map[string]struct {
		url   string
		opts  func(*Options)
		serve func(*exchange)
	}{
		"opened": {serve: func(v *exchange) { v.open("Sec-WebSocket-Protocol: chat\n"); v.respond() }},
		"the token as subprotocol": {serve: func(v *exchange) {
			v.open("Sec-WebSocket-Protocol: " + secretPlainSub + "\nX-Session-Token: " + secretCookie + "\n")
			v.respond()
		}},
		"the request in the body":           {serve: func(v *exchange) { v.writeText("HTTP/1.1 400 Bad Request\n\n" + repeats(v)) }},
		"the request in place of an answer": {serve: func(v *exchange) { v.writeText(repeats(v)) }},
		"the request in a head that breaks": {serve: func(v *exchange) {
			v.writeText("HTTP/1.1 200 OK\n" + strings.ReplaceAll(repeats(v), ": ", " "))
		}},
		"a redirect": {serve: func(v *exchange) {
			v.writeText("HTTP/1.1 302 Found\nLocation: https://u:" + secretPassword[:4] + secretBearer + "@h/?access_token=" + secretQuery +
				"\nSet-Cookie: sid=" + secretCookie + "; Path=/\n\n")
		}},
		"a broken rule": {opts: func(o *Options) { o.Watch, o.Echo = -1, "say "+secretBearer }, serve: func(v *exchange) {
			v.open("Sec-WebSocket-Protocol: chat\n")
			_, payload, _ := v.next()
			v.send(frame.Pong, payload)
			v.send(frame.Binary, repeats(v))
			v.next()
			v.send(frame.Continuation, "")
			v.next()
		}},
		"frames": {opts: func(o *Options) { o.Watch, o.Echo = -1, "say "+secretBearer }, serve: func(v *exchange) {
			v.open("Sec-WebSocket-Protocol: chat\n")
			_, payload, _ := v.next()
			v.send(frame.Pong, payload)
			_, payload, _ = v.next()
			v.send(frame.Text, payload)
			v.send(frame.Binary, repeats(v))
			v.send(frame.Text, strings.Repeat("a", shownPayload-3)+secretBearer)
			v.send(frame.Close, "\x0f\xa1"+secretBearer)
			v.next()
		}},
		"garbage": {serve: func(v *exchange) { v.open("Sec-WebSocket-Protocol: chat\n"); v.writeText(repeats(v)) }},
		"403":     {serve: func(v *exchange) { v.writeText("HTTP/1.1 403 Forbidden\n\n") }},
		"user information": {url: "ws://bob:" + secretUserinfo + "@192.0.2.1/", serve: func(v *exchange) {
			v.writeText("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=\"" + v.req.Header.Get("Authorization") + "\"\n\n")
		}},
		"Basic": {opts: func(o *Options) {
			o.Credentials = Credentials{Username: "alice", Password: secretPassword}
		}, serve: func(v *exchange) { v.writeText("HTTP/1.1 200 OK\n\n" + repeats(v)) }},
		"a proxy": {opts: func(o *Options) {
			o.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("carol", secretProxy), Host: "192.0.2.2:3128"})
		}, serve: func(v *exchange) {
			v.writeText("HTTP/1.1 407 No\nProxy-Authenticate: Basic realm=\"x\"\n\n" + repeats(v))
		}},
		"a URL that does not parse": {url: "ws://bob:" + secretUserinfo + "@192.0.2.1:x/?token=" + secretQuery},
		"a URL with a space": {url: "ws://bob:" + secretUserinfo + "@192.0.2.1/ ?token=" + secretQuery,
			serve: func(v *exchange) { v.writeText("HTTP/1.1 200 OK\n\n" + repeats(v)) }},
		"no scheme":  {url: "bob:" + secretUserinfo + "@192.0.2.1/?token=" + secretQuery},
		"a fragment": {url: "ws://bob:" + secretUserinfo + "@192.0.2.1/?token=" + secretQuery + "#x"},
		"a header that cannot be": {opts: func(o *Options) {
			o.Header = http.Header{"X-Secret": {secretHeader + "\r\n"}, "Upgrade": {secretHeader}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := inMemory(t, c.serve)
				withSecrets(opts)
				if c.opts != nil {
					c.opts(opts)
				}
				raw := target
				if c.url != "" {
					raw = c.url
				}
				var out bytes.Buffer
				text := NewText(&out, &TextOptions{Width: 10000})
				opts.OnBegin = func(stage Stage, title string) { fmt.Fprintln(&out, stage, title); text.Begin(stage, title) }
				opts.OnStep = func(s Step) { fmt.Fprintf(&out, "%+v\n", s); text.Step(s) }
				opts.OnFrame = func(f Frame) { fmt.Fprintf(&out, "%+v\n", f); text.Frame(f) }
				r := Explain(t.Context(), raw, opts)
				text.End(r)
				b, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "%s\n%+v\n", b, r)
				for _, secret := range forms() {
					if i := strings.Index(out.String(), secret); i >= 0 {
						t.Errorf("%q is in it: %q", secret, out.String()[max(0, i-80):i+len(secret)])
					}
				}
			})
		})
	}
}

func TestSecretNames(t *testing.T) {
	for name, want := range map[string]bool{
		"Authorization": true, "Cookie": true, "X-Api-Key": true, "X-Auth-Token": true, "access_token": true, "sig": true,
		"ticket": true, "code": true, "X-CSRF-Token": true, "jwt": true, "Password": true, "client_secret": true,
		"Sec-WebSocket-Key": false, "Sec-WebSocket-Accept": false, "WWW-Authenticate": false, "Origin": false, "Host": false,
		"room": false, "User-Agent": false, "Access-Control-Allow-Credentials": false, "Keep-Alive": false, "ETag": false,
	} {
		if got := redact.Name(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRedactedInPlace(t *testing.T) {
	var r redactor
	for _, c := range []struct{ name, value, want string }{
		{"Authorization", "Bearer abc", "Bearer [redacted]"},
		{"authorization", "abc", "[redacted]"},
		{"Cookie", "a=1; b=2; c", "a=[redacted]; b=[redacted]; [redacted]"},
		{"Set-Cookie", "a=1; HttpOnly", "a=[redacted]; HttpOnly"},
		{"Set-Cookie", "a=1", "a=[redacted]"},
		{"Location", "/next?token=abc&x=1", "/next?token=[redacted]&x=1"},
		{"Location", "https://u:p@h/", "https://[redacted]@h/"},
		{"Location", "//u:p@h/%zz", "[redacted]"},
		{"Sec-WebSocket-Protocol", "chat, base64url.bearer.authorization.k8s.io.YWJj, v2", "chat, base64url.bearer.authorization.k8s.io.[redacted], v2"},
		{"Sec-WebSocket-Protocol", "anycable-token.abc", "anycable-token.[redacted]"},
		{"Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0ODw=="},
		{"X-Request-Id", "abc", "abc"},
	} {
		if got := r.value(c.name, c.value); got != c.want {
			t.Errorf("%s: %s is shown as %s", c.name, c.value, got)
		}
	}
}

// Only the parts of a header's value that are credentials are secrets.
func TestSecretsOfHeaders(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("ann:a-long-password"))
	for _, tt := range []struct{ name, value, hidden, shown string }{
		{"Cookie", `a="first-secret"; second-secret; b=third-secret`, "first-secret second-secret third-secret", "a b"},
		{"Set-Cookie", `session="first-secret"; Path=/somewhere`, "first-secret", "session /somewhere"},
		{"Authorization", "Bearer first-secret", "first-secret", "Bearer"},
		{"Authorization", "Basic " + basic, basic + " a-long-password", "Basic"},
		{"Proxy-Authorization", "Basic " + basic, basic + " a-long-password", "Basic"},
		{"X-API-Key", "first second-secret", "first second-secret", ""},
		{"X-API-Key", "Basic " + basic, "", "a-long-password"},
		{"Accept", "text/html", "", "text/html"},
	} {
		var r redactor
		r.addField(tt.name, tt.value)
		for word := range strings.FieldsSeq(tt.hidden) {
			if tt.name != "X-API-Key" && strings.Contains(r.text("<"+word+">"), word) {
				t.Errorf("%s: %s is shown", tt.name, word)
			}
		}
		if tt.name == "X-API-Key" && tt.hidden != "" && strings.Contains(r.text(tt.value), "second-secret") {
			t.Errorf("%s is shown", tt.value)
		}
		for word := range strings.FieldsSeq(tt.shown) {
			if !strings.Contains(r.text("<"+word+">"), word) {
				t.Errorf("%s: %s is hidden", tt.name, word)
			}
		}
	}
}
