package gateway

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
)

func TestPlainHost(t *testing.T) {
	for header, want := range map[string]string{
		"localhost": "localhost", "localhost:80": "localhost", "[::1]": "::1", "[::1]:80": "::1", "a-b.example_1:8080": "a-b.example_1",
		"192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:1": "::ffff:192.0.2.1",
		"": "!", ":80": "!", "..": "!", "-": "!", "[localhost]": "!", "[::1": "!", "[::1]x": "!", "[fe80::1%eth0]": "!", "[fe80::1%25eth0]": "!",
		"evil@localhost": "!", "a/b": "!", "a b": "!", "a\r\nb": "!", "a\\b": "!", "[192.0.2.1]": "!", "[[::1]]": "!",
		strings.Repeat("a", 256): "!",
	} {
		got, ok := plainHost(header)
		if !ok {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

// Servers disagree about where a request with two lengths ends, so no data after it is treated as another request.
func TestRFC9112_6_1_TwoLengths(t *testing.T) {
	r := run(t, parse(t, users+"console: true\n", key))
	c := send(t, strings.TrimPrefix(r.URLs()[0], "http://"), "127.0.0.5",
		"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if !resp.Close {
		t.Error("the connection continues")
	}
	if rest, _ := io.ReadAll(in); len(rest) != 0 {
		t.Errorf("a response to the smuggled request: %s", rest)
	}
}

// A connection stays open after a request with one length.
func TestPagesKeepConnection(t *testing.T) {
	r := run(t, parse(t, users+"console: true\n", key))
	get := "GET /none HTTP/1.1\r\nHost: localhost\r\n"
	in := bufio.NewReader(send(t, strings.TrimPrefix(r.URLs()[0], "http://"), "127.0.0.5", get+"\r\n"+get+"Connection: close\r\n\r\n"))
	for range 2 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

// Values that clients choose are logged as a single line of printable characters.
func TestLogsAreNotForged(t *testing.T) {
	r := run(t, parse(t, users, key))
	to := strings.TrimPrefix(r.URLs()[0], "http://")
	upgrade := " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	send(t, to, "127.0.0.5", "GET /chat%0d%0alevel=ERROR%1b[31m"+upgrade+"\r\n")
	send(t, to, "127.0.0.5", "GET /chat"+upgrade+"Origin: http://x\xff\x9b31m\r\nUser-Agent: \xe2\x80\xae\x9b31m\r\n\r\n")
	if e := r.refuse(t, "/chat", withToken(token("eve\r\nlevel=ERROR", time.Hour, nil))); e.Status != 401 {
		t.Errorf("a user name with a line break: %d", e.Status)
	}
	c := r.open(t, "/chat", withToken(token(`eve" level=ERROR "`, time.Hour, nil)))
	if err := c.Close(4000, "bye\r\nlevel=ERROR\x1b[31m"); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, &r.log, "msg=closed", "code=4000")
	waitForLog(t, &r.audited, `"refused"`, "chat", `"status":400`)
	waitForLog(t, &r.audited, `"refused"`, "origin")
	_, text := requestPage(t, "GET", r.AdminURL()+"/handshakes?format=text", nil)
	for name, told := range map[string]string{"log": r.log.String(), "audit": r.audited.String(), "/handshakes": text} {
		for line := range strings.Lines(told) {
			if strings.HasPrefix(line, "level=") || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(c rune) bool { return c < ' ' || c == 0x7f || c == 0x9b }) {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
}

// The invalid parts of an Origin, which may be secret, are shown nowhere, whether the client is rejected or admitted.
func TestOriginShowsNoSecret(t *testing.T) {
	r := run(t, parse(t, "endpoints:\n\t- {path: /same, target: echo, auth: [anonymous]}\n\t- {path: /any, target: echo, auth: [anonymous], origins: any}"))
	opts := &websocket.DialOptions{Header: http.Header{"Origin": {"https://u:SECRET@example.com/?SECRET"}}}
	e := r.refuse(t, "/same", opts)
	c := r.open(t, "/any", opts)
	_, connections := requestPage(t, "GET", r.AdminURL()+"/connections", nil)
	if err := c.Close(websocket.CodeNormal, ""); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, &r.log, "msg=closed")
	waitForLog(t, &r.audited, `"refused"`, "https://...@example.com/?...")
	_, refused := requestPage(t, "GET", r.AdminURL()+"/handshakes", nil)
	for name, text := range map[string]string{
		"log": r.log.String(), "audit": r.audited.String(), "/handshakes": refused, "/connections": connections, "reply": string(e.Body),
	} {
		if text == "" || strings.Contains(text, "SECRET") {
			t.Errorf("%s: %q", name, text)
		}
	}
}
