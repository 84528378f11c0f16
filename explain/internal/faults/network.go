package faults

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/websocket"
)

// nameNotFound is a name that does not exist according to the name server.
func nameNotFound(l *lab) (*Site, error) {
	r, err := l.resolver(zone{rcode: rcodeNotFound})
	return &Site{URL: "ws://nothing.test/", Options: explain.Options{Resolver: r}}, err
}

// mixedContent is a server without TLS that allows an https page of another host.
func mixedContent(l *lab) (*Site, error) {
	addr, err := l.handler(l.echo(&websocket.AcceptOptions{Origins: []string{foreignOrigin}}), nil)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	r, err := l.resolver(zone{name: "chat.test", addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	return &Site{URL: "ws://chat.test:" + port + "/", Options: explain.Options{Origin: foreignOrigin, Resolver: r}}, err
}

// blockedPort is a server on a port that browsers do not connect to.
func blockedPort(l *lab) (*Site, error) {
	addr, err := l.healthyOn()
	return &Site{URL: "ws://127.0.0.1:6000/", Options: explain.Options{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}}, err
}

// nameWithoutAddress is a name that exists but has no address (NODATA).
func nameWithoutAddress(l *lab) (*Site, error) {
	r, err := l.resolver(zone{name: "mail.test"})
	return &Site{URL: "ws://mail.test/", Options: explain.Options{Resolver: r}}, err
}

// nameServerRefuses is a name server that refuses this client.
func nameServerRefuses(l *lab) (*Site, error) {
	r, err := l.resolver(zone{rcode: rcodeRefused})
	return &Site{URL: "ws://closed.test/", Options: explain.Options{Resolver: r}}, err
}

// dialError is a connection that fails with an error of the kernel.
func dialError(errno syscall.Errno) func(*lab) (*Site, error) {
	return func(*lab) (*Site, error) {
		return &Site{URL: "ws://192.0.2.1/", Options: explain.Options{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
		}}}, nil
	}
}

// otherLoopback listens on one loopback address, while the URL names the other.
func otherLoopback(l *lab) (*Site, error) {
	addr, err := l.healthyOn()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	return &Site{URL: "ws://[::1]:" + port + "/", Options: explain.Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "[::1]") { // the machine that runs the test may have no IPv6
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}}, err
}

// onlyIPv6 is a server on ::1 alone. The name in the URL has both loopback addresses.
func onlyIPv6(name string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		addr, err := l.healthyOn()
		if err != nil {
			return nil, err
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		r, err := l.resolver(zone{rcode: rcodeNotFound})
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "127.") {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			}
			return (&net.Dialer{}).DialContext(ctx, network, strings.Replace(address, "[::1]", "127.0.0.1", 1)) // the machine may have no IPv6
		}
		return &Site{URL: name + ":" + port + "/", Options: explain.Options{Resolver: r, Dial: dial}}, err
	}
}

// nameServerFails is a name server that reports a failure.
func nameServerFails(l *lab) (*Site, error) {
	r, err := l.resolver(zone{rcode: rcodeServer})
	return &Site{URL: "ws://broken.test/", Options: explain.Options{Resolver: r}}, err
}

// refused is a port without a listener.
func refused(l *lab) (*Site, error) {
	ln, err := l.listen()
	if err != nil {
		return nil, err
	}
	l.drop(ln)
	return &Site{URL: "ws://" + ln.Addr().String() + "/"}, nil
}

// unanswered is a port whose packets get no reply: the queue of its listener is full, so the kernel drops new connections.
func unanswered(l *lab) (*Site, error) {
	ln, err := l.listen()
	if err != nil {
		return nil, err
	}
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = shrink(fd) }); err != nil || failed != nil {
		return nil, errors.Join(err, failed)
	}
	// The kernel accepts one or two connections beyond the backlog, depending on the system.
	for range 64 {
		c, err := net.DialTimeout("tcp4", ln.Addr().String(), 100*time.Millisecond)
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			return &Site{URL: "ws://" + ln.Addr().String() + "/"}, nil
		} else if err != nil {
			return nil, err
		}
		l.keep(c)
	}
	return nil, errors.New("faults: the queue of a listener does not fill up")
}

// silent accepts connections, and reads without responding.
func silent(l *lab) (*Site, error) {
	addr, err := l.serve(func(c net.Conn) { io.Copy(io.Discard, c) }) //nolint:errcheck // Copy returns when the client has disconnected
	return &Site{URL: "ws://" + addr + "/"}, err
}

// ipv6Refused is a name with an IPv6 and an IPv4 address, of which only the second has a server. The first is an address for
// documentation; the dialer redirects it to a loopback port without a listener.
func ipv6Refused(l *lab) (*Site, error) {
	addr, err := l.healthyOn()
	if err != nil {
		return nil, err
	}
	dead, err := refused(l)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	v6 := netip.MustParseAddr("2001:db8::1")
	r, err := l.resolver(zone{name: "half.test", addrs: []netip.Addr{v6, netip.MustParseAddr("127.0.0.1")}})
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "["+v6.String()+"]") {
			address = strings.Trim(strings.TrimPrefix(dead.URL, "ws://"), "/")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return &Site{URL: "ws://half.test:" + port + "/", Options: explain.Options{Resolver: r, Dial: dial}}, err
}

