//go:build linux

package websocket

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
)

func TestEventRefusals(t *testing.T) {
	s := &evServer{Handler: evEcho, MaxHead: 2000}
	addr := evServe(t, s)
	for name, c := range map[string]struct{ sent, status, has string }{
		"plain HTTP":     {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426", "Sec-Websocket-Version: 13"},
		"wrong version":  {strings.Replace(evRequest, "13", "12", 1) + "\r\n", "426", "Upgrade: websocket"},
		"post":           {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405", "Allow: GET"},
		"not HTTP":       {"\x16\x03\x01\x02\r\n", "400", "TLS"},
		"foreign origin": {evRequest + "Origin: https://evil.example\r\n\r\n", "403", "RFC 6455"},
		"bad key":        {strings.Replace(evRequest, "dGhl", "!!!!", 1) + "\r\n", "400", "Sec-WebSocket-Key"},
		"too long":       {evRequest + "X: " + strings.Repeat("x", 2000), "431", "cookies"},
		"too many":       {evRequest + strings.Repeat("X: y\r\n", 101), "431", "lines"},
	} {
		t.Run(name, func(t *testing.T) {
			p := evConnect(t, addr)
			p.send(c.sent)
			b, err := io.ReadAll(p)
			if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 "+c.status+" ") || !strings.Contains(string(b), c.has) {
				t.Errorf("got %q, %v", b, err)
			}
			if _, err := http.ReadResponse(evNewReader(b), nil); err != nil {
				t.Errorf("the reply is not HTTP: %v", err)
			}
		})
	}
}

func TestEventHandshakeIsBounded(t *testing.T) {
	s := &evServer{HeadTimeout: 50 * time.Millisecond}
	s.Handler.Close = func(*eventConn, error) { t.Error("Close was called for a connection that never opened") }
	addr := evServe(t, s)
	silent, slow := evConnect(t, addr), evConnect(t, addr)
	slow.send(evRequest)
	silent.expectEOF()
	if b, err := io.ReadAll(slow); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 408 ") {
		t.Errorf("the slow client got %q, %v", b, err)
	}
}

func TestEventOpeningAgreesOnASubprotocol(t *testing.T) {
	h := evEcho
	h.Open = func(c *eventConn) {
		if c.Value() != nil {
			t.Error("a new connection has a value")
		}
		c.SetValue(c.Subprotocol())
		c.Send(Message{Type: Text, Data: []byte(c.Value().(string) + " " + c.RemoteAddr().String())})
	}
	s := &evServer{Handler: h}
	s.Options.Subprotocols = []string{"a", "b"}
	s.Options.Header = http.Header{"X-Served-By": {"me"}}
	c := evDial(t, evServe(t, s), &DialOptions{Subprotocols: []string{"c", "b"}})
	if hs := c.Handshake(); hs.Subprotocol != "b" || hs.Header.Get("X-Served-By") != "me" {
		t.Errorf("agreed on %+v", hs)
	}
	m, err := c.Read(evBounded(t))
	if err != nil || !strings.HasPrefix(string(m.Data), "b 127.0.0.1:") {
		t.Errorf("got %q, %v", m.Data, err)
	}
}

func TestEventInvalidOptions(t *testing.T) {
	for name, o := range map[string]AcceptOptions{
		"header":      {Header: http.Header{"Upgrade": {"x"}}},
		"subprotocol": {Subprotocols: []string{"a b"}},
		"window":      {Conn: ConnOptions{Compression: &Compression{ServerWindowBits: 8}}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &evServer{Options: o}
			if err := s.Serve(l); err == nil || errors.Is(err, errEvClosed) {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestEventMessagesRightAfterTheRequest(t *testing.T) {
	addr := evServe(t, &evServer{Handler: evEcho})
	p := evConnect(t, addr)
	p.send(evRequest+"\r\n", evMasked(frame.Text, true, "early"))
	p.head()
	p.expect(frame.Text, "early")
	q := evConnect(t, addr)
	q.send(evRequest)
	q.send("\r\n" + evMasked(frame.Text, true, "early"))
	q.head()
	q.expect(frame.Text, "early")
}

func TestEventUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	s := &evServer{Handler: evEcho}
	over := make(chan error, 1)
	go func() { over <- s.Serve(l) }()
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := &evPeer{t, nc}
	p.send(evRequest+"\r\n", evMasked(frame.Text, true, "local"))
	p.head()
	p.expect(frame.Text, "local")
	s.Close()
	if err := evAwait(t, over); err != errEvClosed {
		t.Error(err)
	}
}
