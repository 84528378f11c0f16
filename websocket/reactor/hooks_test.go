//go:build linux

package reactor

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

// A panic in the application's code costs the connection that it was called for.
func TestPanicCostsOneConnection(t *testing.T) {
	h, ended := ends()
	h.Open = func(c *Conn) {
		if c.Subprotocol() == "bad" {
			panic("in Open")
		}
	}
	h.Message = func(c *Conn, m websocket.Message) {
		if strings.HasPrefix(string(m.Data), "panic") {
			panic(string(m.Data))
		}
		c.Send(m)
	}
	s := &Server{Handler: h, Loops: 1}
	s.Options.Subprotocols = []string{"bad"}
	s.Options.Check = func(r *http.Request) error {
		if r.URL.Path == "/panic" {
			panic("in Check")
		}
		return nil
	}
	addr := serve(t, s)
	bystander := upgraded(t, addr)

	p := connect(t, addr)
	p.send(strings.Replace(request, "/", "/panic", 1) + "\r\n")
	if b, _ := io.ReadAll(p); len(b) > 0 {
		t.Errorf("in Check: the answer is %q", b)
	}
	q := connect(t, addr)
	q.send(request + "Sec-WebSocket-Protocol: bad\r\n\r\n")
	q.head()
	q.expect(frame.Close, "\x03\xf3")
	q.Close()
	r := upgraded(t, addr)
	r.send(masked(frame.Text, true, "fine"), masked(frame.Text, true, "panic"), masked(frame.Text, true, "unseen"))
	r.expect(frame.Text, "fine")
	r.expect(frame.Close, "\x03\xf3")
	r.Close()
	for _, want := range []string{"in Open", "panic"} {
		if e := await(t, ended); e == nil || e.Code != websocket.CodeInternalError || !strings.Contains(e.Error(), want) || e.ByPeer {
			t.Errorf("it ended with %v", e)
		}
	}
	bystander.send(masked(frame.Text, true, "alive"))
	bystander.expect(frame.Text, "alive")
}

func TestCheckSeesServerAndAddresses(t *testing.T) {
	s := &Server{Handler: echo}
	s.Options.Check = func(r *http.Request) error {
		_, server := r.Context().Value(http.ServerContextKey).(*http.Server)
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if !server || local == nil || !strings.HasPrefix(local.String(), "127.0.0.1:") {
			return errors.New("not there")
		}
		return nil
	}
	upgraded(t, serve(t, s))
}

// The connection that crypto/tls hands to callbacks has addresses; a panic in one costs that connection.
func TestTLSCallbacks(t *testing.T) {
	cert, pool := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 2)
	s := &Server{Handler: echo}
	over := make(chan error, 1)
	go func() {
		over <- s.ServeTLS(l, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName == "panic.example" {
				panic("in GetCertificate")
			}
			seen <- h.Conn.LocalAddr().String()
			seen <- h.Conn.RemoteAddr().String()
			return &cert, nil
		}})
	}()
	addr := l.Addr().String()
	if _, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "panic.example"}); err == nil {
		t.Error("a handshake whose callback panics succeeds")
	}
	echoed(t, dialTLS(t, addr, &tls.Config{RootCAs: pool}, websocket.ConnOptions{}), 10)
	if local, remote := await(t, seen), await(t, seen); local != addr || !strings.HasPrefix(remote, "127.0.0.1:") {
		t.Errorf("the callback saw %s and %s", local, remote)
	}
	s.Close()
	if err := await(t, over); err != ErrServerClosed {
		t.Error(err)
	}
}

// A type that embeds a listener or a connection has methods of its own, which must not be bypassed.
func TestWrappedSocketsAreNotBypassed(t *testing.T) {
	tcp := func() *net.TCPListener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l.(*net.TCPListener)
	}
	wrapped := &countingListener{TCPListener: tcp()}
	s := &Server{Handler: echo}
	over := make(chan error, 1)
	go func() { over <- s.Serve(wrapped) }()
	echoed(t, dial(t, wrapped.Addr().String(), nil), 10)
	s.Close()
	if err := await(t, over); err != ErrServerClosed || wrapped.accepted == 0 {
		t.Errorf("Serve: %v; %d accepted by the listener's own method", err, wrapped.accepted)
	}

	for name, l := range map[string]net.Listener{
		"connections of its own": wrapping{tcp()},
		"TLS":                    tls.NewListener(tcp(), &tls.Config{Certificates: []tls.Certificate{{}}}),
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{Handler: echo}
			defer s.Close()
			over := make(chan error, 1)
			go func() { over <- s.Serve(l) }()
			connect(t, l.Addr().String())
			if err := await(t, over); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

type countingListener struct {
	*net.TCPListener
	accepted int
}

func (l *countingListener) Accept() (net.Conn, error) {
	nc, err := l.TCPListener.Accept()
	if err == nil {
		l.accepted++
	}
	return nc, err
}

type wrapping struct{ *net.TCPListener }

func (l wrapping) Accept() (net.Conn, error) {
	nc, err := l.TCPListener.AcceptTCP()
	return struct{ *net.TCPConn }{nc}, err
}
