package explain

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"unicode"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/websocket/frame"
)

// controlText is text with which a hostile server could affect a terminal or a page: CSI in both forms, a bell, a text direction
// override, a script, and a byte that is not UTF-8.
const controlText = "\u009b31m\u202e<script>\xff"

// Nothing in the data of a server or a proxy affects the terminal or the page on which it is displayed, and all of it is UTF-8.
func TestReportWithoutControlCharacters(t *testing.T) {
	viaProxy := func(o *Options) { o.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "192.0.2.2:3128"}) }
	for name, c := range map[string]struct {
		opts  func(*Options)
		serve func(*exchange)
	}{
		"the reason": {serve: func(v *exchange) { v.writeText("HTTP/1.1 403 " + controlText + "\n\n") }},
		"a body":     {serve: func(v *exchange) { v.writeText("HTTP/1.1 500 No\n\n\x1b[31m\x07" + controlText) }},
		"a challenge": {serve: func(v *exchange) {
			v.writeText("HTTP/1.1 401 No\nWWW-Authenticate: B" + controlText + " realm=\"" + controlText + "\"\n\n")
		}},
		"a location":  {serve: func(v *exchange) { v.writeText("HTTP/1.1 301 No\nLocation: /%1b[31m/" + controlText + "\n\n") }},
		"the methods": {serve: func(v *exchange) { v.writeText("HTTP/1.1 405 No\nAllow: " + controlText + "\n\n") }},
		"a banner":    {serve: func(v *exchange) { v.writeText("SSH-2.0-\x1b[31m" + controlText + "\n") }},
		"garbage":     {serve: func(v *exchange) { v.open(""); v.writeText("lines of text \x1b[31m" + controlText + "\n") }},
		"a reason":    {serve: func(v *exchange) { v.open(""); v.send(frame.Close, "\x0f\xa0\x1b[31m\u009b\u202e<script>"); v.next() }},
		"a message":   {serve: func(v *exchange) { v.open(""); v.send(frame.Text, "\x1b[31m\u009b\u202e<script>\r\n"); v.respond() }},
		"what is agreed": {serve: func(v *exchange) {
			v.open("Sec-WebSocket-Protocol: " + controlText + "\nSec-WebSocket-Extensions: a; b=\"" + controlText + "\"\n")
		}},
		"a proxy's challenge": {opts: viaProxy, serve: func(v *exchange) {
			v.writeText("HTTP/1.1 407 No\nProxy-Authenticate: Basic realm=\"" + controlText + "\"\n\n")
		}},
		"a proxy's refusal": {opts: viaProxy, serve: func(v *exchange) { v.writeText("HTTP/1.1 502 " + controlText + "\n\n\x1b[31m") }},
		"no proxy":          {opts: viaProxy, serve: func(v *exchange) { v.writeText("220 \x1b[31m" + controlText + "\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := inMemory(t, c.serve)
				if c.opts != nil {
					c.opts(opts)
				}
				var out bytes.Buffer
				text := NewText(&out, nil)
				opts.OnBegin, opts.OnStep, opts.OnFrame = text.Begin, text.Step, text.Frame
				r := Explain(t.Context(), "ws://192.0.2.1/x", opts)
				text.End(r)
				b, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				var page bytes.Buffer
				c := Compare(r, r)
				if err := errors.Join(r.WriteMarkdown(&out), r.WriteHTML(&page), c.WriteMarkdown(&out), c.WriteHTML(&page)); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(page.String(), "&lt;script&gt;") || strings.Contains(page.String(), "<script") {
					t.Errorf("the page has a script, or lacks what the peer sent:\n%s", &page)
				}
				shown := out.String() + page.String() + fmt.Sprintf("%+v", r.Findings)
				if !utf8.ValidString(shown) || bytes.ContainsRune(b, utf8.RuneError) {
					t.Error("it is not UTF-8")
				}
				if i := strings.IndexFunc(shown, func(r rune) bool {
					return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
				}); i >= 0 {
					t.Errorf("a control character is in it: %q", shown[max(0, i-60):min(len(shown), i+20)])
				}
			})
		})
	}
}

// A secret that is part of an identifier, such as that of a fault, is not redacted there, because programs compare identifiers.
func TestRedactionKeepsIdentifiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) { v.writeText("HTTP/1.1 404 No\n\n") })
		opts.Credentials = Credentials{Username: "a", Password: "status", Bearer: "response"}
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		if r.Diagnosis == nil || r.Diagnosis.ID != FaultStatus404 || len(r.Diagnosis.ForOwner) == 0 {
			t.Errorf("%+v", r.Diagnosis)
		}
		if f := r.Findings[0]; f.Fault != FaultStatus404 || f.Stage != StageResponse {
			t.Errorf("%+v", f)
		}
	})
}

