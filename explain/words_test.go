package explain

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
)

// Each common mistake in computing the accept value is recognized, and no other value is.
func TestRFC6455_4_2_2_AcceptMistakes(t *testing.T) {
	tr := newTracer(t.Context(), nil)
	key := base64.StdEncoding.EncodeToString([]byte("sixteen bytes of"))
	tr.r.Key = newKeyReport(key)
	const guid = handshake.GUID
	b64 := func(s string) string {
		sum := sha1.Sum([]byte(s))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	sum := sha1.Sum([]byte(key + guid))
	long, short := sha256.Sum256([]byte(key+guid)), md5.Sum([]byte(key+guid))
	for value, want := range map[string]string{
		key: "not hashed", b64(key): "without the GUID", b64("sixteen bytes of" + guid): "decoded key", b64(key + strings.ToLower(guid)): "lower case",
		b64(guid + key): "wrong order", b64(key + " " + guid): "a space", b64(key + guid + "\n"): "newline at the end", b64(key + "\r\n" + guid): "CR LF of the header",
		hex.EncodeToString(sum[:]): "hexadecimal instead", base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:]))): "base64 of the hash in hexadecimal",
		base64.RawStdEncoding.EncodeToString(sum[:]): "without its padding", base64.StdEncoding.EncodeToString(long[:]): "SHA-256",
		base64.StdEncoding.EncodeToString(short[:]): "MD5", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=": "example of RFC 6455",
		"hello": "not the base64 of 20 bytes", base64.StdEncoding.EncodeToString(make([]byte, 19)): "not the base64 of 20 bytes", b64("something else"): "",
	} {
		if got := tr.guessAccept(value); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
	tr.r.Key = &Key{Key: "!"}
	if got := tr.guessAccept("hello"); got != "" {
		t.Errorf("for an invalid key: %q", got)
	}
}

// A body that contradicts the status has priority.
func TestStatusFault(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		header []Field
		want   Fault
		detail string
	}{
		{400, "<center>No required SSL certificate was sent</center>", nil, FaultClientCert, "asks for a client certificate"},
		{400, "The SSL certificate error", nil, FaultClientCertRefused, "does not accept the client certificate"},
		{500, "No required SSL certificate was sent", nil, FaultStatus500, ""},
		{500, "the ssl certificate error", nil, FaultStatus500, ""},
		{400, "Unknown ALPN Protocol", nil, FaultHTTP2Only, "HTTP/2"},
		{200, "", nil, FaultStatus200, ""},
		{204, "", nil, FaultStatus200, ""},
		{299, "", nil, FaultStatus200, ""},
		{301, "", []Field{{Name: "Location", Value: "/elsewhere"}}, "", `points to "/elsewhere"`},
		{418, "", nil, FaultStatusOther, ""},
		{599, "", []Field{{Name: "Retry-After", Value: "7"}}, FaultStatus500, "Retry-After"},
		{200, "", []Field{{Name: "Location", Value: "/elsewhere"}}, FaultStatus200, "instead of 101"},
	} {
		tr := newTracer(t.Context(), nil)
		f, clause, detail := tr.statusFault(&head{status: tt.status, body: []byte(tt.body), fields: tt.header})
		if tt.want != "" && f != tt.want || clause == "" || !strings.Contains(detail, tt.detail) || strings.Contains(detail, "points to") != strings.Contains(tt.detail, "points to") {
			t.Errorf("%d %q: %s, %s", tt.status, tt.body, f, detail)
		}
	}
}

