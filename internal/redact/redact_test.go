package redact

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for name, want := range map[string]bool{
		"Authorization": true, "x-auth-user": true, "Cookie": true, "access_token": true, "API-KEY": true, "key": true, "sid": true,
		"password": true, "passwd": true, "pwd": true, "X-Csrf-Token": true, "ticket": true, "sig": true, "code": true,
		"keyboard": false, "room": false, "decoder": false, "Origin": false, "Sec-WebSocket-Key": false,
		"WWW-Authenticate": false, "Proxy-Authenticate": false, "Access-Control-Allow-Credentials": false,
	} {
		if got := Name(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestURL(t *testing.T) {
	for _, tt := range []struct{ raw, url, setting string }{
		{"https://h/p", "https://h/p", "https://h/p"},
		{"https://u:p@h/p", "https://[redacted]@h/p", "https://[redacted]@h/p"},
		{"https://h/p?token=s&x=1&y", "https://h/p?token=[redacted]&x=1&y", "https://h/p?token=[redacted]&x=[redacted]&y"},
		{"https://h/p?%74oken=s", "https://h/p?%74oken=[redacted]", "https://h/p?%74oken=[redacted]"},
		{"https://h/p?%zz=s", "https://h/p?%zz=[redacted]", "https://h/p?%zz=[redacted]"},
		{"redis://u:a/b@h:1", "[redacted]", "[redacted]"},
		{"redis://u:12/b@h:1", "redis://u:12/b@h:1", "redis://[redacted]"},
		{"https://u:p@h/p?next=http://x", "https://[redacted]@h/p?next=http://x", "https://[redacted]@h/p?next=[redacted]"},
		{"https://h:1/p", "https://h:1/p", "https://h:1/p"},
		{"mailto:a@b", "[redacted]", "[redacted]"},
		{"://", "://", "://"},
	} {
		if got := URL(tt.raw); got != tt.url {
			t.Errorf("URL(%q) = %q, want %q", tt.raw, got, tt.url)
		}
		if got := Setting(tt.raw); got != tt.setting {
			t.Errorf("Setting(%q) = %q, want %q", tt.raw, got, tt.setting)
		}
	}
}

func TestSubprotocols(t *testing.T) {
	for list, want := range map[string]string{
		"chat, v2":                             "chat, v2",
		"chat, handfast.token.abc":             "chat, handfast.token.[redacted]",
		KubernetesPrefix + "YWJj":              KubernetesPrefix + "[redacted]",
		"v1.2.3,eyJ,a.b.c,eyJ.b":               "v1.2.3,eyJ,a.b.c,eyJ.b",
		"Bearer.abc,chat":                      "Bearer.[redacted],chat",
		"eyJhbGciOiJub25lIn0.e30.sig,token.":   "[redacted],token.",
		strings.ToUpper(KubernetesPrefix) + "": strings.ToUpper(KubernetesPrefix),
	} {
		if got := Subprotocols(list); got != want {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"<https://a:LNKPASS12@h/?access_token=s>; rel=next": "<https://[redacted]@h/?access_token=[redacted]>; rel=next",
		"0;url=https://u:REFPASS12@h/?x=1&token=s#a":        "0;url=https://[redacted]@h/?x=1&token=[redacted]#a",
		`Bearer uri="wss://u:p@h/?token=s", realm="a=b"`:    `Bearer uri="wss://[redacted]@h/?token=[redacted]", realm="a=b"`,
		`<a href="/in?x=1&amp;sid=s&amp;y=2">in</a>`:        `<a href="/in?x=1&amp;sid=[redacted]&amp;y=2">in</a>`,
		`{"at":"https:\/\/u:p@h\/?a=1\u0026token=s"}`:       `{"at":"https:\/\/[redacted]@h\/?a=1\u0026token=[redacted]"}`,
		"//u:p@h/ and https://h/cb#id_token=s":              "//[redacted]@h/ and https://h/cb#id_token=[redacted]",
		"https://u:a@b@h/, /x?%74oken=s, /x?%zz=s":          "https://[redacted]@h/, /x?%74oken=[redacted] /x?%zz=[redacted]",
		"https://h/u@h?x=1&keyboard=2, is it? a@b.example":  "https://h/u@h?x=1&keyboard=2, is it? a@b.example",
		"https://[redacted]@h/?token=[redacted]&x":          "https://[redacted]@h/?token=[redacted]&x",
		`{"at":"/?token=\u0061b\u0063\u0026x=1"}`:           `{"at":"/?token=[redacted]\u0026x=1"}`,
		`{"at":"/?\u0074oken\u003dabc\u0026x\u003d1"}`:      `{"at":"/?\u0074oken\u003d[redacted]\u0026x\u003d1"}`,
		`{"at":"\u002f\u002fu:p\u0040h\u002f"}`:             `{"at":"\u002f\u002f[redacted]\u0040h\u002f"}`,
		`<a href="&#x2F;in?token&#x3D;a&#98;c&amp;x=1">`:    `<a href="&#x2F;in?token&#x3D;[redacted]&amp;x=1">`,
		`/?token=\ud83d\ude00\ud83d\u0061"`:                 `/?token=[redacted]"`,
		"/?token=%61bc&x=%61":                               "/?token=[redacted]&x=%61",
		"a & b, c && d=e":                                   "a & b, c && d=e",
		"":                                                  "",
	} {
		if got := Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for s, want := range map[string]struct {
		text string
		n    int
	}{
		"%61bc": {"a", 3}, "%C3%A9": {"\xc3", 3}, "%zz": {}, "%6": {}, "+a": {" ", 1}, "a": {}, "": {},
		`\u0061bc`: {"a", 6}, `\u00e9`: {"é", 6}, `\ud83d\ude00!`: {"😀", 12}, `\ud83d\u0061`: {"\uFFFD", 6}, `\u006`: {}, `\u00zz`: {},
		`\x61b`: {"a", 4}, `\x6`: {}, `\xzz`: {}, `\/b`: {"/", 2}, `\"`: {`"`, 2}, `\\`: {`\`, 2}, `\n`: {}, `\`: {}, "\\\n": {}, `\é`: {},
		"&amp;b": {"&", 5}, "&#97;b": {"a", 5}, "&#x00061;": {"a", 9}, "&lt": {}, "&nothing;": {}, "&notit;": {}, "&": {}, "&#97": {},
		"&#" + strings.Repeat("0", maxEntity) + "97;": {},
	} {
		if text, n := Unescape(s); text != want.text || n != want.n {
			t.Errorf("Unescape(%q) = %q, %d, want %q, %d", s, text, n, want.text, want.n)
		}
	}
}
