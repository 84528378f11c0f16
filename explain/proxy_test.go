package explain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// throughProxy explains a server through the proxy with the URL via. serve acts as the proxy on each connection.
func throughProxy(t *testing.T, via, server string, serve func(*exchange)) *Report {
	t.Helper()
	proxy, err := url.Parse(via)
	if err != nil {
		t.Fatal(err)
	}
	var r *Report
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, serve)
		opts.Proxy, opts.NoProbes = http.ProxyURL(proxy), true
		r = Explain(t.Context(), server, opts)
	})
	return r
}

// If a proxy's response is cut off, the diagnosis says that the proxy was reached, and how the response ended. A response that violates a
// rule of HTTP/1 is not diagnosed as another protocol.
func TestProxyResponseIsIncomplete(t *testing.T) {
	const part = "HTTP/1.1 407 Proxy Authentication Required\nProxy-Auth"
	hang := func(v *exchange) { io.Copy(io.Discard, v.in) } //nolint:errcheck // the call returns when the client has disconnected
	for name, c := range map[string]struct {
		serve         func(*exchange)
		detail, cause string
	}{
		"closed":          {func(v *exchange) { v.writeText(part) }, proxyClosed, " closed the connection before its response was complete."},
		"closed, nothing": {func(*exchange) {}, proxyClosed, " closed the connection before its response was complete."},
		"hangs":           {func(v *exchange) { v.writeText(part); hang(v) }, proxySilent, " did not respond completely in time."},
		"hangs, nothing":  {hang, proxySilent, " did not respond completely in time."},
		"only interim":    {func(v *exchange) { v.writeText("HTTP/1.1 100 Continue\n\n") }, proxyClosed, " closed the connection before"},
		"a NUL": {func(v *exchange) { v.writeText("HTTP/1.1 403 a\x00b\n\n") },
			proxyInvalid + "line 1 of the response: the reason phrase in the status line contains a control character", "grammar of HTTP/1.1"},
		"no colon": {func(v *exchange) { v.writeText("HTTP/1.1 200 OK\nno colon\n\n") }, proxyInvalid + "line 2 of the response: a line of the response head has no colon",
			"grammar of HTTP/1.1"},
		"SSH": {func(v *exchange) { v.writeText("SSH-2.0-OpenSSH_9.2p1\n") }, "it is not a proxy: an SSH server responded", "could not be reached, or is not a proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			r := throughProxy(t, "http://192.0.2.2:3128", "ws://192.0.2.1/", c.serve)
			if len(r.Findings) != 1 || r.Findings[0].Fault != FaultProxyUnreachable || r.Findings[0].Detail != c.detail {
				t.Errorf("%+v, want %s", r.Findings, c.detail)
			}
			if !strings.Contains(r.Diagnosis.Cause, c.cause) {
				t.Errorf("%s, want %s", r.Diagnosis.Cause, c.cause)
			}
		})
	}
}

// endsWith is a connection that ends with an error after the given bytes.
type endsWith struct {
	net.Conn
	first io.Reader
	end   error
}

func (c *endsWith) Read(b []byte) (int, error) {
	if n, err := c.first.Read(b); err == nil {
		return n, nil
	}
	return 0, &net.OpError{Op: "read", Err: c.end}
}
func (*endsWith) Write(b []byte) (int, error)     { return len(b), nil }
func (*endsWith) SetDeadline(time.Time) error     { return nil }
func (*endsWith) SetReadDeadline(time.Time) error { return nil }
func (*endsWith) Close() error                    { return nil }
func (*endsWith) LocalAddr() net.Addr             { return nil }

// An early end of the connection has the same description for each kind of proxy, and in each part of the response.
func TestProxyConnectionEnds(t *testing.T) {
	for via, part := range map[string]string{"http": "HTTP/1.1 407 Proxy Auth", "https": "\x16\x03\x03\x00\x40\x02", "socks5": "\x05"} {
		for end, want := range map[error]string{io.EOF: proxyClosed, syscall.ECONNRESET: proxyReset, os.ErrDeadlineExceeded: proxySilent} {
			for _, first := range []string{"", part} {
				opts := &Options{NoProbes: true, Proxy: http.ProxyURL(&url.URL{Scheme: via, Host: "192.0.2.2:3128"}),
					Dial: func(context.Context, string, string) (net.Conn, error) {
						return &endsWith{first: strings.NewReader(first), end: end}, nil
					}}
				r := Explain(t.Context(), "ws://192.0.2.1/", opts)
				if len(r.Findings) != 1 || r.Findings[0].Fault != FaultProxyUnreachable || r.Findings[0].Detail != want {
					t.Errorf("%s, %v after %q: %+v, want %s", via, end, first, r.Findings, want)
				}
			}
		}
	}
}