// The error of a TLS handshake determines its fault.
func TestJudgeTLS(t *testing.T) {
	for _, tt := range []struct {
		err  error
		seen string
		want Fault
		text string
	}{
		{errors.New("tls: server selected unsupported protocol version 301"), "", FaultTLSVersion, "too old"},
		{errors.New("tls: server selected unadvertised ALPN protocol"), "", FaultALPN, "ALPN"},
		{errors.New("tls: failed to parse certificate from server: x"), "", FaultCertOther, "parse certificate"},
		{errors.New("x509: something"), "", FaultCertOther, "x509"},
		{os.ErrDeadlineExceeded, "\x16\x03", FaultTLSTimeout, "did not finish it"},
		{os.ErrDeadlineExceeded, "", FaultTLSTimeout, "does not respond"},
		{syscall.ECONNRESET, "", FaultReset, "RST"},
		{io.EOF, "", FaultTLS, "closed the connection"},
		{io.ErrUnexpectedEOF, "", FaultTLS, "closed the connection"},
		{errors.New("something"), "", FaultTLS, "something"},
		{tls.RecordHeaderError{Msg: "x"}, "HTTP/1.1 400", FaultTLSToPlain, "HTTP/1.1 400"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{22, 3, 3, 0xff, 0xff}}, "\x16\x03\x03\xff\xff", FaultTLS, "(handshake) with the length 65535"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{23, 3, 3, 0x40, 0x01}}, "\x16\x03\x03\x00\x40", FaultTLS, "that is not allowed at this point: x"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{23, 3, 3, 0x41, 0x01}}, "\x16\x03\x03\x00\x40", FaultTLS, "length 16641, which is not allowed: the limit is 16640"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{'H', 'T', 'T', 'P', '/'}}, "\x16\x03\x03\x00\x40", FaultTLS, "not a TLS record: 48 54 54 50 2f"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{20, 3, 3, 0, 1}}, "\x14\x03\x03\x00\x01", FaultTLS, "(change_cipher_spec) that is not allowed at this point: x"},
		{errUntrusted, "", FaultTLS, "not trusted"}, // without a reason
	} {
		tr := newTracer(t.Context(), nil)
		f, _, detail := tr.judgeTLS(&secure{info: &TLS{}}, &link{seen: []byte(tt.seen)}, tt.err)
		if f != tt.want || !strings.Contains(detail, tt.text) {
			t.Errorf("%v: %s, %s", tt.err, f, detail)
		}
	}
	sec := &secure{info: &TLS{}, problems: []trustProblem{{fault: FaultCertOther, clause: "c", detail: "d"}}}
	tr := newTracer(t.Context(), nil)
	if f, clause, detail := tr.judgeTLS(sec, &link{}, errUntrusted); f != FaultCertOther || clause != "c" || detail != "d" {
		t.Errorf("%s, %s, %s", f, clause, detail)
	}
}

// A record header with an invalid length is still TLS: the port speaks TLS, even if incorrectly.
func TestRFC8446_5_1_RecordLength(t *testing.T) {
	opts := &Options{NoProbes: true, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return &endsWith{first: strings.NewReader("\x16\x03\x03\xff\xff"), end: io.EOF}, nil
		}}
	r := Explain(t.Context(), "wss://192.0.2.1/", opts)
	const want = "the server sent the header of a TLS record (handshake) with the length 65535, which is not allowed: the limit is 16384"
	if len(r.Findings) != 1 || r.Findings[0].Fault != FaultTLS || r.Findings[0].Detail != want || r.Diagnosis.Clause != "RFC 8446 §5.1" ||
		r.Diagnosis.Cause != "The TLS handshake failed: "+want+"." {
		t.Errorf("%+v, %+v", r.Findings, r.Diagnosis)
	}
}

// The secrets in a header are the parts of its values that are credentials.
func TestLearnHeaders(t *testing.T) {
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
		r.learn(tt.name, tt.value)
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

// A duration has three digits in text, and milliseconds in JSON.
func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1234 * time.Nanosecond: "0s", 123_456 * time.Nanosecond: "120µs", 9_994_999 * time.Nanosecond: "9.99ms", 9_996_000 * time.Nanosecond: "10ms",
		10 * time.Millisecond: "10ms", 12_345_678 * time.Nanosecond: "12.3ms", 99_940_000 * time.Nanosecond: "99.9ms", 100 * time.Millisecond: "100ms",
		123_456_789 * time.Nanosecond: "123ms", 1_234_567_890 * time.Nanosecond: "1.235s",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	var d Duration
	if err := json.Unmarshal([]byte(`"1s"`), &d); err == nil || d != 0 {
		t.Errorf("%v, %v", d, err)
	}
	if err := json.Unmarshal([]byte(`1.5`), &d); err != nil || time.Duration(d) != 1500*time.Microsecond {
		t.Errorf("%v, %v", d, err)
	}
}

