//go:build linux

package websocket

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/loop"
)

// A panic in application code closes the connection for which it was called, and is reported.
func TestEventPanicCostsOneConnection(t *testing.T) {
	h, ended := evEnds()
	h.Open = func(c *eventConn) {
		if c.Subprotocol() == "bad" {
			panic("in Open")
		}
	}
	closed := h.Close
	h.Close = func(c *eventConn, err error) {
		closed(c, err)
		panic("in Closed")
	}
	h.Message = func(c *eventConn, m Message) {
		if strings.HasPrefix(string(m.Data), "panic") {
			panic("in Message")
		}
		c.Send(m)
	}
	panics := make(chan any, 8)
	s := &evServer{Handler: h, Loops: 1, Panicked: func(v any, stack []byte) {
		if !strings.Contains(string(stack), "event_hooks_test.go") {
			t.Errorf("the stack is %s", stack)
		}
		panics <- v
	}}
	s.Options.Subprotocols = []string{"bad"}
	addr := evServe(t, s)
	bystander := evUpgraded(t, addr)

	ends := func(p *evPeer, want string) {
		p.expectEOF()
		p.Close()
		if e := evAwait(t, ended); e.Code != CodeInternalError || !strings.Contains(e.Error(), want) || e.ByPeer {
			t.Errorf("the connection ended with %v", e)
		}
	}
	q := evConnect(t, addr)
	q.send(evRequest + "Sec-WebSocket-Protocol: bad\r\n\r\n")
	q.head()
	q.expect(frame.Close, "\x03\xf3")
	q.send(evMasked(frame.Close, true, "\x03\xf3"))
	ends(q, "in Open")
	r := evUpgraded(t, addr)
	r.send(evMasked(frame.Text, true, "fine"), evMasked(frame.Text, true, "panic"), evMasked(frame.Text, true, "unseen"))
	r.expect(frame.Text, "fine")
	r.expect(frame.Close, "\x03\xf3")
	r.send(evMasked(frame.Close, true, "\x03\xf3"))
	ends(r, "in Message")
	bystander.send(evMasked(frame.Text, true, "alive"))
	bystander.expect(frame.Text, "alive")
	bystander.send(evMasked(frame.Close, true, "\x03\xe8"))
	bystander.expect(frame.Close, "\x03\xe8")
	bystander.Close()
	for _, want := range []string{"in Open", "in Closed", "in Message", "in Closed", "in Closed"} {
		if got := evAwait(t, panics); got != want {
			t.Errorf("reported: %v, want %v", got, want)
		}
	}
}

// The connection that crypto/tls passes to callbacks returns the addresses of the socket.
func TestEventTLSCallbacks(t *testing.T) {
	cert, pool := evCertificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 2)
	s := &evServer{Handler: evEcho}
	over := make(chan error, 1)
	go func() {
		over <- s.ServeTLS(l, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			seen <- h.Conn.LocalAddr().String()
			seen <- h.Conn.RemoteAddr().String()
			return &cert, nil
		}})
	}()
	addr := l.Addr().String()
	evEchoed(t, evDialTLS(t, addr, &tls.Config{RootCAs: pool}, ConnOptions{}), 10)
	if local, remote := evAwait(t, seen), evAwait(t, seen); local != addr || !strings.HasPrefix(remote, "127.0.0.1:") {
		t.Errorf("the callback saw %s and %s", local, remote)
	}
	if err := s.Shutdown(evBounded(t)); err != nil {
		t.Error(err)
	}
	if err := evAwait(t, over); err != errEvClosed {
		t.Error(err)
	}
}

// If a type embeds a listener or a connection, the methods that it overrides must not be bypassed.
func TestEventWrappedSocketsAreNotBypassed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ls, err := newEventLoops(1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { ls.Stop(); ls.Wait() }()
	type wrapped struct{ *net.TCPListener }
	if _, err := ls.Listen(wrapped{l.(*net.TCPListener)}, func(loop.Place) *loop.FD { return nil }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a wrapped listener: %v", err)
	}
	p := evConnect(t, l.Addr().String())
	near, far := net.Pipe()
	defer far.Close()
	tcp := p.Conn.(*net.TCPConn)
	for name, nc := range map[string]net.Conn{
		"a pipe":                    near,
		"a wrapped socket":          struct{ *net.TCPConn }{tcp},
		"TLS over the socket":       tls.Server(tcp, &tls.Config{}),
		"TLS over a wrapped socket": tls.Server(transport.Accept(struct{ *net.TCPConn }{tcp}, nil), &tls.Config{}),
	} {
		if _, err := ls.adopt(new(eventKind), nc, upgradedConn{}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tcp.Write([]byte("x")); err != nil {
		t.Errorf("the connection can no longer be used: %v", err)
	}
}
