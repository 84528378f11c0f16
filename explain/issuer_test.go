package explain

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// A server that names the URL of its issuer's certificate cannot make the client send requests to addresses that only the client can
// reach.
func TestIssuerAddresses(t *testing.T) {
	for _, c := range []struct {
		server, asked string
		may           bool
	}{
		{"203.0.113.5", "198.51.100.7", true},
		{"203.0.113.5", "2001:db8::7", true},
		{"203.0.113.5", "127.0.0.1", false},
		{"203.0.113.5", "::ffff:127.0.0.1", false},
		{"203.0.113.5", "::1", false},
		{"203.0.113.5", "0.0.0.0", false},
		{"203.0.113.5", "10.0.0.1", false},
		{"203.0.113.5", "192.168.1.1", false},
		{"203.0.113.5", "100.64.0.1", false},
		{"203.0.113.5", "169.254.169.254", false},
		{"203.0.113.5", "fd00:ec2::254", false},
		{"203.0.113.5", "fe80::1", false},
		{"203.0.113.5", "64:ff9b::7f00:1", false},
		{"203.0.113.5", "224.0.0.1", false},
		{"203.0.113.5", "240.0.0.1", false},
		{"10.0.0.2", "10.9.9.9", true},
		{"10.0.0.2", "198.51.100.7", true},
		{"10.0.0.2", "127.0.0.1", false},
		{"10.0.0.2", "169.254.169.254", false},
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "10.0.0.1", false},
		{"::1", "127.0.0.1", true},
		{"fe80::2", "fe80::1", true},
	} {
		if got := mayFetchFrom(netip.MustParseAddr(c.server), netip.MustParseAddr(c.asked)); got != c.may {
			t.Errorf("a server at %s, an issuer at %s: %v", c.server, c.asked, got)
		}
	}
}

// No connection is opened to an address that is not allowed, whether the URL contains a name or an IP address. Redirects are not followed,
// and a proxy is not bypassed.
func TestIssuerFetchIsBounded(t *testing.T) {
	asked := func(where, server, answer string, proxy *url.URL) (dialed []string, err error) {
		opts := inMemory(t, func(v *exchange) { v.writeText(answer); io.Copy(io.Discard, v.in) })
		dial := opts.Dial
		opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed = append(dialed, address)
			return dial(ctx, network, address)
		}
		x := newTracer(t.Context(), opts)
		x.dialer.plan = route{addr: server, proxy: proxy}
		_, err = x.dialer.fetchCertificate(where)
		return dialed, err
	}
	for _, where := range []string{"http://127.0.0.1:1/ca", "http://localhost/ca", "http://169.254.169.254/latest", "http://[::1]/"} {
		if dialed, err := asked(where, "203.0.113.5:443", "", nil); !errors.Is(err, errInnerAddress) || len(dialed) > 0 {
			t.Errorf("%s: %v, connected to %v", where, err, dialed)
		}
	}
	moved := "HTTP/1.1 302 Found\nLocation: http://198.51.100.8/\n\n"
	if dialed, err := asked("http://198.51.100.7/ca", "203.0.113.5:443", moved, nil); err == nil || len(dialed) != 1 {
		t.Errorf("a redirect: %v, connected to %v", err, dialed)
	}
	big := "HTTP/1.1 200 OK\nContent-Length: 10000000\n\n" + strings.Repeat("x", maxIssuer+10)
	if _, err := asked("http://198.51.100.7/ca", "203.0.113.5:443", big, nil); err == nil {
		t.Error("a certificate without an end was taken")
	}
	proxy := &url.URL{Scheme: "http", Host: "192.0.2.2:3128"}
	if dialed, err := asked("http://198.51.100.7/ca", "192.0.2.2:3128", "", proxy); err == nil || len(dialed) != 0 {
		t.Errorf("behind a proxy: %v, connected to %v", err, dialed)
	}
}