// The reasons why a name has no address, and the name server that was queried.
func TestDNSReason(t *testing.T) {
	for want, err := range map[string]error{
		"no address of this kind": nil, "the name server did not answer in time": &net.DNSError{IsTimeout: true},
		"no such name or no address of this kind": &net.DNSError{IsNotFound: true}, "server misbehaving": &net.DNSError{Err: "server misbehaving"},
		"something": errors.New("something"),
	} {
		if got := dnsReason(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
	if got := dnsReason(&net.AddrError{Err: "no suitable address"}); got != "no address of this kind" {
		t.Error(got)
	}
	var asked askedServers
	if got := asked.String(); !strings.Contains(got, "this machine resolves the name itself") {
		t.Error(got)
	}
	asked.servers = []string{"192.0.2.1:53", "192.0.2.2:53"}
	if got := asked.String(); got != "the name server 192.0.2.1:53, 192.0.2.2:53" {
		t.Error(got)
	}
	for want, errs := range map[Fault][2]error{
		FaultNameNotFound: {&net.DNSError{IsNotFound: true}, nil}, FaultNameServer: {&net.DNSError{IsNotFound: true}, &net.DNSError{IsTimeout: true}},
	} {
		tr := newTracer(t.Context(), nil)
		tr.judgeLookup(StageDNS, "box.example", [2]lookup{{err: errs[0]}, {err: errs[1]}}, &dnsAnswers{})
		if len(tr.r.Findings) != 1 || tr.r.Findings[0].Fault != want {
			t.Errorf("%v: %+v", errs, tr.r.Findings)
		}
	}
}

// For addresses that cannot be connected to, the most certain reason is reported.
func TestJudgeDial(t *testing.T) {
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		stage Stage
		errs  []error
		want  Fault
		text  string
	}{
		{StageTCP, []error{syscall.ENETUNREACH}, FaultUnreachable, "port 443 of 192.0.2.1: no route to the host"},
		{StageTCP, []error{syscall.EHOSTUNREACH}, FaultUnreachable, "port 443 of 192.0.2.1: no route to the host"},
		{StageTCP, []error{syscall.ECONNREFUSED, syscall.ENETUNREACH}, FaultRefused, "port 443 of 2 addresses: connection refused"},
		{StageTCP, []error{os.ErrDeadlineExceeded, syscall.ENETUNREACH}, FaultConnectTimeout, "port 443 of 2 addresses: no response in time"},
		{StageTCP, []error{os.ErrDeadlineExceeded, syscall.ECONNREFUSED}, FaultRefused, "connection refused"},
		{StageTCP, []error{errors.New("something")}, FaultUnreachable, "something"},
		{StageProxy, []error{syscall.ECONNREFUSED}, FaultProxyUnreachable, "connection refused"},
	} {
		tr := newTracer(t.Context(), nil)
		tr.judgeDial(tt.stage, []netip.Addr{one, two}[:len(tt.errs)], tt.errs, "443")
		if len(tr.r.Findings) != 1 || tr.r.Findings[0].Fault != tt.want || !strings.Contains(tr.r.Findings[0].Detail, tt.text) {
			t.Errorf("%v: %+v", tt.errs, tr.r.Findings)
		}
	}
	for _, tt := range []struct {
		failed string
		worked netip.Addr
		err    error
		want   int
	}{
		{"2001:db8::1", one, syscall.ECONNREFUSED, 1}, {"2001:db8::1", two, syscall.ECONNREFUSED, 0}, {"::1", one, syscall.ECONNREFUSED, 0},
		{"192.0.2.2", one, syscall.ECONNREFUSED, 0}, {"2001:db8::1", one, syscall.ENETUNREACH, 0}, {"2001:db8::1", one, syscall.EADDRNOTAVAIL, 0},
		{"2001:db8::1", one, syscall.EAFNOSUPPORT, 0},
	} {
		tr := newTracer(t.Context(), nil)
		tr.warnOfIPv6([]netip.Addr{netip.MustParseAddr(tt.failed)}, tt.worked, []error{tt.err})
		if len(tr.r.Findings) != tt.want {
			t.Errorf("%s, %v: %+v", tt.failed, tt.err, tr.r.Findings)
		}
	}
}

// The default port of a proxy is that of its scheme, and TLS to the proxy uses its name and the caller's trusted CAs.
func TestProxyParts(t *testing.T) {
	for raw, want := range map[string]string{"http://p": "80", "https://p": "443", "http://p:3128": "3128"} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := proxyPort(u); got != want {
			t.Errorf("%s: %s", raw, got)
		}
	}
	roots := x509.NewCertPool()
	for _, given := range []*tls.Config{nil, {RootCAs: roots, InsecureSkipVerify: true, ServerName: "box.example"}} {
		tr := newTracer(t.Context(), &Options{TLS: given})
		tr.plan.proxy = &url.URL{Scheme: "https", Host: "proxy.example:8443"}
		cfg := tr.proxyTLS()
		if cfg.ServerName != "proxy.example" || !slices.Equal(cfg.NextProtos, []string{"http/1.1"}) || cfg.MinVersion != tls.VersionTLS12 ||
			(cfg.RootCAs != nil) != (given != nil) || cfg.InsecureSkipVerify != (given != nil) {
			t.Errorf("%+v", cfg)
		}
	}
}

