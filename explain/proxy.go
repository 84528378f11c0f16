package explain

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/handfast/handfast/internal/socks"
)

// clauseConnect is the clause that defines the tunnel through a proxy.
const clauseConnect = "RFC 9110 §9.3.6"

// findProxy returns the proxy for the request, or nil if there is none. ok is false if the proxy setting is not usable.
func (t *dialer) findProxy() (proxy *url.URL, ok bool) {
	u := &url.URL{Scheme: "http", Host: t.run.target.Host(), Path: "/"} // proxy settings are for http and https
	if t.run.target.Secure {
		u.Scheme = "https"
	}
	refuse := func(detail string) (*url.URL, bool) {
		s := t.run.begin(StageProxy, "find the proxy")
		s.OK = false
		t.run.fail(StageProxy, FaultProxyUnreachable, "", detail)
		t.run.end(s, detail)
		return nil, false
	}
	proxy, err := t.run.o.Proxy(&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}})
	switch {
	case err != nil: // the text of err may quote a setting that contains a password
		return refuse("the proxy setting is not a URL")
	case proxy == nil:
		return nil, true
	case proxy.Scheme != "http" && proxy.Scheme != "https" && !socks.Is(proxy):
		return refuse("the proxy's URL does not begin with http, https, socks5 or socks5h: other kinds are not supported")
	case proxy.Hostname() == "":
		return refuse("the proxy's URL has no host")
	}
	if proxy.User != nil {
		password, _ := proxy.User.Password()
		t.run.hide.add(password)
		t.run.hide.add(basic(proxy.User.Username(), password))
	}
	t.run.r.Target.Proxy = net.JoinHostPort(proxy.Hostname(), proxyPort(proxy))
	return proxy, true
}

func proxyPort(proxy *url.URL) string {
	if p := proxy.Port(); p != "" {
		return p
	}
	if socks.Is(proxy) {
		return socks.Port(proxy)
	}
	return map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
}

// connectFields returns the request line and the fields of the CONNECT request for the target.
func (t *dialer) connectFields() (line string, fields []field) {
	addr := net.JoinHostPort(t.run.target.Name, t.run.target.Port)
	fields = []field{
		{"Host", addr, "the destination of the tunnel"},
		{"User-Agent", userAgent, "the client"},
	}
	if user := t.plan.proxy.User; user != nil {
		password, _ := user.Password()
		fields = append(fields, field{"Proxy-Authorization", "Basic " + basic(user.Username(), password), "the credentials for the proxy"})
	}
	return "CONNECT " + addr + " HTTP/1.1", fields
}

// tunnel requests a tunnel to the target from the proxy, and returns the proxy's response.
func (t *dialer) tunnel(l *link) (*head, error) {
	l.bound(t.run.step())
	if t.plan.proxy.Scheme == "https" {
		c := tls.Client(l.Conn, t.proxyTLS())
		if err := c.HandshakeContext(t.run.ctx); err != nil {
			return nil, fmt.Errorf("TLS with the proxy: %w", err)
		}
		l.Conn = c
	}
	line, fields := t.connectFields()
	b := []byte(line + "\r\n")
	for _, f := range fields {
		b = fmt.Appendf(b, "%s: %s\r\n", f.name, f.value)
	}
	if _, err := l.Write(append(b, "\r\n"...)); err != nil {
		return nil, err
	}
	h := readHead(l, t.run.step())
	if h.problem == nil && h.status/100 == 2 { // bytes after the header are from a server that sends first
		l.Conn = &prefixedConn{l.Conn, h.rest}
		return h, nil
	}
	if h.problem == nil {
		h.readBody(l, t.run.until(bodyTimeout))
	}
	return h, nil
}

// prefixedConn is a connection whose stream begins with the given bytes.
type prefixedConn struct {
	net.Conn
	bytes []byte
}

func (c *prefixedConn) Read(b []byte) (int, error) {
	if len(c.bytes) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.bytes)
	c.bytes = c.bytes[n:]
	return n, nil
}