// plainForTLS is a port for plain HTTP that the client uses with TLS.
func plainForTLS(l *lab) (*Site, error) {
	addr, err := l.serve(func(c net.Conn) {
		buf := make([]byte, 512)
		if _, err := c.Read(buf); err != nil { // the client sends a ClientHello, which net/http and nginx also answer with a 400
			return
		}
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") //nolint:errcheck // the write fails only if the client has disconnected
		linger(c, c)
	})
	return &Site{URL: "wss://" + addr + "/"}, err
}

// tlsRequired is a port for TLS that responds to plain HTTP in plain HTTP, with a hint in the body, and to a ClientHello with an alert.
func tlsRequired(answer string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		addr, err := l.serve(func(c net.Conn) {
			in := bufio.NewReader(c)
			if first, err := in.Peek(1); err == nil && first[0] == 22 { // a TLS handshake record (RFC 8446 §5.1)
				io.WriteString(c, "\x15\x03\x03\x00\x02\x02\x28") //nolint:errcheck // the write fails only if the client has disconnected
			} else if _, err := http.ReadRequest(in); err == nil {
				io.WriteString(c, answer) //nolint:errcheck // the write fails only if the client has disconnected
			}
			linger(c, in)
		})
		return &Site{URL: "ws://" + addr + "/"}, err
	}
}

// The responses of net/http and nginx.
var (
	tlsForPlain      = tlsRequired("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
	nginxTLSForPlain = tlsRequired("HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" +
		"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n<body>\r\n" +
		"<center><h1>400 Bad Request</h1></center>\r\n" +
		"<center>The plain HTTP request was sent to HTTPS port</center>\r\n" +
		"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n")
)

// alertForPlain is a port for TLS that responds to plain HTTP with a TLS alert, as most servers do.
func alertForPlain(l *lab) (*Site, error) {
	root := newRoot("Public")
	config := &tls.Config{Certificates: []tls.Certificate{root.issue(leaf{})}, MinVersion: tls.VersionTLS12}
	addr, err := l.serve(func(c net.Conn) {
		if tls.Server(c, config).Handshake() != nil {
			linger(c, c)
		}
	})
	return &Site{URL: "ws://" + addr + "/"}, err
}

// reset resets the connection when it has received the request.
func reset(l *lab) (*Site, error) {
	return l.site(func(v *exchange) { abort(v.Conn) })
}

// closedEarly reads the request and closes without a response.
func closedEarly(l *lab) (*Site, error) { return l.site(func(*exchange) {}) }

// banner is a service that speaks another protocol and sends text before the client sends anything.
func banner(text string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		addr, err := l.serve(func(c net.Conn) {
			io.WriteString(c, text) //nolint:errcheck // the write fails only if the client has disconnected
			io.Copy(io.Discard, c)  //nolint:errcheck // Copy returns when the client has disconnected
		})
		return &Site{URL: "ws://" + addr + "/"}, err
	}
}

// withoutRoute is a loopback address without a route: the broadcast address.
func withoutRoute(*lab) (*Site, error) { return &Site{URL: "ws://127.255.255.255:80/"}, nil }

// invalid is an invalid URL.
func invalid(rawURL string) func(*lab) (*Site, error) {
	return func(*lab) (*Site, error) { return &Site{URL: rawURL}, nil }
}

// unsendable has options from which no valid request can be made.
func unsendable(o explain.Options) func(*lab) (*Site, error) {
	return func(*lab) (*Site, error) { return &Site{URL: "ws://localhost/", Options: o}, nil }
}

// proxied uses the address of start's site as the client's proxy.
func proxied(start func(*lab) (*Site, error)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err != nil {
			return nil, err
		}
		proxy, err := url.Parse(strings.Replace(s.URL, "ws://", "http://", 1))
		if err != nil {
			return nil, err
		}
		s.URL = "ws://server.test/"
		s.Options.Proxy = func(*http.Request) (*url.URL, error) { return proxy, nil }
		return s, nil
	}
}

// withShortTimeout makes the client wait only for a moment, for sites that never respond.
func withShortTimeout(start func(*lab) (*Site, error)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err == nil {
			s.Options.StepTimeout = moment
		}
		return s, err
	}
}

// moment is the timeout of a client whose server never responds.
const moment = time.Second

// withTLSURL makes the client use TLS for a site that does not use it.
func withTLSURL(start func(*lab) (*Site, error)) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		s, err := start(l)
		if err == nil {
			s.URL = strings.Replace(s.URL, "ws://", "wss://", 1)
		}
		return s, err
	}
}

// interrupted cancels the caller's context before the first step.
func interrupted(l *lab) (*Site, error) {
	s, err := healthy(l)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Context = ctx
	return s, nil
}

// withShortTotalTimeout sets an overall time limit that is shorter than the first wait.
func withShortTotalTimeout(l *lab) (*Site, error) {
	s, err := silent(l)
	if err == nil {
		s.Options.Timeout, s.Options.StepTimeout = moment/2, serverTimeout
	}
	return s, err
}

