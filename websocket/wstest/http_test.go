package wstest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// This test runs a client of the library against a server that violates the protocol.
func TestAcceptPeer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := wstest.AcceptPeer(w, r, http.Header{"Sec-Websocket-Protocol": {"chat"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer p.Close()
		f, err := p.Next()
		if err != nil || f.WrongMask || string(f.Payload) != "question" {
			t.Errorf("the server read %v, %v", f, err)
		}
		if err := p.Send(wstest.Frame{Opcode: frame.Text, WrongMask: true}); err != nil {
			t.Error(err)
		}
		if f, err := p.Next(); err != nil || f.Code() != websocket.CodeProtocolError {
			t.Errorf("the server read %v, %v; want a close frame with 1002", f, err)
		}
	}))
	defer s.Close()
	c, err := websocket.Dial(bounded.Context(t), s.URL, &websocket.DialOptions{Subprotocols: []string{"chat"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if got := c.Handshake().Subprotocol; got != "chat" {
		t.Errorf("subprotocol %q", got)
	}
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("question")}); err != nil {
		t.Fatal(err)
	}
	var pe *protocol.Violation
	if _, err := c.Read(bounded.Context(t)); !errors.As(err, &pe) || pe.Section != "RFC 6455 §5.1" {
		t.Errorf("Read: %v", err)
	}
}

// This test runs a handler of the library against a client that truncates its frame.
func TestDialPeer(t *testing.T) {
	ended := make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}})
		if err != nil {
			ended <- err
			return
		}
		c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte(c.Handshake().Subprotocol)}) //nolint:errcheck // if this fails, the Peer reads an error
		_, err = c.Read(r.Context())
		ended <- err
	}))
	defer s.Close()
	url := "ws" + strings.TrimPrefix(s.URL, "http")
	p, err := wstest.DialPeer(bounded.Context(t), url, http.Header{"Sec-Websocket-Protocol": {"chat"}})
	if err != nil {
		t.Fatal(err)
	}
	if f, err := p.Next(); err != nil || f.WrongMask || string(f.Payload) != "chat" {
		t.Errorf("got %v, %v", f, err)
	}
	p.Write(p.Append(nil, wstest.TextFrame("cut"))[:4]) //nolint:errcheck // if this fails, the handler reads another error than expected
	p.Close()
	if err := bounded.Receive(t, ended); websocket.CloseCode(err) != websocket.CodeAbnormal {
		t.Errorf("the handler saw %v", err)
	}
}

func TestAcceptPeerRequiresAKey(t *testing.T) {
	w := httptest.NewRecorder()
	if _, err := wstest.AcceptPeer(w, httptest.NewRequest(http.MethodGet, "/", nil), nil); err == nil || w.Code != http.StatusBadRequest {
		t.Errorf("status %d, %v", w.Code, err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if _, err := wstest.AcceptPeer(w, r, nil); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("over a recorder: %v", err)
	}
}

func TestDialPeerFails(t *testing.T) {
	refuses := httptest.NewServer(http.NotFoundHandler())
	defer refuses.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	canceled, cancel := context.WithCancel(t.Context())
	arrived := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer arrived.Close()
	ended, end := context.WithCancel(t.Context())
	end()
	tests := []struct {
		name string
		ctx  func() context.Context
		url  string
		want string
	}{
		{"refused", t.Context, refuses.URL, "404"},
		{"no listener", t.Context, gone.URL, "refused"},
		{"canceled while waiting", func() context.Context { return canceled }, arrived.URL, "context canceled"},
		{"no port", func() context.Context { return ended }, "ws://127.0.0.1", "127.0.0.1:80"},
		{"wss", t.Context, "wss://localhost", `"wss"`},
		{"not a URL", t.Context, "ws://[", "missing"},
	}
	for _, tt := range tests {
		if p, err := wstest.DialPeer(tt.ctx(), tt.url, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, p, err, tt.want)
		}
	}
}

// answering is a server that sends text on each connection, and reports each request and the error with which its connection ended.
func answering(t *testing.T, text string) (url string, requests <-chan *http.Request, ends <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked, over := make(chan *http.Request, 9), make(chan error, 9)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			r, err := http.ReadRequest(bufio.NewReader(nc))
			if err == nil {
				asked <- r
				io.WriteString(nc, text)
				_, err = nc.Read(make([]byte, 1))
			}
			nc.Close()
			over <- err
		}
	}()
	return "ws://" + l.Addr().String(), asked, over
}

// If the handshake fails, DialPeer closes the connection without waiting for the body of the response, which may never arrive.
func TestDialPeerClosesWhatItCannotUse(t *testing.T) {
	keys := map[string]bool{}
	for text, want := range map[string]string{
		"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n": "404",
		"HTTP/1.1 200 OK\r\n\r\n":                              "200",
		"nothing of the kind\r\n\r\n":                          "malformed",
	} {
		url, requests, ends := answering(t, text)
		if _, err := wstest.DialPeer(bounded.Context(t), url, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
		keys[bounded.Receive(t, requests).Header.Get("Sec-WebSocket-Key")] = true
		if err := bounded.Receive(t, ends); err != io.EOF { //nolint:errorlint // a net.Conn does not wrap io.EOF
			t.Errorf("%q: the connection ends with %v", text, err)
		}
	}
	if len(keys) != 3 {
		t.Errorf("three handshakes used the keys %v, want three different ones", keys)
	}
}

// broken is a ResponseWriter whose connection cannot be written to.
type broken struct {
	http.ResponseWriter
	conn net.Conn
}

func (b broken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return b.conn, bufio.NewReadWriter(bufio.NewReader(b.conn), bufio.NewWriter(b.conn)), nil
}

func TestAcceptPeerClosesWhatItCannotUse(t *testing.T) {
	near, far := net.Pipe()
	far.Close()
	unwritable := &counted{Conn: near}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if _, err := wstest.AcceptPeer(broken{httptest.NewRecorder(), unwritable}, r, nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the response could not be written: got %v", err)
	}
	if unwritable.closes != 1 {
		t.Errorf("the connection was closed %d times, want once", unwritable.closes)
	}
}

// counted is a connection that counts how often it is closed.
type counted struct {
	net.Conn
	closes int
}

func (c *counted) Close() error {
	c.closes++
	return c.Conn.Close()
}
