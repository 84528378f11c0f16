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
