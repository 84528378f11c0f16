package handshake

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// feed parses s in pieces of n bytes.
func feed(s string, n int) (r *Response, rest string, v *Violation) {
	var h Head
	for i := 0; i < len(s); i += n {
		part := s[i:min(i+n, len(s))]
		r, rest, v := h.Feed([]byte(part))
		if v != nil {
			return nil, "", v
		}
		if r != nil {
			return r, string(rest) + s[min(i+n, len(s)):], v
		}
	}
	return nil, "", nil
}

func TestRFC9112_4_Head(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Response
		rest       string
	}{
		{"plain", "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n\x81\x00",
			Response{1, 101, "Switching Protocols", http.Header{"A": {"b"}}}, "\x81\x00"},
		{"no reason", "HTTP/1.1 101 \r\n\r\n", Response{1, 101, "", http.Header{}}, ""},
		{"no reason and no space", "HTTP/1.1 101\r\n\r\n", Response{1, 101, "", http.Header{}}, ""},
		{"HTTP/1.0", "HTTP/1.0 400 Bad Request\r\n\r\nbody", Response{0, 400, "Bad Request", http.Header{}}, "body"},
		{"white space", "HTTP/1.1 200 x\r\na:\t b \t\r\n\r\n", Response{1, 200, "x", http.Header{"A": {"b"}}}, ""},
		{"two lines of a name", "HTTP/1.1 200 x\r\na: b\r\nA: c\r\n\r\n", Response{1, 200, "x", http.Header{"A": {"b", "c"}}}, ""},
		{"empty value", "HTTP/1.1 200 x\r\na:\r\n\r\n", Response{1, 200, "x", http.Header{"A": {""}}}, ""},
		{"bytes beyond ASCII", "HTTP/1.1 200 \xfc\r\na: \xfc\r\n\r\n", Response{1, 200, "\xfc", http.Header{"A": {"\xfc"}}}, ""},
		{"folded", "HTTP/1.1 200 x\r\na: b\r\n  c\r\n\td\r\n\r\n", Response{1, 200, "x", http.Header{"A": {"b c d"}}}, ""},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 y\r\nA: b\r\n\r\nz",
			Response{1, 101, "y", http.Header{"A": {"b"}}}, "z"},
		{"8 interim", strings.Repeat("HTTP/1.1 100 x\r\n\r\n", 8) + "HTTP/1.1 200 y\r\n\r\n", Response{1, 200, "y", http.Header{}}, ""},
	} {
		for _, n := range []int{1, 2, 3, 7, len(tt.text)} {
			r, rest, v := feed(tt.text, n)
			if v != nil || r == nil || !reflect.DeepEqual(*r, tt.want) || rest != tt.rest {
				t.Errorf("%s, in pieces of %d bytes: %+v, %q, %v", tt.name, n, r, rest, v)
			}
		}
	}
}