// A 407 to a request with credentials means that the proxy did not accept the credentials. The diagnosis names the schemes that the proxy
// accepts.
func TestProxyRefusesCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		via, challenge, detail, cause, client, not string
	}{
		"none sent": {"http://192.0.2.2:3128", "Proxy-Authenticate: Basic realm=\"office\"\n", "the proxy requires credentials (",
			"requires credentials", "Put the credentials in the proxy's URL", "percent-encoded"},
		"wrong": {"http://pu:pw-secret@192.0.2.2:3128", "Proxy-Authenticate: basic realm=\"office\"\nProxy-Authenticate: NTLM\n",
			"the proxy did not accept the credentials in its URL (basic", "the user or the password is wrong, or not allowed. It accepts basic, NTLM.",
			"percent-encoded", "Put the credentials in"},
		"not Basic": {"http://pu:pw-secret@192.0.2.2:3128", "Proxy-Authenticate: Negotiate\nProxy-Authenticate: NTLM\n",
			"the proxy did not accept the credentials in its URL (Negotiate", "they were sent as Basic, and it accepts only Negotiate, NTLM.",
			"a local helper", "percent-encoded"},
		"no scheme": {"http://pu:pw-secret@192.0.2.2:3128", "", "the proxy did not accept the credentials in its URL",
			"It names no scheme that it accepts.", "percent-encoded", "Put the credentials in"},
	} {
		t.Run(name, func(t *testing.T) {
			r := throughProxy(t, c.via, "ws://192.0.2.1/", func(v *exchange) { v.writeText("HTTP/1.1 407 Proxy Authentication Required\n" + c.challenge + "\n") })
			if len(r.Findings) != 1 || r.Findings[0].Fault != FaultProxyAuth || !strings.HasPrefix(r.Findings[0].Detail, c.detail) {
				t.Errorf("%+v, want %s", r.Findings, c.detail)
			}
			steps := strings.Join(r.Diagnosis.ForClient, "\n")
			if !strings.Contains(r.Diagnosis.Cause, c.cause) || !strings.Contains(steps, c.client) || strings.Contains(steps, c.not) {
				t.Errorf("%s\n%s\nwant %s and %s, without %s", r.Diagnosis.Cause, steps, c.cause, c.client, c.not)
			}
		})
	}
}

// Bytes of the server in the same segment as the proxy's response are diagnosed like bytes that arrive later.
func TestTunnelWithBytesAhead(t *testing.T) {
	const established = "HTTP/1.1 200 Connection established\n\n"
	for name, c := range map[string]struct {
		server, sent, detail, cause string
		fault                       Fault
	}{
		"SMTP":          {"ws://192.0.2.1/", "220 mail.example ESMTP\n", "a mail server (SMTP) responded", "the greeting of an SMTP", FaultNotHTTP},
		"SMTP over TLS": {"wss://192.0.2.1/", "220 mail.example ESMTP\n", `it begins with "220 mail.example ESMTP`, "a port that does not", FaultTLSToPlain},
		"a page":        {"ws://192.0.2.1/", "<html>\n", "the response is a page or a document without a head", "does not respond with HTTP", FaultNotHTTP},
	} {
		t.Run(name, func(t *testing.T) {
			for _, late := range []bool{false, true} {
				r := throughProxy(t, "http://192.0.2.2:3128", c.server, func(v *exchange) {
					if late {
						v.writeText(established)
						<-time.After(time.Millisecond)
						v.writeText(c.sent)
					} else {
						v.writeText(established + c.sent)
					}
					io.Copy(io.Discard, v.in) //nolint:errcheck // the call returns when the client has disconnected
				})
				if len(r.Findings) != 1 || r.Findings[0].Fault != c.fault || !strings.Contains(r.Findings[0].Detail, c.detail) {
					t.Errorf("late %t: %+v, want %s: %s", late, r.Findings, c.fault, c.detail)
				}
				if got := r.Diagnosis.Cause; !strings.Contains(got, c.cause) || !strings.Contains(got, "whether the server or the proxy itself sent it is unknown") ||
					strings.Contains(got, "not a WebSocket server") != (c.fault == FaultNotHTTP) {
					t.Errorf("late %t: %s", late, got)
				}
			}
		})
	}
}

// A proxy URL without a port means the default port of the scheme. TLS to the proxy uses the proxy's name and the caller's trusted CAs.
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
		tr.dialer.plan.proxy = &url.URL{Scheme: "https", Host: "proxy.example:8443"}
		cfg := tr.dialer.proxyTLS()
		if cfg.ServerName != "proxy.example" || !slices.Equal(cfg.NextProtos, []string{"http/1.1"}) || cfg.MinVersion != tls.VersionTLS12 ||
			(cfg.RootCAs != nil) != (given != nil) || cfg.InsecureSkipVerify != (given != nil) {
			t.Errorf("%+v", cfg)
		}
	}
}
