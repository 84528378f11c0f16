package proxyproto

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	tail = "GET / HTTP/1.1\r\n" // for the next reader
	v2   = signature
	ip4  = "\xc0\x00\x02\x01\xc6\x33\x64\x02" + "\xdb\xde\x01\xbb"
	ip6  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\xdb\xde\x01\xbb"
)

// cases are headers with their content; want is "" for an unknown source, and begins with "error" for an invalid header.
var cases = []struct{ name, in, want string }{
	{"1 TCP4", "PROXY TCP4 192.0.2.1 198.51.100.2 56286 443\r\n", "192.0.2.1:56286 198.51.100.2:443"},
	{"1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 56286 443\r\n", "[2001:db8::1]:56286 [2001:db8::2]:443"},
	{"1 TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n", "192.0.2.1:1 198.51.100.2:2"},
	{"1 longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2 65535 65535\r\n",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1]:65535 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2]:65535"},
	{"1 UNKNOWN", "PROXY UNKNOWN\r\n", ""},
	{"1 UNKNOWN with more", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""},
	{"1 too long", "PROXY UNKNOWN " + strings.Repeat("x", 107) + "\r\n", "error: longer"},
	{"1 no CR", "PROXY TCP4 192.0.2.1 198.51.100.2 56286 443\n", "error: CR LF"},
	{"1 two spaces", "PROXY TCP4  192.0.2.1 198.51.100.2 56286 443\r\n", "error: six fields"},
	{"1 too few fields", "PROXY TCP4 192.0.2.1 198.51.100.2 56286\r\n", "error: six fields"},
	{"1 UDP4", "PROXY UDP4 192.0.2.1 198.51.100.2 56286 443\r\n", "error: protocol"},
	{"1 wrong family", "PROXY TCP4 2001:db8::1 198.51.100.2 56286 443\r\n", "error: address"},
	{"1 wrong family, 6", "PROXY TCP6 192.0.2.1 198.51.100.2 56286 443\r\n", "error: address"},
	{"1 a zone", "PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n", "error: address"},
	{"1 leading zero", "PROXY TCP4 192.0.2.1 198.51.100.2 056286 443\r\n", "error: port"},
	{"1 port too high", "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", "error: port"},
	{"2 TCP4", v2 + "\x21\x11\x00\x0c" + ip4, "192.0.2.1:56286 198.51.100.2:443"},
	{"2 TCP6", v2 + "\x21\x21\x00\x24" + ip6, "[2001:db8::1]:56286 [2001:db8::2]:443"},
	{"2 with TLVs", v2 + "\x21\x11\x00\x12" + ip4 + "\x04\x00\x03abc", "192.0.2.1:56286 198.51.100.2:443"},
	{"2 with a checksum", v2 + "\x21\x11\x00\x19" + ip4 + "\x04\x00\x03abc" + "\x03\x00\x04\x41\x05\x6d\x25", "192.0.2.1:56286 198.51.100.2:443"},
	{"2 with a wrong checksum", v2 + "\x21\x11\x00\x13" + ip4 + "\x03\x00\x04\x01\x02\x03\x04", "error: checksum is wrong"},
	{"2 with a short checksum", v2 + "\x21\x11\x00\x11" + ip4 + "\x03\x00\x02\x01\x02", "error: wrong length"},
	{"2 TLVs cut short", v2 + "\x21\x11\x00\x10" + ip4 + "\x04\x00\x03a", "error: TLVs are truncated"},
	{"2 LOCAL", v2 + "\x20\x00\x00\x00", ""},
	{"2 LOCAL with addresses", v2 + "\x20\x11\x00\x0c" + ip4, ""},
	{"2 unspecified", v2 + "\x21\x00\x00\x03abc", ""},
	{"2 Unix", v2 + "\x21\x31\x00\xd8" + strings.Repeat("/", 216), ""},
	{"2 UDP", v2 + "\x21\x12\x00\x0c" + ip4, "error: family"},
	{"2 cut short", v2 + "\x21\x21\x00\x0c" + ip4, "error: addresses are truncated"},
	{"2 too long", v2 + "\x21\x11\xff\xff" + ip4, "error: longer"},
	{"2 another version", v2 + "\x11\x11\x00\x0c" + ip4, "error: version"},
	{"2 unknown command", v2 + "\x22\x11\x00\x0c" + ip4, "error: command"},
}

func TestRead(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			for cut, r := range map[string]io.Reader{
				"whole":  strings.NewReader(tt.in + tail),
				"cut":    iotest.OneByteReader(strings.NewReader(tt.in + tail)),
				"halved": iotest.HalfReader(strings.NewReader(tt.in + tail)),
			} {
				h, err := Read(r)
				if part, bad := strings.CutPrefix(tt.want, "error: "); bad {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("%s: error %v", cut, err)
					}
					continue
				}
				got := ""
				if h.Source.IsValid() {
					got = h.Source.String() + " " + h.Destination.String()
				}
				rest, _ := io.ReadAll(r)
				if err != nil || got != tt.want || string(rest) != tail {
					t.Errorf("%s: %q, %v; left %q", cut, got, err, rest)
				}
			}
		})
	}
}

func TestReadNoHeader(t *testing.T) {
	for _, in := range []string{"GET / HTTP/1.1\r\n\r\n", "PROXYTCP4 192.0.2.1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", "proxy TCP4 1.2.3.4"} {
		if _, err := Read(strings.NewReader(in)); !errors.Is(err, ErrMissing) {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{"", "PROXY", "PROXY TCP4 192.0.2.1", v2, v2 + "\x21\x11\x00\x0c\x01"} {
		if _, err := Read(strings.NewReader(in)); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// A header is parsed identically for any read sizes, is limited in size, and leaves the data after it unread.
func FuzzRead(f *testing.F) {
	for _, tt := range cases {
		f.Add([]byte(tt.in + tail))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, cut := bytes.NewReader(in), bytes.NewReader(in)
		a, errA := Read(whole)
		b, errB := Read(iotest.OneByteReader(cut))
		if a != b || (errA == nil) != (errB == nil) {
			t.Fatalf("%v %v, cut %v %v", a, errA, b, errB)
		}
		if errA == nil && whole.Len() != cut.Len() {
			t.Fatalf("%d left, cut %d", whole.Len(), cut.Len())
		}
		if used := len(in) - whole.Len(); used > MaxBytes {
			t.Fatalf("%d bytes read", used)
		}
		if errA == nil && a.Source.IsValid() != a.Destination.IsValid() {
			t.Fatalf("half a header: %v", a)
		}
		if a.Source.Addr().Is4In6() || a.Source.Addr().Zone() != "" {
			t.Fatalf("address %v", a.Source)
		}
	})
}
