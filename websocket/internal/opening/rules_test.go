package opening

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
)

// sampleOpening returns the Opening of the sample request with additional lines.
func sampleOpening(t *testing.T, lines string) *handshake.Opening {
	t.Helper()
	text := sample + lines + "\r\n"
	h := new(Head)
	h.Reset(Limits{})
	if verdict, v := h.Parse([]byte(text)); verdict != Upgrade {
		t.Fatalf("%q: %v, %v", text, verdict, v)
	}
	return h.Opening(text)
}

func TestRFC9112_6_3_ContentIsDetected(t *testing.T) {
	for lines, want := range map[string]bool{
		"":                               false,
		"Content-Length: 0\r\n":          false,
		"Content-Length: 00\r\n":         false,
		"Content-Length: 1\r\n":          true,
		"Content-Length: 10\r\n":         true,
		"Content-Length: 01\r\n":         true,
		"Content-Length: 00000900\r\n":   true,
		"Transfer-Encoding: chunked\r\n": true,
	} {
		if o := sampleOpening(t, lines); o.Content != want {
			t.Errorf("%q: content %v", lines, o.Content)
		}
	}
}

// A percent sign in a path is followed by two hexadecimal digits, wherever it is.
func TestRFC3986_2_1_PercentInThePath(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/%20": true, "/%aF": true, "/%Fa%00": true, "/a%41b": true, "/x%20": true, "/%2": false, "/%": false,
		"/%g0": false, "/%0g": false, "/a%x0": false, "/%G0": false, "/%0G": false, "/%@0": false, "/%`0": false, "/%/0": false, "/%:0": false,
		"/%0:": false, "/?%": true, "/a?b%x": true, "": false, "/ ": false, "/\x7f": false, "/!": true, "/~": true, "/\x1f": false,
	} {
		if got := validTarget(target); got != want {
			t.Errorf("%q: %v", target, got)
		}
	}
}

func TestHead_UpgradeWithoutConnection(t *testing.T) {
	head := strings.Replace(sample, "Connection: Upgrade\r\n", "", 1) + "\r\n"
	var h Head
	h.Reset(Limits{})
	if verdict, v := h.Parse([]byte(head)); verdict != Upgrade || v != nil {
		t.Fatalf("%v, %v", verdict, v)
	}
	if v := h.Opening(head).Check(); v == nil || v.Status != http.StatusBadRequest {
		t.Errorf("Check returned %v", v)
	}
}

// The Detail describes how the first byte differs from HTTP. Only TLS has a Hint.
func TestHead_NotHTTP(t *testing.T) {
	for in, want := range map[string]string{
		"\x16": "TLS", "\r": "empty line", "\n": "empty line", " ": "white space", "\t": "white space", "\x80": "not an HTTP request",
	} {
		var h Head
		h.Reset(Limits{})
		if verdict, v := h.Parse([]byte(in)); verdict != Bad || v == nil || !strings.Contains(v.Detail, want) || (v.Hint != "") != (in == "\x16") {
			t.Errorf("%q: %v, %+v", in, verdict, v)
		}
	}
}

