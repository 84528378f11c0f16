package websocket

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/protocol"
)

// bodyTimeout bounds the wait for the body of a response that is already known to be a failure.
const bodyTimeout = time.Second

// exchange is one request with its response.
type exchange struct {
	d  *dialer
	t  *handshake.Target
	nc net.Conn
}

// run sends the request and checks the response. On success it returns a function that makes the Conn. The caller must call that
// function only when the context can no longer close the connection. For a redirect, run returns the next target.
func (x *exchange) run(follow bool) (conn func() *Conn, next *handshake.Target, fail *HandshakeError) {
	req := x.d.request(x.t)
	if _, err := x.nc.Write(req.AppendHead(make([]byte, 0, 512))); err != nil {
		return nil, nil, connLost(handshake.StageRequest, err)
	}
	x.trace(req, nil)
	r, rest, fail := readHead(x.nc)
	if fail != nil {
		if _, ok := errors.AsType[*handshake.Violation](fail.Err); !ok && !x.t.Secure && fail.Hint == "" {
			fail.Hint = "if the port expects TLS, use wss://; otherwise check the server's log"
		}
		return nil, nil, fail
	}
	x.trace(req, r)
	if x.d.opts.Jar != nil {
		if cookies := (&http.Response{Header: r.Header}).Cookies(); len(cookies) > 0 {
			x.d.opts.Jar.SetCookies(x.t.URL, cookies)
		}
	}
	if follow && handshake.IsRedirect(r.Status) && len(r.Header["Location"]) > 0 {
		next, fail := x.redirect(r)
		return nil, next, fail
	}
	subprotocol, extensions, v := handshake.Verify(r, req)
	if v != nil {
		return nil, nil, x.refused(r, rest, v)
	}
	agreed, compressed, fail := verifyCompression(extensions, x.d.opts.Conn.Compression)
	if fail != nil {
		fail.Header = r.Header
		return nil, nil, fail
	}
	hs := &Handshake{
		Proto:       "HTTP/1." + strconv.Itoa(r.Minor),
		URL:         x.t.URL,
		Header:      r.Header,
		Subprotocol: subprotocol,
		Extensions:  r.Header.Get("Sec-Websocket-Extensions"),
	}
	if addr := x.nc.RemoteAddr(); addr != nil { // a connection from DialOptions.DialContext may have no address
		hs.RemoteAddr = addr.String()
	}
	if c, ok := x.nc.(*tls.Conn); ok && x.t.Secure { // for a ws URL, only the connection to the proxy uses TLS
		state := c.ConnectionState()
		hs.TLS = &state
	}
	return func() *Conn {
		return newConn(x.nc, protocol.RoleClient, &x.d.opts.Conn, hs, deflateIf(compressed, &agreed), rest)
	}, nil, nil
}

func (x *exchange) trace(req *handshake.Request, answer *handshake.Response) {
	if x.d.opts.Trace != nil {
		x.d.opts.Trace(req, answer)
	}
}

// redirect returns the target of a redirect response.
func (x *exchange) redirect(r *handshake.Response) (*handshake.Target, *HandshakeError) {
	next, v := x.t.Resolve(r.Header["Location"][0])
	if v != nil {
		v.Stage, v.Section, v.Status = handshake.StageStatus, "RFC 9110 §10.2.2", r.Status
		return nil, x.refused(r, nil, v)
	}
	if x.t.Secure && !next.Secure {
		return nil, &HandshakeError{
			Stage: handshake.StageStatus, Status: r.Status, Header: r.Header,
			Err:  errors.New("the server redirects from TLS to a URL without TLS"),
			Hint: "the server should redirect to wss:// or https://; behind a proxy that terminates TLS, configure the server accordingly",
		}
	}
	if next.Auth == "" && next.SameOrigin(x.t) {
		next.Auth = x.t.Auth
	}
	return next, nil
}

// refused returns the error for a response that breaks a rule, or has a status other than 101.
func (x *exchange) refused(r *handshake.Response, rest []byte, v *handshake.Violation) *HandshakeError {
	e := violated(v)
	e.Status, e.Header = r.Status, r.Header
	if r.Status == http.StatusSwitchingProtocols {
		return e
	}
	e.Body = readBody(x.nc, r, rest)
	switch {
	case r.Status == http.StatusBadRequest && !x.t.Secure && mentionsTLS(e.Body):
		e.Hint = "this port expects TLS: use wss://"
	case r.Status == http.StatusUnauthorized && x.d.dropped:
		e.Hint = "a redirect led to another origin, to which credentials are not sent: use the URL that it led to"
	}
	return e
}

// mentionsTLS recognizes the responses of common servers to plain HTTP on their TLS port.
func mentionsTLS(body []byte) bool {
	s := strings.ToUpper(string(body))
	return strings.Contains(s, "HTTPS") || strings.Contains(s, "SSL-ENABLED")
}

// readHead reads the head of a response. It returns the response, and the bytes after the head that have arrived in the same read.
func readHead(nc net.Conn) (*handshake.Response, []byte, *HandshakeError) {
	var head handshake.Head
	buf := make([]byte, 4096)
	for some := false; ; {
		n, err := nc.Read(buf)
		some = some || n > 0
		r, rest, v := head.Feed(buf[:n])
		switch {
		case v != nil:
			return nil, nil, violated(v)
		case r != nil:
			return r, slices.Clip(slices.Clone(rest)), nil // copied, so that a few bytes do not keep the whole buffer alive
		case errors.Is(err, io.EOF):
			if some {
				err = fmt.Errorf("the connection was closed in the middle of the response head: %w", io.ErrUnexpectedEOF)
			} else {
				err = fmt.Errorf("the connection was closed without a response: %w", io.ErrUnexpectedEOF)
			}
			return nil, nil, connLost(handshake.StageStatus, err)
		case err != nil:
			return nil, nil, connLost(handshake.StageStatus, err)
		}
	}
}

// readBody returns the beginning of a response's body: at most maxBody bytes, as far as they arrive within bodyTimeout.
func readBody(nc net.Conn, r *handshake.Response, rest []byte) []byte {
	if r.Status == http.StatusNoContent || r.Status == http.StatusNotModified || r.Status < 200 {
		return nil
	}
	nc.SetReadDeadline(time.Now().Add(bodyTimeout)) //nolint:errcheck // if SetReadDeadline fails, the context still limits the read
	var body io.Reader = io.MultiReader(strings.NewReader(string(rest)), nc)
	limit := int64(maxBody)
	if te := r.Header["Transfer-Encoding"]; len(te) > 0 {
		body = httputil.NewChunkedReader(body)
	} else if cl, err := strconv.ParseUint(r.Header.Get("Content-Length"), 10, 63); err == nil {
		limit = min(limit, int64(cl))
	}
	b, _ := io.ReadAll(io.LimitReader(body, limit)) //nolint:errcheck // after an error, the part that has arrived is reported
	return b
}

// connLost returns the error for a connection that failed before the response arrived.
func connLost(stage handshake.Stage, err error) *HandshakeError {
	e := &HandshakeError{Stage: stage, Err: err}
	if alert, ok := remoteAlert(err); ok {
		// In TLS 1.3 a server checks the client's certificate after the client has finished its part of the handshake.
		e.Stage, e.Section, e.Hint = handshake.StageTLS, "RFC 6455 §4.1", alertHint(alert)
	}
	return e
}
