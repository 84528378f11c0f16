package handshake

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// Each limit is tested from both sides: with the last valid value and with the first invalid one.

func TestRFC7692_7_1_2_SmallestWindows(t *testing.T) {
	for bits, ok := range map[int]bool{0: true, 7: false, 8: false, 9: true, 15: true, 16: false} {
		if _, err := NewDeflatePolicy(false, false, bits, 0); (err == nil) != ok {
			t.Errorf("a server's window of %d bits: %v", bits, err)
		}
		if _, err := NewDeflatePolicy(false, false, 0, bits); (err == nil) != ok {
			t.Errorf("a client's window of %d bits: %v", bits, err)
		}
	}
	// A codec that does not specify its windows supports 9 bits, but not 8.
	for offer, want := range map[string]string{
		"permessage-deflate; server_max_window_bits=9": "permessage-deflate; server_max_window_bits=9",
		"permessage-deflate; server_max_window_bits=8": "",
		"permessage-deflate; server_max_window_bits=15; client_max_window_bits; server_no_context_takeover; client_no_context_takeover":  "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
		"permessage-deflate; client_no_context_takeover; client_max_window_bits=9; server_no_context_takeover; server_max_window_bits=9": "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
	} {
		d, ok := NegotiateDeflate([]Extension{extension(t, offer)}, DeflatePolicy{})
		if got := d.Extension().String(); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %s, %t", offer, got, ok)
		}
	}
	any9 := DeflatePolicy{MaxServerBits: 9, MaxClientBits: 9}
	if d, ok := NegotiateDeflate([]Extension{extension(t, "permessage-deflate; client_max_window_bits")}, any9); !ok || d != (Deflate{ServerBits: 9, ClientBits: 9}) {
		t.Errorf("a policy of 9 bits results in %+v, %t", d, ok)
	}
	for max, want := range map[uint8]Deflate{
		8: {ServerBits: 9, ClientBits: 9}, 9: {ServerBits: 9, ClientBits: 9}, 10: {ServerBits: 10, ClientBits: 10}, 15: {ClientBits: AnyWindowBits},
	} {
		if d := OfferDeflate(DeflatePolicy{MaxServerBits: max, MaxClientBits: max}); d != want {
			t.Errorf("a policy of %d bits offers %+v", max, d)
		}
	}
	// A client that supports every window sends the parameter without a value.
	for d, want := range map[Deflate]string{
		{ClientBits: AnyWindowBits}:                 "permessage-deflate; client_max_window_bits",
		{ServerBits: 10, ClientBits: MaxWindowBits}: "permessage-deflate; server_max_window_bits=10; client_max_window_bits=15",
	} {
		if got := d.Extension().String(); got != want {
			t.Errorf("%+v is written as %q, want %q", d, got, want)
		}
	}
	for answer, ok := range map[string]bool{
		"permessage-deflate; client_max_window_bits=9": true, "permessage-deflate; client_max_window_bits=8": false,
	} {
		if d, err := VerifyDeflate(extension(t, answer), Deflate{ClientBits: AnyWindowBits}, 9); (err == nil) != ok || ok && d.ClientBits != 9 {
			t.Errorf("%s for a compressor that uses 9 bits: %+v, %v", answer, d, err)
		}
	}
	if _, err := VerifyDeflate(extension(t, "permessage-deflate; client_max_window_bits=9"), Deflate{}, 8); err == nil ||
		!strings.Contains(err.Error(), "was not offered") {
		t.Errorf("a window that was not offered: %v", err)
	}
}

