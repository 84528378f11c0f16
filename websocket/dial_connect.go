package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// connect opens the stream for the handshake with t: TCP, a tunnel through a proxy, and TLS, as needed.
func (d *dialer) connect(ctx context.Context, t *handshake.Target) (net.Conn, *HandshakeError) {
	proxy, fail := d.proxy(t)
	if fail != nil {
		return nil, fail
	}
	var nc net.Conn
	if proxy != nil {
		nc, fail = d.tunnel(ctx, proxy, t)
	} else {
		nc, fail = d.tcp(ctx, t.Name, t.Port)
	}
	if fail != nil {
		return nil, fail
	}
	if !t.Secure {
		return nc, nil
	}
	// RFC 6455 §4.1: if /secure/ is true, "the client MUST perform a TLS handshake". The handshake names the host (SNI).
	return secure(ctx, nc, d.tlsConfig(t.Name))
}

// tcp opens a TCP connection. Its errors distinguish an unknown name from an unreachable address.
func (d *dialer) tcp(ctx context.Context, host, port string) (net.Conn, *HandshakeError) {
	dial := d.opts.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	nc, err := dial(ctx, "tcp", net.JoinHostPort(host, port))
	if err == nil && nc == nil {
		err = errors.New("DialContext returned neither a connection nor an error")
	}
	if err == nil {
		return nc, nil
	}
	e := &HandshakeError{Stage: handshake.StageTCP, Err: err, Hint: tcpHint(err)}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		e.Stage, e.Hint = handshake.StageDNS, "check the host name, and that this machine can resolve names"
	}
	return nil, e
}

// secure does the TLS handshake on nc, which it closes on failure.
func secure(ctx context.Context, nc net.Conn, cfg *tls.Config) (net.Conn, *HandshakeError) {
	c := tls.Client(nc, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, &HandshakeError{Stage: handshake.StageTLS, Section: "RFC 6455 §4.1", Err: err, Hint: tlsHint(err)}
	}
	if p := c.ConnectionState().NegotiatedProtocol; p != "" && p != "http/1.1" && !slices.Contains(cfg.NextProtos, p) {
		nc.Close()
		err := errors.New("the server chose a protocol via ALPN that was not offered")
		return nil, &HandshakeError{Stage: handshake.StageTLS, Err: err}
	}
	return c, nil
}

// tlsConfig returns the caller's configuration, adapted to HTTP/1.1 with host.
func (d *dialer) tlsConfig(host string) *tls.Config {
	cfg := d.opts.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = strings.Cut(host, "%") // without the zone of an IPv6 address
	}
	other := func(p string) bool { return p == "h2" || p == "h3" }
	cfg.NextProtos = slices.DeleteFunc(slices.Clone(cfg.NextProtos), other)
	if len(cfg.NextProtos) == 0 {
		cfg.NextProtos = []string{"http/1.1"} // otherwise a server may treat the connection as HTTP/2
	}
	return cfg
}

// proxy returns the proxy for requests to t, or nil if there is none. The proxy function gets the http form of a ws URL, since proxy
// settings exist only for http and https.
func (d *dialer) proxy(t *handshake.Target) (*url.URL, *HandshakeError) {
	find := d.opts.Proxy
	if find == nil {
		find = http.ProxyFromEnvironment
	}
	u := *t.URL
	proxy, err := find(&http.Request{Method: http.MethodGet, URL: &u, Host: u.Host, Header: http.Header{}})
	if err != nil {
		if d.opts.Proxy == nil { // the error text quotes the setting, which may contain a password
			err = errors.New("the proxy setting in the environment is not a valid URL")
		}
		return nil, &HandshakeError{
			Stage: handshake.StageProxy, Err: err, Hint: handshake.HintClientProxy,
		}
	}
	if proxy != nil && proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, &HandshakeError{
			Stage: handshake.StageProxy, Err: errors.New("the proxy's URL is neither http nor https"),
			Hint: handshake.HintClientDialContext,
		}
	}
	return proxy, nil
}