func TestRefusal_Fields(t *testing.T) {
	for name, tt := range map[string]struct {
		f     *Refusal
		major int
		want  map[string]string
	}{
		"the usual ones": {Denied(errors.New("x")), 1, map[string]string{"Content-Type": "text/plain; charset=utf-8",
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Length": "30", "Connection": "close", "Vary": ""}},
		"of the application": {Rejected(nil, 429, http.Header{"Content-Type": {"a/b"}, "Cache-Control": {"private"}, "Vary": {"Origin"}}, "{}"), 1,
			map[string]string{"Content-Type": "a/b", "Cache-Control": "private", "Content-Length": "2", "Vary": "Origin"}},
		"HTTP/2": {Denied(errors.New("x")), 2, map[string]string{"Connection": "", "Cache-Control": "no-store"}},
		"304":    {Rejected(nil, 304, nil, "x"), 1, map[string]string{"Content-Type": "", "Content-Length": "", "Cache-Control": "no-store"}},
	} {
		h := http.Header{}
		tt.f.Reply(h, tt.major, time.Now())
		for field, want := range tt.want {
			if got := strings.Join(h[field], ", "); got != want {
				t.Errorf("%s: %s: %q, want %q", name, field, got, want)
			}
		}
	}
}

func TestRejected_Statuses(t *testing.T) {
	for status, want := range map[int]int{0: 403, 299: 500, 300: 300, 599: 599, 600: 500, -1: 500, 101: 500} {
		if f := Rejected(nil, status, nil, ""); f.Status != want {
			t.Errorf("%d: %d, want %d", status, f.Status, want)
		}
	}
}

// The order of the checks that can reject a client is: the protocol, the origin, the options, the application.
func TestRules_AdmitInOrder(t *testing.T) {
	const elsewhere = "Origin: http://elsewhere.example\r\n"
	wrong, right := &Rules{Subprotocols: []string{"a b"}}, &Rules{Subprotocols: []string{"b", "a"}, Deflate: Deflate{On: true, ServerWindowBits: 10}}
	refuse := func() *Refusal { return Rejected(errors.New("full"), 503, nil, "") }
	broken := sampleOpening(t, elsewhere)
	broken.Key = nil
	for name, tt := range map[string]struct {
		r    *Rules
		o    *handshake.Opening
		ask  func() *Refusal
		want int
	}{
		"protocol":    {wrong, broken, refuse, 400},
		"origin":      {wrong, sampleOpening(t, elsewhere), refuse, 403},
		"options":     {wrong, sampleOpening(t, ""), refuse, 500},
		"application": {right, sampleOpening(t, ""), refuse, 503},
		"nothing":     {right, sampleOpening(t, ""), func() *Refusal { return nil }, 0},
		"not asked":   {right, sampleOpening(t, ""), nil, 0},
	} {
		status := 0
		if _, f := tt.r.Admit(tt.o, tt.ask); f != nil {
			status = f.Status
		}
		if status != tt.want {
			t.Errorf("%s: %d, want %d", name, status, tt.want)
		}
	}
	const offers = "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
	terms, f := right.Admit(sampleOpening(t, offers), nil)
	if want := "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12"; f != nil || terms.Subprotocol != "b" || !terms.Compressed || terms.Extensions() != want {
		t.Errorf("agreed on %+v (%s), %v", terms, terms.Extensions(), f)
	}
	right.Deflate.On = false
	if terms, f := right.Admit(sampleOpening(t, offers), nil); f != nil || terms.Compressed || terms.Extensions() != "" {
		t.Errorf("without compression: %+v, %v", terms, f)
	}
}

// Both the first call, which computes the value, and the second, which uses the cache, return the right value.
func TestTerms_Extensions(t *testing.T) {
	for range 2 {
		for i := range 4 * 9 * 9 {
			d := handshake.Deflate{ServerNoTakeover: i&1 != 0, ClientNoTakeover: i&2 != 0}
			if bits := uint8(i / 4 % 9); bits > 0 {
				d.ServerBits = 7 + bits
			}
			if bits := uint8(i / 4 / 9); bits > 0 {
				d.ClientBits = 7 + bits
			}
			terms := Terms{Compressed: true, Deflate: d, Passed: "x"}
			if got, want := terms.Extensions(), d.Extension().String(); got != want {
				t.Fatalf("%+v: %q, want %q", d, got, want)
			}
		}
	}
}

func TestTerms_Pass(t *testing.T) {
	terms := Terms{Compressed: true}
	if f := terms.Pass("a\r\nb"); f == nil || f.Status != http.StatusInternalServerError || f.Hint == "" {
		t.Errorf("a line break: %v", f)
	}
	if f := terms.Pass("foo; bar"); f != nil || terms.Compressed || terms.Extensions() != "foo; bar" {
		t.Errorf("%+v, %v", terms, f)
	}
}

func TestTerms_AppendAnswer(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	terms := Terms{Subprotocol: "a", Passed: "foo"}
	for lines, before := range map[string]string{"": "x", "Expect: 100-continue\r\n": "xHTTP/1.1 100 Continue\r\n\r\n"} {
		got := string(terms.AppendAnswer([]byte("x"), sampleOpening(t, lines), http.Header{"A": {"1"}}, http.Header{"B": {"2"}}))
		rest, ok := strings.CutPrefix(got, before+head)
		fields := []string{"A: 1", "B: 2", "Sec-WebSocket-Extensions: foo", "Sec-WebSocket-Protocol: a"}
		if lines := strings.Split(strings.TrimSuffix(rest, "\r\n\r\n"), "\r\n"); !ok || !slices.Equal(slices.Sorted(slices.Values(lines)), fields) {
			t.Errorf("with %q: %q", lines, got)
		}
	}
}