// The bytes before and after the digits in ASCII are not accepted as digits, even if the resulting number would be valid.
func TestRFC9112_4_StatusConsistsOfDigits(t *testing.T) {
	for line, ok := range map[string]bool{
		"HTTP/1.1 101 x": true, "HTTP/1.9 909 x": true, "HTTP/1.0 101": true, "HTTP/1.1 100 x": true, "HTTP/1.1 0:1 x": false, "HTTP/1.1 10/ x": false,
		"HTTP/1.1 1/: x": false, "HTTP/1.1 099 x": false, "HTTP/1.: 101 x": false, "HTTP/1./ 101 x": false,
	} {
		r, _ := parseStatusLine([]byte(line))
		if (r != nil) != ok || ok && (r.Status < 100 || r.Status > 999) {
			t.Errorf("%s: %+v", line, r)
		}
	}
	text := "HTTP/1.1 101 x\r\n" + strings.Repeat("A: b\r\n", maxFields) + "\r\n"
	if r, _, v := feed(text, len(text)); v != nil || len(r.Header["A"]) != maxFields {
		t.Errorf("%d lines are not accepted: %v", maxFields, v)
	}
	text = "HTTP/1.1 101 x\r\nA: " + strings.Repeat("b", maxHead-len("HTTP/1.1 101 x\r\nA: \r\n\r\n")) + "\r\n\r\n"
	if r, _, v := feed(text, len(text)); v != nil || r == nil {
		t.Errorf("%d bytes are not accepted: %v", len(text), v)
	}
}

func TestParseOrigin_Scheme(t *testing.T) {
	for s, ok := range map[string]bool{
		"a://x": true, "z://x": true, "web+x://h": true, "a-1.9+0://h": true, "0a://x": false, "+a://x": false, "-a://x": false,
		"a_b://x": false, "a!://x": false, "a/b://x": false, "a:b://x": false, "a~://x": false, "`a://x": false, "{://x": false, "a@://x": false, "a[://x": false,
	} {
		if _, got := ParseOrigin(s); got != ok {
			t.Errorf("%s: %t", s, got)
		}
	}
	for s, ok := range map[string]bool{
		"[::1]": true, "[fe80::1%25e]": true, "[::%25e]": false, "[:]": true, "[1]": false, "[::g]": false, "[::1%]": true, "a": true, "": false,
		"a:65535": true, "a:65536": false, "a:0": true, "a:00080": true, "a:+1": false,
	} {
		if got := ValidHost(s); got != ok {
			t.Errorf("the host %s: %t", s, got)
		}
	}
}

func TestRFC1035_2_3_4_LabelsHave63Bytes(t *testing.T) {
	for n, ok := range map[int]bool{63: true, 64: false} {
		if _, v := ParseTarget("ws://\u00fc." + strings.Repeat("a", n) + "/"); (v == nil) != ok {
			t.Errorf("a label of %d bytes: %v", n, v)
		}
	}
}