// A server that repeats a secret may escape it in various ways.
func TestSecretEncodings(t *testing.T) {
	const secret = `p"w'd<&>/é+x%`
	plain := func(s string) string {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		return strings.Trim(b.String(), "\n")
	}
	marshalled, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	var r redactor
	r.add(secret)
	for _, form := range []string{
		secret, plain(secret), string(marshalled), html.EscapeString(secret), strings.ReplaceAll(html.EscapeString(secret), "&#34;", "&quot;"),
		strings.ReplaceAll(url.QueryEscape(secret), "%3C", "%3c"), strings.ToLower(url.PathEscape(secret)),
		`p\"w'd<&>/\u00e9+x%`, // as escaped by Python's json
		`p&quot;w'd&lt;&amp;&gt;/é+x%`, `p&quot;w&#x27;d&lt;&amp;&gt;/é+x%`,
	} {
		if got := r.text("<" + form + ">"); !strings.Contains(got, redact.Mark) || strings.Contains(got, "w") {
			t.Errorf("%s is shown as %s", form, got)
		}
	}
}

// A server may also escape characters that need no escaping, or only some characters, and may truncate the result.
func TestSecretWithNeedlessEscapes(t *testing.T) {
	const secret = "Abc-123/ké+Zq9x7"
	each := func(format func(rune) string) string {
		var b strings.Builder
		for _, c := range secret {
			b.WriteString(format(c))
		}
		return b.String()
	}
	var r redactor
	r.add(secret)
	points := each(func(c rune) string { return fmt.Sprintf(`\u%04x`, c) })
	percent := each(func(c rune) string { return strings.ReplaceAll(fmt.Sprintf("% X", string(c)), " ", "") })
	percent = regexp.MustCompile("..").ReplaceAllString(percent, "%$0")
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	short := percent[:3*7]
	for form, want := range map[string]string{
		percent: "", strings.ToLower(percent): "", points: "", "%41bc-123/k%c3%a9%2bZq9x7": "", `\u0041bc-1\x323\/k\u00e9+Zq9x7`: "",
		each(func(c rune) string { return fmt.Sprintf("&#%d;", c) }): "", each(func(c rune) string { return fmt.Sprintf("&#x%x;", c) }): "",
		"Abc-123%2Fk&eacute;\\u002bZq9x7": "", percent[:3*9]: "", percent[:3*9+2]: "%C", points[:6*8]: "", points[:6*8+3]: `\u0`,
		url.QueryEscape(encoded): "", strings.ReplaceAll(encoded, "=", `\u003d`): "", short: short,
	} {
		if form != short {
			want = redact.Mark + want
		}
		if got := r.text("<" + form + ">"); got != "<"+want+">" {
			t.Errorf("%s is shown as %s, want <%s>", form, got, want)
		}
	}
}

// The search for a secret takes a bounded time, even if the secret consists of characters that begin escape sequences.
func TestSecretSearchIsBounded(t *testing.T) {
	var r redactor
	r.add(strings.Repeat(`\`, 4000) + "x")
	text := strings.Repeat(`\`, 8000)
	done := make(chan string, 1)
	go func() { done <- r.text(text) }()
	if got := bounded.Receive(t, done); strings.Contains(got, `\\\\\\\\`) {
		t.Errorf("%.80s", got)
	}
}

// The server's secrets in URLs are redacted in all header fields, in the body and in every output.
func TestSecretsOfTheServerInURLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) {
			v.writeText("HTTP/1.1 401 Unauthorized\nLink: <https://a:LNKPASS12@h/?access_token=LNKTOKEN1>; rel=next\n" +
				"Refresh: 0;url=https://u:REFPASS12@h/?token=REFTOKEN1\nX-Next: /in?ticket=NXTTICKET1\n" +
				"WWW-Authenticate: Bearer authorization_uri=\"https://u:WAPASS123@h/?token=WATOKEN12\"\n\n" +
				"<a href=\"https://u:BODPASS12@h/?x=1&amp;token=BODTOKEN1\">in</a> {\"at\":\"https:\\/\\/u:JSNPASS12@h\\/?token=JSNTOKEN1\"}")
		})
		var out bytes.Buffer
		text := NewText(&out, &TextOptions{Width: 10000})
		opts.OnStep = text.Step
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		text.End(r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		if !strings.Contains(out.String(), redact.Mark+"@h/") {
			t.Error("no URL is shown")
		}
		for _, secret := range []string{"PASS1", "TOKEN1", "TICKET1"} {
			if i := strings.Index(out.String(), secret); i >= 0 {
				t.Errorf("%s is in it: %.200q", secret, out.String()[max(0, i-80):])
			}
		}
	})
}

// Browsers accept a bare LF, as RFC 9112 §2.2 allows, and strict clients reject it. The handshake fails, and the cause mentions both.
func TestRFC9112_2_2_BareLF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) {
			v.Write([]byte("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: " +
				newKeyReport(v.req.Header.Get("Sec-WebSocket-Key")).Want + "\n\n"))
		})
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		if d := r.Diagnosis; d == nil || d.ID != FaultHeadBroken || d.Clause != "RFC 9112 §2.2" || !strings.Contains(d.Cause, "browsers accept this") {
			t.Errorf("%+v", d)
		}
	})
}
