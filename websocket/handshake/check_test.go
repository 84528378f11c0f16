package handshake

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// sample is the request of RFC 6455 §1.3.
const sample = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\nSec-WebSocket-Version: 13\r\n"

// parse parses a request as a server does.
func parse(t testing.TB, head string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n")))
	if err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	return r
}

// editSample returns the sample with the field line that begins with name replaced by lines, or removed if lines is "".
func editSample(name, lines string) string {
	i := strings.Index(sample, name+":")
	end := i + strings.Index(sample[i:], "\r\n") + 2
	if lines != "" {
		lines += "\r\n"
	}
	return sample[:i] + lines + sample[end:]
}

// verdict is the expected result of a check; the zero value means that the request is valid.
type verdict struct {
	stage   Stage
	section string
	status  int
}

func (want verdict) compare(t *testing.T, what string, v *Violation) {
	t.Helper()
	switch {
	case v == nil && want.stage == "":
	case v == nil:
		t.Errorf("%s: valid, want a violation of %s at %s", what, want.section, want.stage)
	case v.Stage != want.stage || v.Status != want.status || v.Section != want.section || v.Detail == "":
		t.Errorf("%s: %+v, want %+v", what, v, want)
	}
}

func TestRFC6455_4_2_1_Request(t *testing.T) {
	const clause = "RFC 6455 §4.2.1"
	header := verdict{StageHeader, clause, 400}
	upgrade := verdict{StageHeader, clause, 426}
	key := verdict{StageKey, clause, 400}
	ok := verdict{}
	for _, tt := range []struct {
		name string
		head string
		want verdict
	}{
		{"sample", sample, ok},
		{"POST", strings.Replace(sample, "GET", "POST", 1), verdict{StageRequest, clause, 405}},
		{"HEAD", strings.Replace(sample, "GET", "HEAD", 1), verdict{StageRequest, clause, 405}},
		{"HTTP/1.0", strings.Replace(sample, "HTTP/1.1", "HTTP/1.0", 1), upgrade},
		{"HTTP/1.2", strings.Replace(sample, "HTTP/1.1", "HTTP/1.2", 1), ok},
		{"HTTP/2", strings.Replace(sample, "HTTP/1.1", "HTTP/2.0", 1), verdict{StageRequest, "RFC 9113 §8.6", 400}},
		{"fragment", strings.Replace(sample, "/chat", "/chat#x", 1), verdict{StageRequest, "RFC 6455 §3", 400}},

		{"no Host", editSample("Host", ""), verdict{StageRequest, clause, 400}},
		{"Host with user", editSample("Host", "Host: a@b"), verdict{StageRequest, clause, 400}},
		{"Host is IPv6", editSample("Host", "Host: [::1]:80"), ok},

		{"no Upgrade", editSample("Upgrade", ""), upgrade},
		{"Upgrade among others", editSample("Upgrade", "Upgrade: h2c/1, WebSocket"), ok},
		{"Upgrade with a version", editSample("Upgrade", "Upgrade: websocket/13"), upgrade},
		{"Upgrade with a long s", editSample("Upgrade", "Upgrade: web\u017focket"), upgrade},
		{"no Connection", editSample("Connection", ""), header},
		{"Connection of Firefox", editSample("Connection", "Connection: keep-alive, Upgrade"), ok},
		{"Connection, two lines", editSample("Connection", "Connection: keep-alive\r\nConnection: upgrade"), ok},
		{"Connection, part of a word", editSample("Connection", "Connection: Upgrade-Insecure"), header},

		{"no key", editSample("Sec-WebSocket-Key", ""), key},
		{"empty key", editSample("Sec-WebSocket-Key", "Sec-WebSocket-Key:"), key},
		{"key of 15 bytes", editSample("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"), key},
		{"key of 17 bytes", editSample("Sec-WebSocket-Key", "Sec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMDA="), key},
		{"key of 18 bytes", editSample("Sec-WebSocket-Key", "Sec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMDAw"), key},
		{"key in base64url", editSample("Sec-WebSocket-Key", "Sec-WebSocket-Key: -_-_-_-_-_-_-_-_-_-_-w=="), key},
		{"key, spare bits", editSample("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="), ok},
		{"key, spaces around", editSample("Sec-WebSocket-Key", "Sec-WebSocket-Key: \t dGhlIHNhbXBsZSBub25jZQ== "), ok},
		{"two keys", sample + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", verdict{StageKey, "RFC 6455 §11.3.1", 400}},

		{"body", sample + "Content-Length: 1\r\n", verdict{StageRequest, "RFC 9110 §9.3.1", 400}},
		{"chunked", sample + "Transfer-Encoding: chunked\r\n", verdict{StageRequest, "RFC 9110 §9.3.1", 400}},
		{"no body", sample + "Content-Length: 0\r\n", ok},
		{"old draft", editSample("Sec-WebSocket-Version", ""), verdict{StageHeader, "RFC 6455 §4.4", 426}},
	} {
		tt.want.compare(t, tt.name, Check(parse(t, tt.head)))
	}
	r := parse(t, sample)
	r.Header["Host"] = []string{"a", "b"} // net/http itself rejects this
	verdict{StageRequest, clause, 400}.compare(t, "two Hosts", Check(r))
}

func TestRFC9112_3_2_Target(t *testing.T) {
	const clause = "RFC 9112 §3.2"
	form := verdict{StageRequest, clause, 400}
	for target, want := range map[string]verdict{
		"/": {}, "/?": {}, "//b/chat": {}, "/*": {}, "/a:80": {}, "/chat?u=http://b#": {StageRequest, "RFC 6455 §3", 400},
		"http://b": {}, "http://b/chat": {}, "HTTPS://b:443?q": {}, "ws://b/chat": {}, "wss://[::1]:80/": {}, "http://b:/": {},

		"*": form, "?q": form, "a:80": form, "a": form, "mailto:x": form, "foo:": form, "ftp://a/b": form, "http:chat": form,
		"http:/chat": form, "http:///chat": form, "http://:80/": form, "http://?q": form, "http://b:x/": form,
		"http://[b/": form, "http://b%41/": form, "http://[::1%25a]/": form, "http://u:p@b/chat": form, "http//b/": form,
		"://b/": form, "xws://b/": form, "wsss://b/": form, "": form,
	} {
		r := parse(t, sample)
		r.RequestURI, r.URL = target, nil
		want.compare(t, target, Check(r))
	}
	r := parse(t, sample)
	r.RequestURI = "" // some servers other than net/http leave this field empty
	verdict{}.compare(t, "no RequestURI", Check(r))
}

// RFC 9112 §3.2.2: "an origin server MUST ignore the received Host header field (if any) and instead replace it with the host
// information of the request-target"; §3.2 nevertheless requires the response 400 "to any request message that contains
// [...] a Host header field with an invalid field value".
func TestRFC9112_3_2_2_Authority(t *testing.T) {
	for _, tt := range []struct {
		target, host, want string // the authority; "" means that the request is invalid
		section            string
	}{
		{"/", "a", "a", ""},
		{"/", "", "", "RFC 6455 §4.2.1"},
		{"//b/", "a", "a", ""},
		{"http://b/", "a", "b", ""},
		{"HTTP://b:80?q", "a", "b:80", ""},
		{"ws://b", "a", "b", ""},
		{"ws://b/chat", "", "", clauseTarget},
		{"ws://b/chat", "a b", "", clauseTarget},
		{"ws://b/chat", "a/b", "", clauseTarget},
	} {
		o := OpeningOf(parse(t, sample))
		o.Target, o.Host = tt.target, tt.host
		v := o.Check()
		if tt.want == "" {
			verdict{StageRequest, tt.section, 400}.compare(t, tt.target+" with Host "+tt.host, v)
			continue
		}
		if got := o.Authority(); v != nil || got != tt.want {
			t.Errorf("%s with Host %s is for %q, %v; want %q", tt.target, tt.host, got, v, tt.want)
		}
	}
	// If the target is in absolute form, the Host header does not affect the check of the origin.
	o := OpeningOf(parse(t, sample))
	o.Target, o.Host = "http://b/chat", "example.com"
	verdict{StageOrigin, "RFC 6455 §10.2", 403}.compare(t, "the Host of another page", o.CheckOrigin(OriginPolicy{}))
	o.Target = "http://example.com/chat"
	verdict{}.compare(t, "the URI of the page", o.CheckOrigin(OriginPolicy{}))
}

// RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD respond
// with 501 (Not Implemented)."
func TestRFC9112_6_1_TransferCoding(t *testing.T) {
	unknown := verdict{StageRequest, "RFC 9112 §6.1", 501}
	content := verdict{StageRequest, "RFC 9110 §9.3.1", 400}
	for _, tt := range []struct {
		lines []string
		want  verdict
	}{
		{nil, verdict{}},
		{[]string{"chunked"}, content},
		{[]string{" Chunked\t"}, content},
		{[]string{"gzip"}, unknown},
		{[]string{"gzip, chunked"}, unknown},
		{[]string{"chunked", "chunked"}, unknown},
		{[]string{""}, unknown},
		{[]string{"identity"}, unknown},
		{[]string{"chunke"}, unknown},
	} {
		o := OpeningOf(parse(t, sample))
		o.TransferEncoding = tt.lines
		tt.want.compare(t, fmt.Sprintf("%q", tt.lines), o.Check())
	}
}

func TestRFC6455_4_4_Version(t *testing.T) {
	for value, want := range map[string]bool{
		"13": true, " 13\t": true, "": false, "8": false, "14": false, "013": false, "+13": false, "13x": false, "13, 8": false,
	} {
		v := Check(parse(t, editSample("Sec-WebSocket-Version", "Sec-WebSocket-Version: "+value)))
		if want {
			verdict{}.compare(t, value, v)
			continue
		}
		verdict{StageHeader, "RFC 6455 §4.4", 426}.compare(t, value, v)
		if v != nil && (v.Header.Get("Sec-WebSocket-Version") != "13" || v.Header.Get("Upgrade") != "websocket") {
			t.Errorf("%q: the reply does not contain the version: %v", value, v.Header)
		}
	}
	for _, second := range []string{"13", "8"} {
		v := Check(parse(t, sample+"Sec-WebSocket-Version: "+second+"\r\n"))
		verdict{StageHeader, "RFC 6455 §11.3.5", 426}.compare(t, "twice", v)
	}
}

func TestRFC6455_9_1_Offer(t *testing.T) {
	for value, want := range map[string]verdict{
		"permessage-deflate; client_max_window_bits": {},
		"foo; bar=1, baz": {},
		"permessage-deflate; server_max_window_bits=": {}, // RFC 7692 §7: declined
		"foo; bar=":  {StageExtension, "RFC 6455 §9.1", 400},
		"":           {StageExtension, "RFC 6455 §9.1", 400},
		`a; b="1 0"`: {StageExtension, "RFC 6455 §9.1", 400},
	} {
		want.compare(t, value, Check(parse(t, sample+"Sec-WebSocket-Extensions: "+value+"\r\n")))
	}
}

func TestRFC6455_4_2_2_Subprotocol(t *testing.T) {
	for _, tt := range []struct {
		server, offered []string
		want            string
	}{
		{[]string{"b", "a"}, []string{"a, b"}, "b"}, // in the server's order of preference
		{[]string{"b", "a"}, []string{"a", "b"}, "b"},
		{[]string{"a"}, []string{"A"}, ""},
		{[]string{"c"}, []string{"a, b"}, ""},
		{nil, []string{"a"}, ""},
		{[]string{"a"}, nil, ""},
		{[]string{"chat"}, []string{", ,chat,"}, "chat"},
		{[]string{""}, []string{"a,,b"}, ""},
	} {
		h := http.Header{}
		if tt.offered != nil {
			h[fieldProtocol] = tt.offered
		}
		if got := (&Opening{Protocol: h[fieldProtocol]}).Choose(tt.server); got != tt.want {
			t.Errorf("Subprotocol(%q, %q) = %q, want %q", tt.offered, tt.server, got, tt.want)
		}
	}
	for _, bad := range []string{"", " , ", "(chat)", "ch\xe4t", "a b"} {
		v := Check(parse(t, sample+"Sec-WebSocket-Protocol: "+bad+"\r\n"))
		verdict{StageSubprotocol, "RFC 6455 §4.3", 400}.compare(t, bad, v)
	}
}

func TestRFC6455_1_3_Accept(t *testing.T) {
	for key, want := range map[string]string{
		"dGhlIHNhbXBsZSBub25jZQ==": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
		"AAAAAAAAAAAAAAAAAAAAAA==": "ICX+Yqv66kxgM0FcWaLWlFLwTAI=",
	} {
		if got := string(AppendAccept(nil, key)); got != want {
			t.Errorf("the answer to %s is %s, want %s", key, got, want)
		}
	}
	if got := EncodeKey([16]byte([]byte("the sample nonce"))); got != "dGhlIHNhbXBsZSBub25jZQ==" {
		t.Errorf("the key is %s", got)
	}
}

func TestRFC6455_4_2_2_Answer(t *testing.T) {
	a := Answer{
		Key: " dGhlIHNhbXBsZSBub25jZQ== ", Subprotocol: "chat", Extensions: "foo; bar=1",
		Header: [2]http.Header{{"X-B": {"2", "3"}, "X-A": {"1"}}, nil},
	}
	const want = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n" +
		"Sec-WebSocket-Extensions: foo; bar=1\r\nX-A: 1\r\nX-B: 2\r\nX-B: 3\r\n\r\n"
	if got := string(a.AppendHead(nil)); got != want {
		t.Errorf("the answer is\n%q, want\n%q", got, want)
	}
	a = Answer{Key: "dGhlIHNhbXBsZSBub25jZQ=="}
	if got := string(a.AppendHead(nil)); strings.Contains(got, "Protocol:") || strings.Contains(got, "Extensions:") {
		t.Errorf("the answer contains fields that were not agreed on: %q", got)
	}
}

func TestCheckFields(t *testing.T) {
	for _, h := range []http.Header{
		{"Upgrade": {"x"}}, {"connection": {"x"}}, {"Sec-Websocket-Accept": {"x"}}, {"SEC-WEBSOCKET-PROTOCOL": {"chat"}},
		{"Content-Length": {"0"}}, {"Transfer-Encoding": {"chunked"}}, {"": {"x"}}, {"a b": {"x"}}, {"X:": {"x"}},
		{"X\r\nY": {"x"}}, {"X": {"a\r\nY: b"}}, {"X": {"a", "b\n"}}, {"X": {"\x00"}}, {"X": {" a"}},
	} {
		if CheckFields(h) == nil {
			t.Errorf("%q is accepted", h)
		}
	}
	for _, h := range []http.Header{nil, {"Set-Cookie": {"a=b", "c=d"}}, {"x-y": {""}}, {"X": {"caf\xe9 au lait"}}} {
		if err := CheckFields(h); err != nil {
			t.Errorf("%q: %v", h, err)
		}
	}
}

func TestRFC9110_10_1_1_Expect(t *testing.T) {
	other := verdict{StageRequest, "RFC 9110 §10.1.1", 417}
	for value, want := range map[string]verdict{"100-continue": {}, "100-Continue": {}, "": {}, "100": other, "100-continue, x": other, "x": other} {
		want.compare(t, value, Check(parse(t, sample+"Expect: "+value+"\r\n")))
	}
}