func TestRFC9110_5_6_4_QuotedString(t *testing.T) {
	for in, ok := range map[string]bool{
		`host="a b"`: true, "host=\"a\tb\"": true, "host=\"a\x7f\"": false, "host=\"a\x1f\"": false, `host="a\"`: false, `host="~"`: true,
	} {
		if _, err := parseForwarded([]string{in}); (err == nil) != ok {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// A missing field is omitted, because an empty line would end the header.
func TestHeadersWithoutOptionalFields(t *testing.T) {
	r := Request{Target: "/", Host: "h", Key: "k"}
	const request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"
	if got := string(r.AppendHead(nil)); got != request {
		t.Errorf("%q", got)
	}
	a := Answer{Key: "dGhlIHNhbXBsZSBub25jZQ==", Header: [2]http.Header{{"X": {"1"}}}}
	const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX: 1\r\n\r\n"
	if got := string(a.AppendHead(nil)); got != answer {
		t.Errorf("%q", got)
	}
}

func TestOpening_HostLinesAndReset(t *testing.T) {
	for lines, ok := range map[int]bool{0: true, 1: true, 2: false} {
		o := OpeningOf(parse(t, sample))
		if o.HostLines = lines; (o.Check() == nil) != ok {
			t.Errorf("%d lines of Host: %v", lines, o.Check())
		}
	}
	o := OpeningOf(parse(t, sample+"Sec-WebSocket-Extensions: a; b=c, d\r\n"))
	if v := o.Check(); v != nil || len(o.Offers()) != 2 {
		t.Fatal(v)
	}
	// The memory is reused from its beginning, even after a request that was rejected because of its list.
	for _, list := range []string{"a; b=c, d", "e; f, g, ;", "h; i"} {
		o.Extensions = []string{list}
		if v := o.Check(); (v == nil) != (list != "e; f, g, ;") {
			t.Fatalf("%s: %v", list, v)
		}
	}
	if got := FormatExtensions(o.Offers()); got != "h; i" || len(o.offersBuf.params) != 1 {
		t.Errorf("after three lists Offers returns %q, with memory for %d parameters", got, len(o.offersBuf.params))
	}
	o.Reset()
	for _, e := range o.offersBuf.list[:cap(o.offersBuf.list)] {
		if e.Name != "" || e.Params != nil {
			t.Errorf("Reset retains %+v", e)
		}
	}
	for _, p := range o.offersBuf.params[:cap(o.offersBuf.params)] {
		if p != (Param{}) {
			t.Errorf("Reset retains %+v", p)
		}
	}
	if cap(o.offersBuf.list) == 0 || cap(o.offersBuf.params) == 0 {
		t.Error("Reset dropped the memory for lists")
	}
	if o.Key != nil || o.Offers() != nil || o.Method != "" {
		t.Errorf("%+v", o)
	}
}

func TestStatusHint_Bounds(t *testing.T) {
	for status, want := range map[int]string{299: "", 300: "redirects", 399: "redirects", 400: "body", 499: "", 501: "log", 500: "log"} {
		if hint := StatusHint(&Response{Status: status}); !strings.Contains(hint, want) || want == "" && hint != "" {
			t.Errorf("%d: %q", status, hint)
		}
	}
}

func TestRFC6455_9_1_SpaceAround(t *testing.T) {
	for _, in := range []string{"a ;b=c,d", "a; b=c,d", "a;b =c,d", "a;b= c,d", "a;b=c ,d", "a;b=c, d", " a;b=c,d ", "a\t;\tb\t=\tc\t,\td"} {
		list, err := ParseExtensions([]string{in})
		if got := FormatExtensions(list); err != nil || got != "a; b=c, d" {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestRFC3492_7_1_Samples(t *testing.T) {
	for host, want := range map[string]string{
		"\u043f\u043e\u0447\u0435\u043c\u0443\u0436\u0435\u043e\u043d\u0438\u043d\u0435\u0433\u043e\u0432\u043e\u0440\u044f\u0442\u043f\u043e\u0440\u0443\u0441\u0441\u043a\u0438": "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l", // (I)
		"a\u00fc":                        "xn--a-eha", // one basic code point
		"\u00fc":                         "xn--tda",
		"\u00fc\u4e2d":                   "xn--tda6360b", // code points far apart, so that the bias must be divided
		"a\u00fc\u4e2db":                 "xn--ab-xka8510f",
		"\u55e0\u5298":                   "xn--qfr39e",            // affected by each constant of the algorithm
		"\u8c0b\u7f46":                   "xn--jr0am5x",           // a digit that equals its own threshold
		"\u8845\u8486\u6561\u0453\u8a44": "xn--81a5080cnstukdd1c", // the bias at the limit of a division
		"\u00fc\u4e2d\u6587\u5b57":       "xn--tda6360b4iib2j",
		"pro\u010dprost\u011bnemluv\u00ed\u010desky":                              "xn--proprostnemluvesky-uyb24dma41a",               // (D)
		"t\u1ea1isaoh\u1ecdkh\u00f4ngth\u1ec3ch\u1ec9n\u00f3iti\u1ebfngvi\u1ec7t": "xn--tisaohkhngthchnitingvit-kjcr8268qyxafd2f1b9g", // (K)
	} {
		if g, v := ParseTarget("ws://" + host + "/"); v != nil || g.Name != want {
			t.Errorf("%+v (%v), want %s", g, v, want)
		}
	}
}

func TestRFC6874_2_Zone(t *testing.T) {
	for url, ok := range map[string]bool{"ws://[fe80::1%25eth0]/": true, "ws://[fe80::1%25a!]/": false, "ws://[fe80::1%25a%2F]/": false} {
		if g, v := ParseTarget(url); (v == nil) != ok {
			t.Errorf("%s: %+v, %v", url, g, v)
		}
	}
}

// An Opening that is reused without a Reset does not offer the extensions of the previous request.
func TestOpening_CheckedAgain(t *testing.T) {
	o := OpeningOf(parse(t, sample+"Sec-WebSocket-Extensions: a\r\n"))
	if v := o.Check(); v != nil || len(o.Offers()) != 1 {
		t.Fatal(v)
	}
	if o.Extensions = nil; o.Check() != nil || len(o.Offers()) != 0 {
		t.Errorf("Offers() = %v", o.Offers())
	}
}

func TestLastElements_Bound(t *testing.T) {
	list := lastElements([]string{"far," + strings.Repeat("near,", 32)})
	if len(list) != 32 || list[0] != "near" {
		t.Errorf("%d elements, the first is %s", len(list), list[0])
	}
}

func TestOpening_IsUpgrade(t *testing.T) {
	fields := []string{"h2c", "WebSocket"}
	for _, tt := range []struct {
		o    Opening
		want bool
	}{
		{Opening{Method: "GET", Major: 1, Minor: 1, Upgrade: fields}, true},
		{Opening{Method: "GET", Major: 1, Minor: 2, Upgrade: fields}, true},
		{Opening{Method: "GET", Major: 1, Minor: 1}, false},
		{Opening{Method: "GET", Major: 1, Minor: 1, Upgrade: []string{"h2c"}}, false},
		{Opening{Method: "POST", Major: 1, Minor: 1, Upgrade: fields}, false},
		{Opening{Method: "GET", Major: 1, Minor: 0, Upgrade: fields}, false},
		{Opening{Method: "GET", Major: 2, Minor: 0, Upgrade: fields}, false},
		{Opening{Method: "GET", Major: 2, Minor: 1, Upgrade: fields}, false},
		{Opening{Method: "GET", Major: 0, Minor: 9, Upgrade: fields}, false},
	} {
		if got := tt.o.IsUpgrade(); got != tt.want {
			t.Errorf("%+v: %t", tt.o, got)
		}
	}
}

// If a proxy removes the Upgrade header but keeps the key, the hint is about proxies.
func TestOpening_UpgradeHint(t *testing.T) {
	taken := editSample("Upgrade", "")
	for head, want := range map[string]string{taken: proxyHint, strings.Replace(taken, "Sec-WebSocket-Key", "X", 1): notWebSocket} {
		o := OpeningOf(parse(t, head))
		if v := o.Check(); v == nil || v.Status != http.StatusUpgradeRequired || v.Hint != want {
			t.Errorf("%q: %+v", head, v)
		}
	}
}

func TestRFC6455_11_1_1_CombiningMarks(t *testing.T) {
	for r, ok := range map[rune]bool{0x2ff: true, 0x300: false, 0x36f: false, 0x371: true} {
		if _, v := ParseTarget("ws://a" + string(r) + "/"); (v == nil) != ok {
			t.Errorf("%U in a host: %v", r, v)
		}
	}
}

func TestRFC6455_11_1_1_Escaped(t *testing.T) {
	if g, v := ParseTarget("ws://h/?\"<>\\^{|}`~!"); v != nil || g.URI != "/?%22%3C%3E%5C%5E%7B%7C%7D%60~!" {
		t.Errorf("%+v, %v", g, v)
	}
}

// The address of the peer of a Unix socket is empty, a path, or a name that begins with "@".
func TestTrustedPeer_UnixSocket(t *testing.T) {
	network := netip.MustParsePrefix("10.0.0.0/8")
	for _, remote := range []string{"", "@", "@name", "/run/proxy.sock"} {
		if !trustedPeer(remote, []netip.Prefix{network, {}}) || trustedPeer(remote, []netip.Prefix{network}) {
			t.Errorf("%q: the zero Prefix does not determine the result", remote)
		}
	}
	if trustedPeer("10.0.0.1:5", []netip.Prefix{{}}) {
		t.Error("the zero Prefix trusts an address")
	}
}
