package cli

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/handfast/handfast/internal/socks"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// proxySchemes are the schemes of URLs that --proxy accepts.
var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// parseProxy parses --proxy: a URL with one of proxySchemes, HOST:PORT for an HTTP proxy, @FILE or env:NAME. The result is nil for "",
// which means the proxy in the environment, and for "none", which means no proxy. Errors do not contain the value, because it may contain a
// password.
func parseProxy(sys *System, given string) (*url.URL, error) {
	var raw string
	if err := readCredential(sys, "--proxy", given, &raw); err != nil {
		return nil, err
	}
	if raw == "" || raw == "none" {
		return nil, nil // a nil URL means no proxy
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || !slices.Contains(proxySchemes, u.Scheme) || !handshake.ValidHost(u.Host) {
		forms := make([]string, len(proxySchemes))
		for i, s := range proxySchemes {
			forms[i] = s + "://host:port"
		}
		return nil, usagef("write --proxy "+strings.Join(forms, ", or --proxy "), "--proxy takes the URL of a proxy")
	}
	return u, nil
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil } // for http.Transport.Proxy, a nil URL means no proxy

// findProxy returns the function that finds the proxy of a request according to --proxy; nil means that the environment decides.
func findProxy(sys *System, given string) (func(*http.Request) (*url.URL, error), error) {
	u, err := parseProxy(sys, given)
	switch {
	case err != nil:
		return nil, err
	case u != nil:
		return http.ProxyURL(u), nil
	case given == "":
		return nil, nil
	}
	return noProxy, nil
}

// socksError is an error of a SOCKS proxy, or of a connection through it.
type socksError struct{ err error }

func (e *socksError) Error() string { return e.err.Error() }
func (e *socksError) Unwrap() error { return e.err }

// useProxy makes a handshake use the proxy of --proxy: an HTTP proxy, or a SOCKS5 proxy (RFC 1928), which resolves the server's name
// itself.
func useProxy(sys *System, given string, opts *websocket.DialOptions) error {
	u, err := parseProxy(sys, given)
	switch {
	case err != nil:
		return err
	case u != nil && !socks.Is(u):
		opts.Proxy = http.ProxyURL(u)
		return nil
	case given == "":
		return nil
	}
	opts.Proxy = noProxy
	if u == nil {
		return nil
	}
	dialer, err := socks.New(u)
	if err != nil {
		return usagef("", "--proxy: %v", err)
	}
	opts.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, &socksError{err}
		}
		return c, nil
	}
	return nil
}
