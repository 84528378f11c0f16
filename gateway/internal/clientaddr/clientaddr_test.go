package clientaddr

import (
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		name, peer     string
		header         Header
		forwarded, xff []string
		want           string
	}{
		{name: "no proxy in front", peer: "192.0.2.9", want: "192.0.2.9"},
		{name: "a client's own header", peer: "192.0.2.9", xff: []string{"1.2.3.4"}, want: "192.0.2.9"},
		{name: "a client's own header, RFC 7239", peer: "192.0.2.9", forwarded: []string{"for=1.2.3.4"}, want: "192.0.2.9"},
		{name: "one proxy", peer: "10.0.0.1", xff: []string{"192.0.2.1"}, want: "192.0.2.1"},
		{name: "mapped", peer: "::ffff:10.0.0.1", xff: []string{"::ffff:192.0.2.1"}, want: "192.0.2.1"},
		{name: "entries that the client wrote", peer: "10.0.0.1", xff: []string{"1.2.3.4, 192.0.2.1"}, want: "192.0.2.1"},
		{name: "on a line of its own", peer: "10.0.0.1", xff: []string{"1.2.3.4", "192.0.2.1"}, want: "192.0.2.1"},
		{name: "two proxies", peer: "10.0.0.1", xff: []string{"1.2.3.4, 192.0.2.1, 10.0.0.2"}, want: "192.0.2.1"},
		{name: "only proxies", peer: "10.0.0.1", xff: []string{"10.0.0.3, 10.0.0.2"}, want: "10.0.0.3"},
		{name: "a proxy's own request", peer: "10.0.0.1", want: "10.0.0.1"},
		{name: "rubbish", peer: "10.0.0.1", xff: []string{"1.2.3.4, rubbish"}, want: "10.0.0.1"},
		{name: "rubbish behind a proxy", peer: "10.0.0.1", xff: []string{"rubbish, 10.0.0.2"}, want: "10.0.0.2"},
		{name: "IPv6", peer: "fd00::1", xff: []string{"2001:db8::1"}, want: "2001:db8::1"},
		{name: "with a port", peer: "10.0.0.1", xff: []string{"192.0.2.1:1234"}, want: "192.0.2.1"},
		{name: "Forwarded", peer: "10.0.0.1", forwarded: []string{`for=192.0.2.1;proto=https, For="10.0.0.2:80";by=x`}, want: "192.0.2.1"},
		{name: "Forwarded, IPv6", peer: "10.0.0.1", forwarded: []string{`for="[2001:db8::1]:4711"`}, want: "2001:db8::1"},
		{name: "Forwarded, quoted comma", peer: "10.0.0.1", forwarded: []string{`for=192.0.2.1;ext="a,b;for=1.2.3.4\",x"`}, want: "192.0.2.1"},
		{name: "Forwarded, hidden", peer: "10.0.0.1", forwarded: []string{"for=_secret"}, want: "10.0.0.1"},
		{name: "Forwarded, none", peer: "10.0.0.1", forwarded: []string{"proto=https"}, want: "10.0.0.1"},
		{name: "both agree", peer: "10.0.0.1", forwarded: []string{"for=192.0.2.1"}, xff: []string{"192.0.2.1"}, want: "192.0.2.1"},
		{name: "both disagree", peer: "10.0.0.1", forwarded: []string{"for=1.2.3.4"}, xff: []string{"192.0.2.1"}, want: "10.0.0.1"},
		{name: "the one that is named", peer: "10.0.0.1", header: XForwardedFor,
			forwarded: []string{"for=1.2.3.4"}, xff: []string{"192.0.2.1"}, want: "192.0.2.1"},
		{name: "the other one", peer: "10.0.0.1", header: Forwarded,
			forwarded: []string{"for=192.0.2.1"}, xff: []string{"1.2.3.4"}, want: "192.0.2.1"},
		{name: "the named one is missing", peer: "10.0.0.1", header: Forwarded, xff: []string{"1.2.3.4"}, want: "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{}}
			if tt.forwarded != nil {
				r.Header["Forwarded"] = tt.forwarded
			}
			if tt.xff != nil {
				r.Header["X-Forwarded-For"] = tt.xff
			}
			if got := Of(r, netip.MustParseAddr(tt.peer), proxies, tt.header); got.String() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTrusted(t *testing.T) {
	for addr, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "fd00::1%eth0": true, "11.1.2.3": false} {
		if got := Trusted(proxies, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}

// The length of the proxy chain that is followed is limited.
func TestOfIsBounded(t *testing.T) {
	r := &http.Request{Header: http.Header{}}
	for range 100 {
		r.Header.Add("X-Forwarded-For", "10.0.0.2")
	}
	r.Header["X-Forwarded-For"][0] = "192.0.2.1"
	if got := Of(r, netip.MustParseAddr("10.0.0.1"), proxies, ""); got.String() != "10.0.0.2" {
		t.Errorf("got %s", got)
	}
}

// For any headers the result is an address; without a trusted peer it is the peer's address.
func FuzzOf(f *testing.F) {
	f.Add("for=192.0.2.1;proto=https, for=\"[::1]:80\"", "192.0.2.1, 10.0.0.2")
	f.Add(`for="\"`, ",")
	f.Add(`;;for=;"`, "[::1")
	f.Fuzz(func(t *testing.T, forwarded, list string) {
		r := &http.Request{Header: http.Header{"Forwarded": {forwarded}, "X-Forwarded-For": {list}}}
		for _, h := range []Header{"", Forwarded, XForwardedFor} {
			got := Of(r, netip.MustParseAddr("10.0.0.1"), proxies, h)
			if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
				t.Fatalf("%q: %v", h, got)
			}
			if got := Of(r, netip.MustParseAddr("192.0.2.7"), proxies, h); got.String() != "192.0.2.7" {
				t.Fatalf("%q: %v without trust", h, got)
			}
		}
	})
}

// The zero prefix contains no address, and an address that is not an IP address, such as that of a unix socket, is in no prefix.
func TestTrustedZero(t *testing.T) {
	all := []netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	if Trusted(all, netip.Addr{}) {
		t.Error("the zero address is trusted")
	}
	if Trusted(all[:1], netip.MustParseAddr("127.0.0.1")) {
		t.Error("the zero prefix contains an address")
	}
}

// The number of entries read is limited, starting with the nearest one.
func TestManyHops(t *testing.T) {
	for proxiesBetween, want := range map[int]string{maxHops - 1: "192.0.2.1", maxHops: "10.0.0.2"} {
		r := &http.Request{Header: http.Header{"X-Forwarded-For": {"192.0.2.1" + strings.Repeat(", 10.0.0.2", proxiesBetween)}}}
		if got := Of(r, netip.MustParseAddr("10.0.0.1"), proxies, XForwardedFor); got.String() != want {
			t.Errorf("behind %d proxies: %s, want %s", proxiesBetween, got, want)
		}
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{`""`: "", `"`: `"`, `"a"`: "a", `"a`: `"a`, `a"`: `a"`, "": "", "a": "a"} {
		if got := unquote(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