// A header of the caller counts as a secret if its name indicates one and there is no option for it.
func TestSecretHeader(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"Accept", "x", false}, {"Cookie", "a=b", false}, {"Authorization", "Bearer x", false}, {"authorization", "basic x", false},
		{"Authorization", "Digest x", true}, {"Authorization", "x", true}, {"X-Api-Key", "x", true},
	} {
		tr := newTracer(t.Context(), &Options{Header: http.Header{tt.name: {tt.value}}})
		if got := tr.secretHeader(); got != tt.want {
			t.Errorf("%s: %s: %t", tt.name, tt.value, got)
		}
	}
	if got := trimmed(http.Header{"A": {" x\t", ""}, "B": {}}); len(got) != 2 || !slices.Equal(got["A"], []string{"x", ""}) || len(got["B"]) != 0 {
		t.Errorf("%q", got)
	}
}

// Everything that the options add to a request must be allowed there.
func TestCheckRequest(t *testing.T) {
	for _, tt := range []struct {
		o      Options
		want   string // part of the detail; "" means it is allowed
		clause string
	}{
		{Options{}, "", ""},
		{Options{Header: http.Header{"X-Empty": {}}}, "", ""},
		{Options{Credentials: Credentials{Bearer: " token\t"}}, "", ""},
		{Options{Credentials: Credentials{Bearer: "to\nken"}}, "Authorization", "RFC 9110 §5.5"},
		{Options{Credentials: Credentials{APIKey: "x", APIKeyHeader: "Host"}}, "cannot be Host", clauseClient},
		{Options{Credentials: Credentials{APIKey: "x", APIKeyHeader: "Upgrade"}}, "Upgrade", clauseClient},
		{Options{Credentials: Credentials{APIKey: "x", APIKeyHeader: "a b"}}, "not a token", "RFC 9110 §5.5"},
		{Options{Header: http.Header{"Sec-Websocket-Key": {"x"}}}, "", clauseClient},
		{Options{Subprotocols: []string{"a", "a"}}, "a", clauseClient + " (10)"},
		{Options{Origin: "https://a\r\nX: y"}, "Origin", "RFC 9110 §5.5"},
	} {
		tr := newTracer(t.Context(), &tt.o)
		fits := tr.checkRequest()
		if want := tt.clause == ""; fits != want {
			t.Errorf("%+v: %t", tt.o, fits)
			continue
		}
		if !fits && (len(tr.r.Findings) != 1 || tr.r.Findings[0].Clause != tt.clause || !strings.Contains(tr.r.Findings[0].Detail, tt.want) || tr.r.Steps[0].OK) {
			t.Errorf("%+v: %+v", tt.o, tr.r.Findings)
		}
	}
}

