package opening

import (
	"bufio"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sample is the request of RFC 6455 §1.3, without its empty line.
const sample = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// result is the complete result of Parse.
type result struct {
	verdict Verdict
	section string
	status  int
	length  int
}

// parse parses s in pieces of n bytes.
func parse(h *Head, s string, n int) result {
	for end := min(n, len(s)); ; end = min(end+n, len(s)) {
		verdict, v := h.Parse([]byte(s[:end])) // a copy at a different address each time
		if verdict == More && end < len(s) {
			continue
		}
		r := result{verdict: verdict}
		if verdict == Upgrade {
			r.length = h.Len()
		}
		if v != nil {
			r.section, r.status = v.Section, v.Status
		}
		return r
	}
}

func TestRFC9112_Head(t *testing.T) {
	with := func(lines string) string { return sample + lines + "\r\n\r\n" }
	line := func(s string) string { return strings.Replace(sample, "GET /chat HTTP/1.1", s, 1) + "\r\n" }
	bad := func(section string) result { return result{verdict: Bad, section: section, status: 400} }
	big := result{verdict: Bad, section: "RFC 6585 §5", status: 431}
	up, other := result{verdict: Upgrade}, result{verdict: Other}
	for _, tt := range []struct {
		name, head string
		want       result
	}{
		{"sample", sample + "\r\n", up},
		{"early bytes", sample + "\r\n\x81\x05\nGET \r\n\r\n", up},
		{"nothing", "", result{}},
		{"no empty line", sample, result{}},
		{"no final LF", sample + "\r", result{}},
		{"long lines", with("X: " + strings.Repeat("x", 8000)), up},
		{"query", line("GET /?a=%zz%20&b HTTP/1.1"), up},
		{"8 bit", line("GET /\xe4 HTTP/1.1"), up},
		{"whole URI", line("GET http://server.example.com/ HTTP/1.1"), up},
		{"HTTP/1.2", line("GET / HTTP/1.2"), up},
		{"lists and case", strings.NewReplacer("Upgrade: websocket", "uPGRADE:h2c, WebSocket\t").Replace(sample) + "\r\n", up},
		{"Content-Length", with("Content-Length: 5"), up}, // accepted by Parse; Check rejects the content
		{"obs-text", with("X: \xe4\tb"), up},

		{"no Upgrade", strings.Replace(sample, "Upgrade: websocket\r\n", "", 1) + "\r\n", other},
		{"another protocol", strings.Replace(sample, "websocket", "h2c", 1) + "\r\n", other},
		{"long s", strings.Replace(sample, "Upgrade: websocket", "Upgrade: web\u017focket", 1) + "\r\n", other},
		{"POST", "POST / HTTP/1.1\r\n", other},
		{"get", "get / HTTP/1.1\r\n", other},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n", other},
		{"HTTP/2", "GET / HTTP/2.0\r\n", other},
		{"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", other},

		{"TLS", "\x16\x03\x01\x02\x00", bad("RFC 9112 §3")},
		{"frame", "\x81\x85", bad("RFC 9112 §3")},
		{"empty line first", "\r\n" + sample + "\r\n", bad("RFC 9112 §3")},
		{"space first", " " + sample + "\r\n", bad("RFC 9112 §3")},
		{"HTTP/0.9", "GET /\r\n", bad("RFC 9112 §3")},
		{"HTTP/1.10", "GET / HTTP/1.10\r\n", bad("RFC 9112 §3")},
		{"http/1.1", "GET / http/1.1\r\n", bad("RFC 9112 §3")},
		{"two spaces", "GET  / HTTP/1.1\r\n", bad("RFC 9112 §3")},
		{"space after the version", "GET / HTTP/1.1 \r\n", bad("RFC 9112 §3")},
		{"tab", "GET\t/ HTTP/1.1\r\n", bad("RFC 9112 §3")},
		{"method that is not a token", "G(T / HTTP/1.1\r\n", bad("RFC 9112 §3")},
		{"no target", "GET HTTP/1.1\r\n", bad("RFC 9112 §3")},
		{"CR CR LF after the version", "GET / HTTP/1.1\r\r\n", bad("RFC 9112 §3")},
		{"control byte in the target", "GET /\x7f HTTP/1.1\r\n", bad("RFC 9112 §3.2")},
		{"CR in the target", "GET /\rx HTTP/1.1\r\n", bad("RFC 9112 §3.2")},
		{"percent in the path", "GET /%zz HTTP/1.1\r\n", bad("RFC 9112 §3.2")},
		{"percent at the end", "GET /%1 HTTP/1.1\r\n", bad("RFC 9112 §3.2")},
		{"bare LF", strings.ReplaceAll(sample, "\r", "") + "\n", bad("RFC 9112 §2.2")},
		{"bare LF further down", sample + "\n", bad("RFC 9112 §2.2")},
		{"folded line", with("X: a\r\n b"), bad("RFC 9112 §5.2")},
		{"folded first line", line("GET / HTTP/1.1\r\n X: a"), bad("RFC 9112 §5.2")},
		{"no colon", with("X"), bad("RFC 9112 §5")},
		{"no name", with(": x"), bad("RFC 9112 §5.1")},
		{"space before the colon", with("X : x"), bad("RFC 9112 §5.1")},
		{"space in the name", with("X Y: x"), bad("RFC 9112 §5.1")},
		{"8 bit in the name", with("X\xe4: x"), bad("RFC 9112 §5.1")},
		{"NUL", with("X: a\x00b"), bad("RFC 9110 §5.5")},
		{"bare CR", with("X: a\rb"), bad("RFC 9110 §5.5")},
		{"CR CR LF", with("X: a\r"), bad("RFC 9110 §5.5")},
		{"Content-Length: x", with("Content-Length: x"), bad("RFC 9112 §6.3")},
		{"Content-Length: -1", with("Content-Length: -1"), bad("RFC 9112 §6.3")},
		{"Content-Length: 0, 0", with("Content-Length: 0, 0"), bad("RFC 9112 §6.3")},
		{"two lengths", with("Content-Length: 0\r\nContent-Length: 00"), bad("RFC 9112 §6.3")},
		{"the same twice", with("Content-Length: 0\r\nContent-Length: 0"), up},
		{"chunked", with("Transfer-Encoding: Chunked"), up},
		{"Transfer-Encoding: gzip", with("Transfer-Encoding: gzip"), up},
		{"chunked twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), up},
		{"empty Content-Length", with("Content-Length:"), bad("RFC 9112 §6.3")},

		{"too long", with("X: " + strings.Repeat("x", DefaultBytes)), big},
		{"no line at all", strings.Repeat("x", DefaultBytes), big},
		{"one byte less", strings.Repeat("x", DefaultBytes-1), result{}},
		{"too many", sample + strings.Repeat("X: y\r\n", DefaultLines), big},
		{"as many as allowed", sample + strings.Repeat("X: y\r\n", DefaultLines-5) + "\r\n", up},
	} {
		var h Head
		if tt.want.verdict == Upgrade {
			tt.want.length = strings.Index(tt.head, "\r\n\r\n") + 4
		}
		for _, n := range []int{max(len(tt.head), 1), 1, 2, 7} {
			h.Reset(Limits{})
			if got := parse(&h, tt.head, n); got != tt.want {
				t.Errorf("%s, in pieces of %d: %+v, want %+v", tt.name, n, got, tt.want)
			}
		}
	}
}

func TestHead_Limits(t *testing.T) {
	whole := sample + "\r\n"
	var h Head
	for _, tt := range []struct {
		limits Limits
		want   Verdict
	}{
		{Limits{Bytes: len(whole)}, Upgrade},
		{Limits{Bytes: len(whole) - 1}, Bad},
		{Limits{Lines: 5}, Upgrade},
		{Limits{Lines: 4}, Bad},
		{Limits{Lines: 1}, Bad},
	} {
		for _, n := range []int{1, len(whole)} {
			h.Reset(tt.limits)
			if got := parse(&h, whole, n); got.verdict != tt.want {
				t.Errorf("%+v, in pieces of %d: %+v", tt.limits, n, got)
			}
		}
	}
}

// A verdict does not change, whatever bytes follow.
func TestHead_Final(t *testing.T) {
	for head, want := range map[string]Verdict{sample + "\r\n": Upgrade, "POST / HTTP/1.1\r\n": Other, "\r\n": Bad} {
		var h Head
		h.Reset(Limits{})
		first, v1 := h.Parse([]byte(head))
		again, v2 := h.Parse([]byte(head + "GET / HTTP/1.1\r\n\r\n"))
		if first != want || again != want || v1 != v2 {
			t.Errorf("%q: %v, then %v, want %v", head, first, again, want)
		}
	}
}

// The fields that the rules need equal those that net/http parses.
func TestHead_Opening(t *testing.T) {
	const more = "Origin: http://a\r\nsec-websocket-protocol: a ,b\r\nSec-WebSocket-PROTOCOL:c\r\nX-Forwarded-For: 10.0.0.1\r\n" +
		"X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\nForwarded: for=a\r\nForwarded: for=b\r\nExpect: 100-continue\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: x\r\nX-Forwarded-Fro: x\r\n\r\n"
	text := sample + more
	var h Head
	for range 2 { // the second time with the memory of the first call
		h.Reset(Limits{})
		if got := parse(&h, text, len(text)); got.verdict != Upgrade {
			t.Fatalf("%+v", got)
		}
		var r http.Request
		if err := Request(&r, text); err != nil {
			t.Fatal(err)
		}
		o := h.Opening(text)
		if o.Method != r.Method || o.Target != r.RequestURI || o.Host != r.Host || o.HostLines != 1 || o.Content || o.TLS ||
			o.Major != 1 || o.Minor != 1 || o.RemoteAddr != "" || len(r.Header["Host"]) > 0 {
			t.Errorf("%+v", o)
		}
		for name, got := range map[string][]string{
			"Upgrade": o.Upgrade, "Connection": o.Connection, "Expect": o.Expect, "Sec-Websocket-Key": o.Key,
			"Sec-Websocket-Version": o.Version, "Sec-Websocket-Protocol": o.Protocol,
			"Sec-Websocket-Extensions": o.Extensions, "Origin": o.Origin, "Forwarded": o.Forwarded,
			"X-Forwarded-For": o.ForwardedFor, "X-Forwarded-Proto": o.ForwardedProto, "X-Forwarded-Host": o.ForwardedHost,
		} {
			if want := r.Header[name]; len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if v := o.Check(); v != nil || o.Choose([]string{"c", "b"}) != "c" || len(o.Offers()) != 1 {
			t.Errorf("the request is rejected, or its lists differ: %v", v)
		}
	}
}

func TestRFC9112_HeadersThatCheckRejects(t *testing.T) {
	var h Head
	for head, want := range map[string]int{
		"Host: a\r\nHost: a\r\n": 400,
		"":                       400,
		"Host: a\r\n":            0,

		"Host: a\r\nTransfer-Encoding: gzip\r\n":                                  501,
		"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n": 501,
		"Host: a\r\nTransfer-Encoding: Chunked\r\n":                               400,
	} {
		h.Reset(Limits{})
		text := strings.Replace(sample, "Host: server.example.com\r\n", head, 1) + "\r\n"
		parse(&h, text, len(text))
		status := 0
		if v := h.Opening(text).Check(); v != nil {
			status = v.Status
		}
		if status != want {
			t.Errorf("%q: %d, want %d", head, status, want)
		}
	}
}

// If a request is not an upgrade, the reason is reported from the part of it that was parsed.
func TestHead_OtherIsNotAHandshake(t *testing.T) {
	for head, want := range map[string]int{
		"POST / HTTP/1.1\r\n":                                      http.StatusMethodNotAllowed,
		"GET / HTTP/1.0\r\n":                                       http.StatusUpgradeRequired,
		"GET / HTTP/2.0\r\n":                                       http.StatusBadRequest,
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                        http.StatusUpgradeRequired,
		"GET / HTTP/1.1\r\n\r\n":                                   http.StatusBadRequest,
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: a(\r\n\r\n":         http.StatusUpgradeRequired,
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket;\r\n\r\n": http.StatusUpgradeRequired,
	} {
		var h Head
		h.Reset(Limits{})
		got := parse(&h, head, len(head))
		if v := h.Opening(head).Check(); got.verdict != Other || v == nil || v.Status != want {
			t.Errorf("%q: %+v, %v", head, got, v)
		}
	}
}

// Parsing and checking a browser's request does not allocate.
func TestHead_NoAllocation(t *testing.T) {
	b := []byte(browser)
	var h Head
	if n := testing.AllocsPerRun(100, func() { judge(t, &h, b) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

const browser = sample + "Origin: http://server.example.com\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: chat, superchat\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0\r\nAccept: */*\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nCookie: a=b\r\nPragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n\r\n"

func judge(tb testing.TB, h *Head, b []byte) {
	h.Reset(Limits{})
	if verdict, v := h.Parse(b); verdict != Upgrade {
		tb.Fatal(verdict, v)
	}
	if v := h.Opening(View(b)).Check(); v != nil {
		tb.Fatal(v)
	}
}

func BenchmarkHead(b *testing.B) {
	head := []byte(browser)
	var h Head
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		judge(b, &h, head)
	}
}

func ExampleHead() {
	buf := []byte(sample + "\r\n\x81\x00")
	var h Head
	h.Reset(Limits{})
	for n := range len(buf) + 1 {
		verdict, violation := h.Parse(buf[:n])
		if verdict == More {
			continue
		}
		o := h.Opening(View(buf[:n]))
		fmt.Println(verdict == Upgrade, violation == nil, o.Target, o.Host, o.Check() == nil)
		break
	}
	// Output: true true /chat server.example.com true
}

// A request parsed without net/http equals the result of http.ReadRequest.
func TestSimpleRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		left bool // left to net/http
	}{
		"browser":               {browser, false},
		"no-cache, no Pragma":   {sample + "Cache-Control: max-age=0\r\n\r\n", false},
		"Pragma alone":          {sample + "Pragma: no-cache\r\n\r\n", false},
		"another Pragma":        {sample + "Pragma: x\r\n\r\n", false},
		"several values":        {sample + "x-a: 1\r\nX-A:2\r\nX-B: \r\nX-A:\t3 \t\r\n\r\n", false},
		"query":                 {strings.Replace(sample, "/chat", "/a%20b?c=d&e=%zz", 1) + "\r\n", false},
		"two slashes":           {strings.Replace(sample, "/chat", "//a/b", 1) + "\r\n", false},
		"proxy's Connection":    {strings.Replace(sample, "Connection: Upgrade", "Connection: keep-alive, upgrade", 1) + "\r\n", false},
		"whole URI":             {strings.Replace(sample, "/chat", "http://x/chat", 1) + "\r\n", true},
		"Connection with close": {strings.Replace(sample, "Connection: Upgrade", "Connection: close, Upgrade", 1) + "\r\n", true},
		"two Connections":       {sample + "Connection: close\r\n\r\n", true},
		"content":               {sample + "Content-Length: 0\r\n\r\n", true},
		"trailer":               {sample + "Trailer: X\r\n\r\n", true},
		"encoding":              {sample + "Transfer-Encoding: chunked\r\n\r\n", true},
		"two hosts":             {sample + "Host: b\r\n\r\n", true},
		"no host":               {strings.Replace(sample, "Host: server.example.com\r\n", "", 1) + "\r\n", false},
		"empty host":            {strings.Replace(sample, "server.example.com", "", 1) + "\r\n", true},
		"HTTP/1.2":              {strings.Replace(sample, "HTTP/1.1", "HTTP/1.2", 1) + "\r\n", true},
	} {
		var got http.Request
		simply := parseTypical(&got, tt.text)
		if simply == tt.left {
			t.Errorf("%s: %+v", name, got)
		}
		want, err := http.ReadRequest(bufio.NewReader(strings.NewReader(tt.text)))
		if simply && (err != nil || !reflect.DeepEqual(&got, want)) {
			t.Errorf("%s: %+v, not %+v, %v", name, got, want, err)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	b.ReportAllocs()
	var r http.Request
	for b.Loop() {
		if err := Request(&r, browser); err != nil {
			b.Fatal(err)
		}
	}
}
