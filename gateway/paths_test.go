package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
)

// The path of a request matches that of an endpoint if their decoded segments are equal (RFC 3986 §6.2.2.2, §2.2).
func TestEncodedPaths(t *testing.T) {
	opened := make(chan [2]string, 1)
	r := runTargets(t, parse(t, `endpoints:
	- {name: umlaut, path: /räume, target: echo, auth: [anonymous]}
	- {name: encoded, path: /caf%%C3%%A9, target: echo, auth: [anonymous]}
	- {name: chat, path: /chat, target: echo, auth: [anonymous]}
	- {name: room, path: "/rooms/{room}", target: echo, auth: [anonymous]}
	- {name: rest, path: "/all/{room...}", target: echo, auth: [anonymous]}
`), map[string]newTarget{"echo": func(cfg *config.Config, i int) (Target, error) {
		return &fakeTarget{open: func(ctx context.Context, r *Request) (*Opened, error) {
			opened <- [2]string{cfg.Endpoints[i].Name, r.PathValue("room")}
			return echo{}.Open(ctx, r)
		}}, nil
	}})
	for _, tt := range []struct{ path, endpoint, room string }{
		{"/r%C3%A4ume", "umlaut", ""},
		{"/r%c3%a4ume", "umlaut", ""},
		{"/räume", "umlaut", ""}, // the client encodes the path
		{"/rooms/100%25", "room", "100%"},
		{"/caf%C3%A9", "encoded", ""},
		{"/c%61f%C3%A9", "encoded", ""},
		{"/chat", "chat", ""},
		{"/ch%61t", "chat", ""},
		{"/%63%68%61%74", "chat", ""},
		{"/chat%3Fa", "", ""},
		{"/CHAT", "", ""},
		{"/rooms/a.b", "room", "a.b"},
		{"/rooms/%C3%A4%20%3F", "room", "ä ?"},
		{"/rooms/a%252Fb", "room", "a%2Fb"},
		{"/rooms/a/b", "", ""},
		{"/all/a/b/c", "rest", "a/b/c"},
	} {
		if tt.endpoint == "" {
			if e := r.refuse(t, tt.path, nil); e.Status != 404 {
				t.Errorf("%s: %v", tt.path, e)
			}
			continue
		}
		c := r.open(t, tt.path, nil)
		if at := bounded.Receive(t, opened); at != [2]string{tt.endpoint, tt.room} {
			t.Errorf("%s: endpoint and room are %q", tt.path, at)
		}
		c.CloseNow()
	}
}

// A path that two servers could interpret differently is rejected at every endpoint: before a less specific endpoint matches, and
// before a server behind the balancer gets it.
func TestPathConfusion(t *testing.T) {
	behind := newBackend(t, "a")
	r := run(t, parse(t, `endpoints:
	- {name: private, path: /private/, target: echo, auth: [anonymous], rules: [{do: deny}]}
	- {name: all, path: /, auth: [anonymous], target: {balance: {to: ["%s"], health: off}}}
`, behind.id()))
	for path, fault := range map[string]string{
		"/private%2fa": "an encoded slash", "/private%2Fa": "an encoded slash", "/a%2f..%2fprivate/a": "an encoded slash",
		`/private\a`: "a backslash", "/private%5ca": "a backslash", "/a/..%5Cprivate": "a backslash",
		"/a/../private/a": "a dot segment", "/./private/a": "a dot segment", "/a/%2e%2e/private/a": "a dot segment", "/a/%2E./private": "a dot segment",
		"/private/..": "a dot segment", "/.": "a dot segment", "/private/%2e": "a dot segment",
		"/private;a=b/c": "a semicolon", "/a/..;/private": "a semicolon", "/private%3ba": "a semicolon",
		"/private%00": "a control character", "/a%0d%0aX-A:%20b": "a control character", "/a%7f": "a control character",
		"//private/a": "an empty segment", "/a//private": "an empty segment", "//evil.example/private": "an empty segment", "/private//": "an empty segment",
		"/private#a": "a fragment", "/a#/../private": "a fragment", "/private%20#": "a fragment",
		"/priv%e4te": "bytes that are not UTF-8", "/%c0%ae%c0%ae/private": "bytes that are not UTF-8", "/%ff": "bytes that are not UTF-8",
	} {
		for _, head := range []string{upgradeHead, "Host: a.example\r\n"} {
			status, body := raw(t, r, "GET "+path+" HTTP/1.1\r\n"+head+"\r\n")
			if status != 400 || path[1] != '\\' && !strings.Contains(body, fault) {
				t.Errorf("%s: %d %q, want %s", path, status, body, fault)
			}
		}
	}
	if list := r.rec.refused.List(); len(list) == 0 || list[0].Status != 400 || list[0].Hint == "" {
		t.Errorf("recorded: %+v", list)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	if behind.open.Load() != 0 {
		t.Error("the server behind the balancer got a connection")
	}
}

// The audit log contains the path that the server behind the balancer gets.
func TestPathIsTheSame(t *testing.T) {
	behind := record(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	r := run(t, parse(t, `endpoints:
	- {name: all, path: /, auth: [anonymous], target: {balance: {to: ["%s"], health: off}}}
`, behind.id))
	for path, plain := range map[string]string{
		"/a": "/a", "/a%20b": "/a b", "/%61": "/a", "/caf%C3%A9": "/café", "/a%252fb": "/a%2fb", "/a..b/.c": "/a..b/.c", "/a+b,c": "/a+b,c", "/a%3Fb": "/a?b",
	} {
		raw(t, r, "GET "+path+" HTTP/1.1\r\n"+upgradeHead+"\r\n")
		if got := bounded.Receive(t, behind.streams); got.request.URL.Path != plain {
			t.Errorf("%s: the server behind the balancer gets %q, want %q", path, got.request.URL.Path, plain)
		}
		text, err := json.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		waitForLog(t, &r.audited, `"path":`+string(text))
	}
}

// raw sends a request unchanged, and returns the response.
func raw(t *testing.T, r *running, request string) (status int, body string) {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.URLs()[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Minute)) //nolint:errcheck // if the connection is broken, its next read or write fails anyway
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}
