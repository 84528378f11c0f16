package websocket

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
)

const (
	defaultDialTimeout  = 30 * time.Second
	defaultMaxRedirects = 5
)

// DialOptions are the options of Dial. The zero value is the safe default. Dial does not modify its options, so one value may serve
// any number of concurrent calls.
type DialOptions struct {
	// Header is added to the request: Origin, Cookie, User-Agent and others. Host replaces only the Host header. A field that
	// belongs to the handshake itself is an error. After a redirect to another origin only Accept, Accept-Language, Origin and
	// User-Agent are sent, since any other field may hold a secret.
	Header http.Header

	// Subprotocols are the supported subprotocols, the preferred one first. The server may choose one of them, or none: see
	// [Handshake.Subprotocol]. They are also sent after redirects.
	Subprotocols []string

	// TLS is used for wss, and for https proxies. It is copied, not modified. An empty ServerName means the URL's host. h2 and h3
	// in NextProtos are ignored, and an empty list means http/1.1. If TLS is nil, the roots of the system and the defaults of
	// crypto/tls are used.
	TLS *tls.Config

	// Proxy returns the proxy for a request, whose URL is the target's with the scheme http or https; a nil URL means no proxy. The
	// proxy's URL has the scheme http or https, its user information becomes Proxy-Authorization, and CONNECT is always used. If
	// Proxy is nil, http.ProxyFromEnvironment is used.
	Proxy func(*http.Request) (*url.URL, error)

	// DialContext opens the connection to the server or to the proxy, for example through SOCKS, a Unix socket or a tunnel.
	// network is "tcp". If nil, a net.Dialer is used.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Jar provides the cookies for each request and stores those of every response, including failures. nil means no cookies.
	Jar http.CookieJar

	// MaxRedirects limits how many redirects (301, 302, 303, 307, 308) are followed. 0 means 5; a negative value means none.
	// Redirects from TLS to no TLS are not followed.
	MaxRedirects int

	// HandshakeTimeout limits the whole handshake, from the name lookup to the last redirect, in addition to the context. 0 means
	// 30 seconds, unless the context has a deadline.
	HandshakeTimeout time.Duration

	// Trace is called for each request, including those that follow a redirect: with a nil response when the request has been sent,
	// and again when the response has arrived. It is for programs that show the handshake. Both arguments are read-only and contain
	// secrets. Trace may be nil.
	Trace func(*handshake.Request, *handshake.Response)

	// Conn holds the options of the open connection.
	Conn ConnOptions
}

// Dial opens a connection to a ws, wss, http or https URL. User information in the URL becomes an Authorization header, unless the
// options set one. ctx applies only to the opening handshake, and interrupts it at any point.
//
// A failure is a [*HandshakeError]: it contains the stage, the server's response, and the next step. It wraps the net, tls, x509 or
// context error. opts may be nil.
func Dial(ctx context.Context, url string, opts *DialOptions) (*Conn, error) {
	if opts == nil {
		opts = &DialOptions{}
	}
	ctx, cancel := dialContext(ctx, opts.HandshakeTimeout)
	defer cancel()
	t, v := handshake.ParseTarget(url)
	if v != nil {
		return nil, violated(v)
	}
	d, fail := newDialer(opts, t)
	if fail != nil {
		return nil, fail
	}
	redirected := ""
	for range maxRedirects(opts.MaxRedirects) {
		c, next, fail := d.attempt(ctx, t, true)
		if fail != nil {
			fail.Redirected = redirected
			return nil, contextError(ctx, fail)
		}
		if next == nil {
			return c, nil
		}
		d.follow(t, next)
		t, redirected = next, redactedURL(next)
	}
	c, _, fail := d.attempt(ctx, t, false)
	if fail != nil {
		fail.Redirected = redirected
		return nil, contextError(ctx, fail)
	}
	return c, nil
}

// redactedURL returns t's URL without the parts that may contain secrets.
func redactedURL(t *handshake.Target) string {
	scheme := "ws://"
	if t.Secure {
		scheme = "wss://"
	}
	path, _, _ := strings.Cut(t.URI, "?")
	return scheme + t.Host() + path
}

func maxRedirects(n int) int {
	if n == 0 {
		return defaultMaxRedirects
	}
	return max(n, 0)
}

// dialContext returns a context with the time limit of the whole handshake added to ctx.
func dialContext(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		if _, ok := ctx.Deadline(); ok {
			return ctx, func() {}
		}
		timeout = defaultDialTimeout
	}
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the handshake took longer than %v", timeout))
}

// contextError replaces the error of a failure with the error of ctx if the end of ctx caused the failure.
func contextError(ctx context.Context, e *HandshakeError) *HandshakeError {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done() // the deadline that a connection took from ctx can pass a moment before ctx is done
	}
	err := ctx.Err()
	if err == nil {
		return e
	}
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	e.Err, e.Section, e.Hint = err, "", ""
	if errors.Is(err, context.DeadlineExceeded) {
		e.Hint = timeoutHint(e.Stage)
	}
	return e
}

// dialer is the state of a Dial that follows redirects.
type dialer struct {
	opts       *DialOptions
	extensions []handshake.Extension // the offered extensions
	header     http.Header           // the header fields of the request, without Host
	host       string                // the Host header; "" means the target's
	dropped    bool                  // a redirect has led to another origin, and some fields of header were left out
}

// attempt connects to t and runs one handshake. For a redirect that may be followed it returns the next target, and neither a
// connection nor a failure.
func (d *dialer) attempt(ctx context.Context, t *handshake.Target, follow bool) (*Conn, *handshake.Target, *HandshakeError) {
	nc, fail := d.connect(ctx, t)
	if fail != nil {
		return nil, nil, fail
	}
	// Close interrupts any kind of connection, whichever dialer made it. Nothing is lost, since an interrupted handshake cannot be
	// resumed.
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	ex := &exchange{d: d, t: t, nc: nc}
	c, next, fail := ex.run(follow)
	if !stop() && fail == nil { // ctx has ended, and the connection is closed
		fail = &HandshakeError{Stage: handshake.StageStatus}
	}
	if fail != nil || next != nil {
		nc.Close()
		return nil, next, fail
	}
	return c(), nil, nil
}

// newKey returns a fresh Sec-WebSocket-Key: RFC 6455 §4.1, "a nonce consisting of a randomly selected 16-byte value".
func newKey() string {
	var nonce [16]byte
	rand.Read(nonce[:]) //nolint:errcheck // crypto/rand.Read never returns an error
	return handshake.EncodeKey(nonce)
}