// These are short texts that depend on the observations.
func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		originWords(""): "a handshake without an Origin", originWords("https://a"): "Origin: https://a",
		originName(""): "without an Origin header", originName("https://a"): "Origin: https://a",
		triedOrigin(OriginTry{Opened: true}): "accepted", triedOrigin(OriginTry{}): "no response", triedOrigin(OriginTry{Status: 403}): "answered with 403",
		orNone(""): "none", orNone("x"): "x", trimEnd("a  \n"): "a\n", trimEnd("a  "): "a  ",
		deflateWords(handshake.Deflate{}):                                      "the server keeps its compression context between messages (context takeover)",
		deflateWords(handshake.Deflate{ServerNoTakeover: true, ServerBits: 9}): "the server resets its compression context for each message, window 9 bits",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for status, want := range map[int]string{303: "15.4.4", 410: "15.5.11", 502: ""} {
		d := &Diagnosis{}
		otherClause(&Report{Response: &Response{Status: status}}, d)
		if !strings.HasSuffix(d.Clause, want) || (want == "") != (d.Clause == "") {
			t.Errorf("%d: %s", status, d.Clause)
		}
	}
	otherClause(&Report{}, &Diagnosis{})
	for n, want := range map[int]string{0: "names no host at all", 1: "but for n0.", 5: "n3, n4.", 6: "n3, n4 and others."} {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("n%d", i))
		}
		d := &Diagnosis{}
		explainNames(&Report{Target: &Target{Host: "h"}, TLS: &TLS{Chain: []Certificate{{Names: names}}}}, Finding{}, d)
		if !strings.Contains(d.Cause, want) {
			t.Errorf("%d names: %s", n, d.Cause)
		}
	}
	for code, want := range map[string]string{
		"invalid_token": "get a new one", "insufficient_scope": "does not allow this", "invalid_request": "malformed", "odd": `names the error "odd"`, "": "the server received no token",
	} {
		c := challenge{scheme: "Bearer", params: []Field{{Name: "error", Value: code}, {Name: "error_description", Value: "why"}, {Name: "scope", Value: "read"}}}
		if got := wantedBearer(c, false); !strings.Contains(got, want) || !strings.Contains(got, `The server says: "why"`) || !strings.Contains(got, `Scope: "read"`) {
			t.Errorf("%s: %s", code, got)
		}
	}
	if got := wantedBearer(challenge{scheme: "Bearer"}, true); !strings.Contains(got, "whether the server received the token is unknown") || strings.Contains(got, "Scope") {
		t.Error(got)
	}
}

// The last frame of a compressed message is displayed with both lengths; without steps nothing is written.
func TestTextOfFrames(t *testing.T) {
	for want, f := range map[string]Frame{
		"7z": {Opcode: "text", Length: 7, Compressed: true}, "7→90": {Opcode: "text", Fin: true, Length: 7, Compressed: true, Inflated: 90},
		"1000 bye": {Opcode: "close", Fin: true, Code: 1000, Preview: "bye"}, "text…": {Opcode: "text"}, "→": {Sent: true, Opcode: "ping", Fin: true},
	} {
		var b strings.Builder
		NewText(&b, nil).frame(f)
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "…") != (!f.Fin) {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
	var b strings.Builder
	x := NewText(&b, nil)
	x.todo("Title", nil)
	if b.String() != "" {
		t.Errorf("%q", b.String())
	}
	x.todo("Title", []string{"first", inset + "a line", "second"})
	if got := b.String(); got != "  Title:\n    1. first\n           a line\n    2. second\n" {
		t.Errorf("%q", got)
	}
	r := &Report{Findings: []Finding{{Fault: "a", Warning: true}, {Fault: "b"}, {Fault: "c", Warning: true}, {Fault: "d"}}}
	tr := newTracer(t.Context(), nil)
	tr.r.Findings = r.Findings
	var order []string
	for _, f := range tr.finish().Findings {
		order = append(order, string(f.Fault))
	}
	if got := strings.Join(order, ""); got != "bdac" {
		t.Errorf("the order of findings is %s", got)
	}
}
