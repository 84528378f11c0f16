package websocket

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/handfast/handfast/websocket/handshake"
)

// clauseConnect is the clause that defines the tunnel.
const clauseConnect = "RFC 9110 §9.3.6"

// tunnel opens a connection to t through a proxy. RFC 6455 §4.1 (3) requires CONNECT for ws as well as for wss.
func (d *dialer) tunnel(ctx context.Context, proxy *url.URL, t *handshake.Target) (net.Conn, *HandshakeError) {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	nc, fail := d.tcp(ctx, proxy.Hostname(), port)
	if fail == nil && proxy.Scheme == "https" {
		cfg := d.tlsConfig(proxy.Hostname())
		cfg.ServerName = proxy.Hostname() // a ServerName set by the caller is the server's name and not the proxy's
		nc, fail = secure(ctx, nc, cfg)
	}
	if fail != nil {
		fail.Stage, fail.Err = handshake.StageProxy, fmt.Errorf("the proxy could not be reached: %w", fail.Err)
		return nil, fail
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	fail = requestTunnel(nc, proxy.User, net.JoinHostPort(t.Name, t.Port))
	if !stop() && fail == nil {
		fail = &HandshakeError{Stage: handshake.StageProxy}
	}
	if fail != nil {
		nc.Close()
		return nil, fail
	}
	return nc, nil
}

// requestTunnel sends the CONNECT request for addr and reads the proxy's response.
func requestTunnel(nc net.Conn, user *url.Userinfo, addr string) *HandshakeError {
	b := fmt.Appendf(nil, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", addr, addr, userAgent)
	if user != nil {
		password, _ := user.Password()
		b = append(b, "Proxy-Authorization: Basic "...)
		b = base64.StdEncoding.AppendEncode(b, []byte(user.Username()+":"+password))
		b = append(b, "\r\n"...)
	}
	if _, err := nc.Write(append(b, "\r\n"...)); err != nil {
		return &HandshakeError{Stage: handshake.StageProxy, Err: err}
	}
	r, rest, fail := readHead(nc)
	if fail != nil {
		fail.Stage = handshake.StageProxy
		return fail
	}
	if r.Status < 200 || r.Status > 299 {
		name := http.StatusText(r.Status)
		return &HandshakeError{
			Stage: handshake.StageProxy, Section: clauseConnect, Status: r.Status, Header: r.Header, Body: readBody(nc, r, rest),
			Hint: proxyHint(r), Err: fmt.Errorf("the proxy responded %d %s", r.Status, name),
		}
	}
	if len(rest) > 0 {
		// In a tunnel to a WebSocket server, with or without TLS, the client sends first. Data that arrives earlier may be from the
		// proxy, or from a server of a protocol in which the server sends first, such as SSH.
		return &HandshakeError{
			Stage: handshake.StageProxy, Section: clauseConnect, Status: r.Status,
			Err: errors.New("data was received through the proxy before the client sent any: it is from the proxy, or the server is not a WebSocket server"),
		}
	}
	return nil
}
