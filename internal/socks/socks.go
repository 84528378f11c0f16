// Package socks creates clients of SOCKS5 proxies (RFC 1928) from their URLs.
package socks

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/proxy"
)

// Is reports whether u is the URL of a SOCKS5 proxy. With either scheme the proxy receives the server's name and resolves it.
func Is(u *url.URL) bool { return u.Scheme == "socks5" || u.Scheme == "socks5h" }

// Port returns the port of the proxy at u.
func Port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "1080" // RFC 1928 §3
}

// A Client connects through a proxy.
type Client interface {
	proxy.ContextDialer
	// DialWithConn requests a connection to address over c, a connection to the proxy.
	DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
}

// New returns a client of the proxy at u. Errors do not contain u, which may include a password.
func New(u *url.URL) (Client, error) {
	var auth *proxy.Auth // RFC 1929
	if u.User != nil {
		password, _ := u.User.Password()
		if n := len(u.User.Username()); n == 0 || n > 255 || len(password) > 255 {
			return nil, errors.New("a SOCKS5 proxy takes a user of 1 to 255 bytes, and a password of at most 255 (RFC 1929)")
		}
		auth = &proxy.Auth{User: u.User.Username(), Password: password}
	}
	through, err := proxy.SOCKS5("tcp", net.JoinHostPort(u.Hostname(), Port(u)), auth, &net.Dialer{})
	if err != nil {
		return nil, err
	}
	client, ok := through.(Client)
	if !ok {
		return nil, errors.New("the SOCKS5 client cannot be interrupted")
	}
	return client, nil
}

// Refused returns the reason why the proxy refused a connection, or "" for other errors of a Client.
func Refused(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	switch s := err.Error(); {
	case s == "no acceptable authentication methods":
		return "it accepts none of the offered authentication methods: it may require a user and a password"
	case s == "username/password authentication failed":
		return "it does not accept the user or the password"
	default:
		answer, _ := strings.CutPrefix(s, "unknown error ")
		if answer == s {
			return ""
		}
		return answer
	}
}
