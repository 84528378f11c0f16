package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/proxy"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// parseProxy reads --proxy: a URL with one of the schemes, HOST:PORT for one with HTTP, @FILE or env:NAME. The result is nil for
// "", which means what the environment has, and for "none". Errors do not repeat it: it may hold a password.
func parseProxy(sys *System, given string, schemes ...string) (*url.URL, error) {
	var raw string
	if err := readCredential(sys, "--proxy", given, &raw); err != nil {
		return nil, err
	}
	if raw == "" || raw == "none" {
		return nil, nil //nolint:nilnil // there is no proxy
	}
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || !handshake.ValidHost(u.Host) {
		what := "an HTTP proxy"
		if len(schemes) > 2 {
			what = "a proxy"
		}
		forms := make([]string, len(schemes))
		for i, s := range schemes {
			forms[i] = s + "://host:port"
		}
		return nil, usagef("write --proxy "+strings.Join(forms, ", or --proxy "), "--proxy takes the URL of %s", what)
	}
	return u, nil
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // as http.Transport.Proxy has it

// httpProxy turns --proxy into what finds an HTTP proxy; nil means that the environment decides.
func httpProxy(sys *System, given string) (func(*http.Request) (*url.URL, error), error) {
	u, err := parseProxy(sys, given, "http", "https")
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

// socksError is a failure at, or behind, a SOCKS proxy.
type socksError struct{ err error }

func (e *socksError) Error() string { return e.err.Error() }
func (e *socksError) Unwrap() error { return e.err }

// useProxy has a handshake go through the proxy of --proxy: one with HTTP, or with SOCKS5 (RFC 1928), which gets the server's name
// and looks it up itself.
func useProxy(sys *System, given string, opts *websocket.DialOptions) error {
	u, err := parseProxy(sys, given, "http", "https", "socks5", "socks5h")
	switch {
	case err != nil:
		return err
	case u != nil && !strings.HasPrefix(u.Scheme, "socks5"):
		opts.Proxy = http.ProxyURL(u)
		return nil
	case given == "":
		return nil
	}
	opts.Proxy = noProxy
	if u == nil {
		return nil
	}
	var auth *proxy.Auth // RFC 1929
	if u.User != nil {
		password, _ := u.User.Password()
		if n := len(u.User.Username()); n == 0 || n > 255 || len(password) > 255 {
			return usagef("", "--proxy: a SOCKS5 proxy takes a user of 1 to 255 bytes, and a password of at most 255 (RFC 1929)")
		}
		auth = &proxy.Auth{User: u.User.Username(), Password: password}
	}
	port := u.Port()
	if port == "" {
		port = "1080"
	}
	through, err := proxy.SOCKS5("tcp", net.JoinHostPort(u.Hostname(), port), auth, &net.Dialer{})
	if err != nil {
		return fmt.Errorf("--proxy: %w", err)
	}
	dialer, ok := through.(proxy.ContextDialer)
	if !ok {
		return errors.New("--proxy: the SOCKS5 client cannot be interrupted")
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