// proxyTLS returns the TLS configuration for the proxy itself, with the proxy's name and the caller's trusted CAs.
func (t *dialer) proxyTLS() *tls.Config {
	cfg := &tls.Config{ServerName: t.plan.proxy.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	if t.run.o.TLS != nil {
		cfg.RootCAs, cfg.InsecureSkipVerify = t.run.o.TLS.RootCAs, t.run.o.TLS.InsecureSkipVerify
	}
	return cfg
}

// clauseSocks is the clause that defines the request for a connection to a SOCKS5 proxy.
const clauseSocks = "RFC 1928 §4"

// socks requests a connection to the target from a SOCKS5 proxy.
func (t *dialer) socks(l *link) error {
	client, err := socks.New(t.plan.proxy)
	if err != nil {
		return err
	}
	l.bound(t.run.step())
	_, err = client.DialWithConn(context.Background(), l, "tcp", net.JoinHostPort(t.run.target.Name, t.run.target.Port)) // l limits the time
	return err
}

// socksStep runs socks as a step. It returns false after a failure, which it has recorded.
func (t *dialer) socksStep(l *link) bool {
	s := t.run.begin(StageProxy, "ask the SOCKS5 proxy for a connection to "+net.JoinHostPort(t.run.target.Name, t.run.target.Port))
	err := t.socks(l)
	if err == nil {
		t.run.end(s, "the proxy has connected")
		return true
	}
	fault, detail := FaultProxyUnreachable, proxyFailure(err)
	if answer := socks.Refused(err); answer != "" {
		fault, detail = FaultProxyRefused, "the SOCKS5 proxy refused: "+answer
	}
	s.OK = false
	if !t.run.stopped(StageProxy) {
		t.run.fail(StageProxy, fault, clauseSocks, detail)
	}
	t.run.end(s, detail)
	return false
}

// tunnelStep opens the connection through the proxy, as a step. It returns false after a failure, which it has recorded.
func (t *dialer) tunnelStep(l *link) bool {
	if socks.Is(t.plan.proxy) {
		return t.socksStep(l)
	}
	s := t.run.begin(StageProxy, "ask the proxy for a tunnel")
	line, fields := t.connectFields()
	s.Sent = []Line{{line, clauseConnect + "; RFC 6455 §4.1 (3): a WebSocket goes through a proxy in a tunnel, also for ws"}}
	for _, f := range fields {
		s.Sent = append(s.Sent, Line{f.name + ": " + t.run.hide.value(f.name, f.value), f.note})
	}
	s.Sent = append(s.Sent, Line{"", "the empty line ends the head"})
	h, err := t.tunnel(l)
	refuse := func(f Fault, detail string) bool {
		s.OK = false
		if !t.run.stopped(StageProxy) {
			t.run.fail(StageProxy, f, clauseConnect, detail)
		}
		t.run.end(s, detail)
		return false
	}
	if err != nil {
		return refuse(FaultProxyUnreachable, proxyFailure(err))
	}
	s.Received = t.run.showHead(h)
	if h.problem != nil {
		return refuse(FaultProxyUnreachable, h.problem.fromProxy())
	}
	s.Rules = []Check{{clauseConnect, "the proxy responds 2xx once the tunnel is open", h.status/100 == 2, h.statusText()}}
	if h.status/100 != 2 {
		t.run.r.Response = t.run.response(h)
		t.run.r.Response.FromProxy = true
		if h.status == http.StatusProxyAuthRequired {
			wants := "the proxy requires credentials"
			if t.plan.proxy.User != nil {
				wants = credentialsRefused
			}
			return refuse(FaultProxyAuth, wants+challenges(t.run.shown(h.values("Proxy-Authenticate"))))
		}
		return refuse(FaultProxyRefused, "the proxy responded "+h.statusText())
	}
	t.run.end(s, "the tunnel is open")
	return true
}

// credentialsRefused is the beginning of the detail of a 407 to a request with credentials.
const credentialsRefused = "the proxy did not accept the credentials in its URL"

// Details of a connection that ended before the proxy's response was complete.
const (
	proxyClosed = "the proxy closed the connection before its response was complete"
	proxyReset  = "the proxy reset the connection before its response was complete"
	proxySilent = "the proxy did not respond completely in time"
)

// proxyFailure returns the detail for an error of the connection to a proxy.
func proxyFailure(err error) string {
	switch {
	case isReset(err):
		return proxyReset
	case isTimeout(err):
		return proxySilent
	case isEOF(err):
		return proxyClosed
	}
	return shortError(err)
}

// fromProxy returns the detail for a proxy's response whose header could not be read.
func (p *headProblem) fromProxy() string {
	switch {
	case p.err != nil:
		return proxyFailure(p.err)
	case p.fault == FaultHeadBroken || p.fault == FaultHeadTooLarge || p.fault == FaultHeadEndless:
		return proxyInvalid + p.detail
	}
	return "it is not a proxy: " + p.detail
}

// proxyInvalid is the beginning of the detail about a proxy's response that is HTTP/1 but violates a rule.
const proxyInvalid = "the proxy's response is not valid: "

// challenges returns the challenges of a 407 in parentheses, or "" if there are none.
func challenges(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return " (" + strings.Join(values, ", ") + ")"
}