func TestRFC9112_HeadViolations(t *testing.T) {
	const status = "HTTP/1.1 101 Switching Protocols\r\n"
	for _, tt := range []struct {
		name, text string
		stage      Stage
		section    string
	}{
		{"garbage", "\x00\x01\x02\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"HTTP/2", "HTTP/2.0 101 x\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"lower case", "http/1.1 101 x\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"four digits", "HTTP/1.1 1010 x\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"two digits", "HTTP/1.1 99 x\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"low", "HTTP/1.1 099 x\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"a letter", "HTTP/1.1 101x\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"two spaces", "HTTP/1.1  101 x\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"HTTP/1.10", "HTTP/1.10 101 x\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"empty line first", "\r\n" + status + "\r\n", StageStatus, "RFC 9112 §4"},
		{"NUL in the reason", "HTTP/1.1 101 \x00\r\n\r\n", StageStatus, "RFC 9112 §4"},
		{"bare LF", "HTTP/1.1 101 x\n\n", StageStatus, "RFC 9112 §2.2"},
		{"bare LF alone", status + "\nA: b\r\n\r\n", StageHeader, "RFC 9112 §2.2"},
		{"a letter and no colon", status + "a\r\n\r\n", StageHeader, "RFC 9112 §5"},
		{"many lines too large", status + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 70) + "\r\n", StageHeader, "RFC 9110 §5.4"},
		{"bare LF later", status + "A: b\n\r\n", StageHeader, "RFC 9112 §2.2"},
		{"bare CR", status + "A: b\rC: d\r\n\r\n", StageHeader, "RFC 9112 §2.2"},
		{"CR CR LF", status + "A: b\r\r\n\r\n", StageHeader, "RFC 9112 §2.2"},
		{"no colon", status + "Foo\r\n\r\n", StageHeader, "RFC 9112 §5"},
		{"space before the colon", status + "Upgrade : x\r\n\r\n", StageHeader, "RFC 9112 §5.1"},
		{"no name", status + ": x\r\n\r\n", StageHeader, "RFC 9112 §5.1"},
		{"bad name", status + "Fo@o(): x\r\n\r\n", StageHeader, "RFC 9112 §5.1"},
		{"NUL", status + "A: \x00\r\n\r\n", StageHeader, "RFC 9110 §5.5"},
		{"folds nothing", status + " x: y\r\n\r\n", StageHeader, "RFC 9112 §5.2"},
		{"folds NUL", status + "A: b\r\n \x00\r\n\r\n", StageHeader, "RFC 9112 §5.2"},
		{"too many lines", status + strings.Repeat("A: b\r\n", maxFields+1) + "\r\n", StageHeader, "RFC 9110 §5.4"},
		{"too large", status + "A: " + strings.Repeat("b", maxHead) + "\r\n\r\n", StageHeader, "RFC 9110 §5.4"},
		{"too large, no line end", "HTTP/1.1 101 " + strings.Repeat("b", maxHead), StageStatus, "RFC 9110 §5.4"},
		{"9 interim", strings.Repeat("HTTP/1.1 100 x\r\n\r\n", 9) + status + "\r\n", StageStatus, "RFC 9110 §15.2"},
	} {
		for _, n := range []int{1, 5, len(tt.text)} {
			r, _, v := feed(tt.text, n)
			if r != nil || v == nil || v.Stage != tt.stage || v.Section != tt.section || v.Detail == "" {
				t.Errorf("%s, in pieces of %d bytes: %+v, %+v", tt.name, n, r, v)
			}
		}
	}
	for name, tt := range map[string]struct{ text, hint string }{
		"TLS alert":     {"\x15\x03\x01\x00\x02\x02\x28", "wss://"},
		"TLS handshake": {"\x16\x03\x01\x00\x02\x02\x28", "wss://"},
		"TLS data":      {"\x17\x03\x01\x00\x02\x02\x28", "other service"},
		"HTTP/2":        {"HTTP/2.0 101 x\r\n\r\n", "HTTP/1.1 on this port"},
		"HTTP/2 frame":  {"\x00\x00\x00\x04\x00", "HTTP/2"},
		"SSH":           {"SSH-2.0-x\r\n", "other service"},
	} {
		if _, _, v := feed(tt.text, 1); v == nil || !strings.Contains(v.Hint, tt.hint) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// validResponse is the valid response to the sample's key.
const validResponse = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

var goodRequest = &Request{Key: "dGhlIHNhbXBsZSBub25jZQ==", Subprotocols: []string{"chat", "superchat"}}

func TestRFC6455_4_1_Answer(t *testing.T) {
	const clause = "RFC 6455 §4.1"
	header := verdict{StageHeader, clause, 101}
	key := verdict{StageKey, clause, 101}
	for _, tt := range []struct {
		name, from, to string
		want           verdict
	}{
		{"good", "", "", verdict{}},
		{"other reason", "Switching Protocols", "Welcome", verdict{}},
		{"200", "101", "200", verdict{StageStatus, clause, 200}},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", verdict{StageStatus, "RFC 9110 §15.2", 101}},
		{"HTTP/1.2", "HTTP/1.1", "HTTP/1.2", verdict{}},
		{"no Upgrade", "Upgrade: websocket\r\n", "", header},
		{"Upgrade in capitals", "Upgrade: websocket", "Upgrade: WEBSOCKET", verdict{}},
		{"Upgrade and another", "Upgrade: websocket", "Upgrade: websocket, h2c", header},
		{"Upgrade with a long s", "Upgrade: websocket", "Upgrade: web\u017focket", header},
		{"no Connection", "Connection: Upgrade\r\n", "", header},
		{"Connection list", "Connection: Upgrade", "Connection: keep-alive, upgrade", verdict{}},
		{"Connection word", "Connection: Upgrade", "Connection: Upgrade-Insecure", header},
		{"no Accept", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "", key},
		{"Accept in lower case", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pplmbitxaq9kygzzhzrbk+xoo=", key},
		{"Accept without padding", "xOo=", "xOo", key},
		{"Accept and more", "xOo=", "xOo= x", key},
		{"Accept with spaces", ": s3p", ": \t s3p", verdict{}},
		{"Accept twice", "\r\n\r\n", "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", verdict{StageKey, "RFC 6455 §11.3.3", 101}},
		{"subprotocol", "\r\n\r\n", "\r\nSec-WebSocket-Protocol: superchat \r\n\r\n", verdict{}},
		{"subprotocol not offered", "\r\n\r\n", "\r\nSec-WebSocket-Protocol: Chat\r\n\r\n", verdict{StageSubprotocol, clause, 101}},
		{"subprotocol list", "\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n", verdict{StageSubprotocol, clause, 101}},
		{"subprotocol empty", "\r\n\r\n", "\r\nSec-WebSocket-Protocol:\r\n\r\n", verdict{StageSubprotocol, clause, 101}},
		{"subprotocol twice", "\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
			verdict{StageSubprotocol, "RFC 6455 §11.3.4", 101}},
		{"extension", "\r\n\r\n", "\r\nSec-WebSocket-Extensions: foo; a=1\r\n\r\n", verdict{}},
		{"extension not offered", "\r\n\r\n", "\r\nSec-WebSocket-Extensions: bar\r\n\r\n", verdict{StageExtension, clause, 101}},
		{"extension malformed", "\r\n\r\n", "\r\nSec-WebSocket-Extensions: ;foo\r\n\r\n", verdict{StageExtension, "RFC 6455 §9.1", 101}},
		{"extension empty", "\r\n\r\n", "\r\nSec-WebSocket-Extensions:\r\n\r\n", verdict{StageExtension, "RFC 6455 §9.1", 101}},
		{"extension, two lines", "\r\n\r\n", "\r\nSec-WebSocket-Extensions: foo\r\nSec-WebSocket-Extensions: foo\r\n\r\n",
			verdict{StageExtension, "RFC 6455 §11.3.2", 101}},
		{"extension twice", "\r\n\r\n", "\r\nSec-WebSocket-Extensions: foo, foo\r\n\r\n", verdict{StageExtension, "RFC 7692 §5", 101}},
	} {
		text := strings.Replace(validResponse, tt.from, tt.to, 1)
		a, _, v := feed(text, len(text))
		if v != nil || a == nil {
			t.Fatalf("%s: %v", tt.name, v)
		}
		req := *goodRequest
		req.Extensions = append(req.Extensions, extension(t, "foo"))
		subprotocol, ext, v := Verify(a, &req)
		tt.want.compare(t, tt.name, v)
		all := VerifyAll(a, &req)
		if i := slices.IndexFunc(all, func(d Verdict) bool { return d.Violation != nil }); len(all) != len(rules) ||
			(i < 0) != (v == nil) || i >= 0 && !reflect.DeepEqual(all[i].Violation, v) {
			t.Errorf("%s: VerifyAll returned %+v, whose first violation differs", tt.name, all)
		}
		if tt.name == "subprotocol" && subprotocol != "superchat" || tt.name == "extension" && (len(ext) != 1 || ext[0].String() != "foo; a=1") {
			t.Errorf("%s: agreed on %q and %q", tt.name, subprotocol, ext)
		}
	}
	a, _, _ := feed(strings.Replace(validResponse, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n", 1), 1000)
	_, _, v := Verify(a, &Request{Key: goodRequest.Key})
	verdict{StageSubprotocol, clause, 101}.compare(t, "a subprotocol although none was offered", v)
}

// VerifyAll continues after a violated rule, because each rule is checked independently.
func TestVerifyAll(t *testing.T) {
	a, _, _ := feed("HTTP/1.0 200 OK\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: x\r\n\r\n", 1000)
	broken := map[Rule]string{
		RuleStatus: "RFC 6455 §4.1 (1)", RuleVersion: "RFC 9110 §15.2", RuleConnection: "RFC 6455 §4.1 (3)",
		RuleAccept: "RFC 6455 §4.1 (4)", RuleSubprotocol: "RFC 6455 §4.1 (6)",
	}
	for _, d := range VerifyAll(a, goodRequest) {
		if section, want := broken[d.Rule]; want != (d.Violation != nil) || want && d.Section != section {
			t.Errorf("%+v", d)
		}
	}
}

func TestStatusHint(t *testing.T) {
	for status, want := range map[int]string{
		200: "path", 400: "body", 401: "Basic, Bearer", 403: "Origin", 404: "path", 405: "GET", 407: "proxy", 426: "proxy_http_version",
		429: "busy: try again later", 503: "busy, or is shutting down: try again later", 502: "behind", 504: "behind", 302: "redirects", 500: "log", 418: "",
	} {
		a := &Response{Minor: 1, Status: status, Header: http.Header{}}
		a.Header["Www-Authenticate"] = []string{`Basic realm="secret"`, "Bearer", "\xffx y"}
		hint := StatusHint(a)
		if !strings.Contains(hint, want) || strings.Contains(hint, "secret") || strings.Contains(hint, "\xff") {
			t.Errorf("%d: %q", status, hint)
		}
	}
	busy := &Response{Minor: 1, Status: 503, Header: http.Header{"Retry-After": {"7"}}}
	if !strings.Contains(StatusHint(busy), "Retry-After") {
		t.Error("the hint does not mention Retry-After")
	}
	old := &Response{Minor: 1, Status: 426, Header: http.Header{"Sec-Websocket-Version": {"8, 7"}}}
	if !strings.Contains(StatusHint(old), "version 13") {
		t.Error("the hint does not mention the version")
	}
}

// The result of parsing a response must not depend on how the network splits it. A response that opens a connection must contain
// everything that RFC 6455 §4.1 requires, according to a second, simpler parser.
func FuzzAnswer(f *testing.F) {
	f.Add(validResponse, byte(3))
	f.Add("HTTP/1.1 100 x\r\n\r\n"+validResponse+"\x81\x05Hello", byte(1))
	f.Add(strings.Replace(validResponse, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\nX: y\r\n z\r\n\r\n", 1), byte(9))
	f.Add("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\r\nbusy", byte(5))
	f.Add(strings.Replace(validResponse, "Upgrade: websocket", "Upgrade : websocket", 1), byte(2))
	f.Add(strings.ReplaceAll(validResponse, "\r\n", "\n"), byte(2))
	f.Add("\x15\x03\x01\x00\x02\x02\x28", byte(1))
	f.Fuzz(func(t *testing.T, s string, n byte) {
		if len(s) > 2048 {
			return // no rule concerns longer input, except for the limits, which are tested separately
		}
		type outcome struct {
			r           *Response
			rest        string
			v, verdict  *Violation
			subprotocol string
		}
		read := func(n int) (o outcome) {
			if o.r, o.rest, o.v = feed(s, n); o.r != nil {
				o.subprotocol, _, o.verdict = Verify(o.r, goodRequest)
			}
			return o
		}
		whole := read(max(len(s), 1))
		for _, n := range []int{1, int(n) + 1} {
			if cut := read(n); !reflect.DeepEqual(cut, whole) {
				t.Fatalf("cut into pieces of %d bytes: %+v, whole: %+v", n, cut, whole)
			}
		}
		if whole.r == nil || whole.verdict != nil {
			return
		}
		head := strings.ToLower(s[:len(s)-len(whole.rest)])
		for _, want := range []string{"http/1.", " 101", "\r\nupgrade:", "websocket", "\r\nconnection:", "\r\nsec-websocket-accept:",
			strings.ToLower("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "\r\n\r\n"} {
			if !strings.Contains(head, want) {
				t.Errorf("%q opened without %q", s, want)
			}
		}
		if strings.Contains(head, "sec-websocket-extensions:") {
			t.Errorf("%q opened with an extension that was not offered", s)
		}
	})
}