var networkFaults = []Fault{
	{ID: explain.FaultURL, Name: "url of another scheme", start: invalid("ftp://localhost/")},
	{ID: explain.FaultURL, Name: "url without a host", start: invalid("ws:///chat")},
	{ID: explain.FaultURL, Name: "url with one slash", start: invalid("wss:/localhost")},
	{ID: explain.FaultURL, Name: "url without slashes", start: invalid("ws:localhost")},
	{ID: explain.FaultURL, Name: "url with a fragment", start: invalid("ws://localhost/#room")},
	{ID: explain.FaultMixedContent, Name: "ws from a page over https", Warning: true, start: mixedContent},
	{ID: explain.FaultBlockedPort, Name: "the port of X11", Warning: true, start: blockedPort},
	{ID: explain.FaultRequest, Name: "a reserved handshake header", start: unsendable(explain.Options{
		Header: http.Header{"Upgrade": {"h2c"}}})},
	{ID: explain.FaultRequest, Name: "a token that contains a newline", start: unsendable(explain.Options{
		Credentials: explain.Credentials{Bearer: "abc\n"}})},
	{ID: explain.FaultRequest, Name: "a subprotocol that contains a space", start: unsendable(explain.Options{
		Subprotocols: []string{"chat v1"}})},
	{ID: explain.FaultNameNotFound, Name: "the name does not exist", start: nameNotFound},
	{ID: explain.FaultNameNotFound, Name: "the name has no address", start: nameWithoutAddress},
	{ID: explain.FaultNameServer, Name: "the name server refuses", start: nameServerRefuses},
	{ID: explain.FaultNameServer, Name: "the name server fails", start: nameServerFails},
	{ID: explain.FaultRefused, Name: "no listener", start: refused},
	{ID: explain.FaultRefused, Name: "a server on the other loopback address", start: otherLoopback},
	{ID: explain.FaultConnectTimeout, Name: "the port drops all packets", start: withShortTimeout(unanswered)},
	{ID: explain.FaultUnreachable, Name: "no route to the address", start: withoutRoute},
	{ID: explain.FaultUnreachable, Name: "this machine does not allow the connection", start: dialError(syscall.EACCES)},
	{ID: explain.FaultIPv6, Name: "the IPv6 address is dead", Warning: true, start: ipv6Refused},
	{ID: explain.FaultProxyUnreachable, Name: "the proxy is unreachable", start: proxied(refused)},
	{ID: explain.FaultProxyUnreachable, Name: "the proxy is not a proxy", start: proxied(banner("SSH-2.0-OpenSSH_9.2p1\r\n"))},
	{ID: explain.FaultProxyAuth, Name: "the proxy requires a password", start: proxied(
		answers("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"office\"\n", ""))},
	{ID: explain.FaultProxyRefused, Name: "the proxy does not allow a tunnel", start: proxied(answers("403 Forbidden", "", "no\n"))},
	{ID: explain.FaultProxyRefused, Name: "the proxy does not reach the server", start: proxied(answers("502 Bad Gateway", "", ""))},
	{ID: explain.FaultInterrupted, Name: "the caller gives up", start: interrupted},
	{ID: explain.FaultTimeout, Name: "no time left", start: withShortTotalTimeout},
}

// silenceFaults are the faults of servers that receive a request and send no HTTP response.
var silenceFaults = []Fault{
	{ID: explain.FaultReset, Name: "a reset right after the connection", start: dialError(syscall.ECONNRESET)},
	{ID: explain.FaultReset, Name: "a reset instead of an answer", start: reset},
	{ID: explain.FaultClosedUnanswered, Name: "a close instead of an answer", start: closedEarly},
	{ID: explain.FaultClosedUnanswered, Name: "a close instead of an answer, next to HTTP/2", start: closesOnUpgrade},
	{ID: explain.FaultNoResponse, Name: "silence instead of an answer", start: withShortTimeout(silent)},
	{ID: explain.FaultNotHTTP, Name: "an SSH server", start: banner("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")},
	{ID: explain.FaultNotHTTP, Name: "an SMTP server", start: banner("220 mail.example ESMTP Postfix\r\n")},
	{ID: explain.FaultHeadBroken, Name: "a status line without a status",
		start: script("HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n")},
	{ID: explain.FaultHeadBroken, Name: "a status of four digits",
		start: script("HTTP/1.1 1010 Switching Protocols\r\n\r\n")},
	{ID: explain.FaultNotHTTP, Name: "chunks instead of a status line", start: script("5\r\nhello\r\n0\r\n\r\n")},
	{ID: explain.FaultHeadBroken, Name: "a field without a colon",
		start: script("HTTP/1.1 101 Switching Protocols\r\nUpgrade websocket\r\n\r\n")},
	{ID: explain.FaultHeadTooLarge, Name: "a head of many megabytes", start: endlessHead},
	{ID: explain.FaultHeadEndless, Name: "a head that stops", start: withShortTimeout(unendedHead)},
	{ID: explain.FaultHeadEndless, Name: "a head that is cut off",
		start: script("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")},
}
