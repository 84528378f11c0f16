//go:build linux

package reactor

import (
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
)

func TestRefusals(t *testing.T) {
	s := &Server{Handler: echo, MaxHead: 2000}
	s.Options.Check = func(r *http.Request) error {
		switch r.URL.Path {
		case "/busy":
			return &websocket.Reject{Status: 503, Header: http.Header{"Retry-After": {"7"}}, Reason: "come back"}
		case "/secret":
			return errors.New("a secret")
		}
		return nil
	}
	addr := serve(t, s)
	for name, c := range map[string]struct{ sent, status, has string }{
		"plain HTTP":      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426", "Sec-Websocket-Version: 13"},
		"wrong version":   {strings.Replace(request, "13", "12", 1) + "\r\n", "426", "Upgrade: websocket"},
		"post":            {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405", "Allow: GET"},
		"no HTTP":         {"\x16\x03\x01\x02\r\n", "400", "TLS"},
		"foreign origin":  {request + "Origin: https://evil.example\r\n\r\n", "403", "RFC 6455"},
		"bad key":         {strings.Replace(request, "dGhl", "!!!!", 1) + "\r\n", "400", "Sec-WebSocket-Key"},
		"too long":        {request + "X: " + strings.Repeat("x", 2000), "431", "cookies"},
		"too many":        {request + strings.Repeat("X: y\r\n", 101), "431", "lines"},
		"kept out":        {strings.Replace(request, "/", "/busy", 1) + "\r\n", "503", "Retry-After: 7"},
		"kept out unsaid": {strings.Replace(request, "/", "/secret", 1) + "\r\n", "403", "Access denied."},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, addr)
			p.send(c.sent)
			b, err := io.ReadAll(p)
			if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 "+c.status+" ") || !strings.Contains(string(b), c.has) {
				t.Errorf("got %q, %v", b, err)
			}
			if strings.Contains(string(b), "a secret") {
				t.Errorf("Check's error was told: %q", b)
			}
			if _, err := http.ReadResponse(newReader(b), nil); err != nil {
				t.Errorf("the reply is no HTTP: %v", err)
			}
		})
	}
}

func TestHandshakeIsBounded(t *testing.T) {
	s := &Server{HeadTimeout: 50 * time.Millisecond}
	s.Handler.Close = func(*Conn, error) { t.Error("a connection that never opened is closed") }
	addr := serve(t, s)
	silent, slow := connect(t, addr), connect(t, addr)
	slow.send(request)
	silent.expectEOF()
	slow.expectEOF()
}

func TestOpeningAgreesOnASubprotocol(t *testing.T) {
	h := echo
	h.Open = func(c *Conn) {
		if c.Value() != nil {
			t.Error("a value from nowhere")
		}
		c.SetValue(c.Subprotocol())
		c.Send(websocket.Message{Type: websocket.Text, Data: []byte(c.Value().(string) + " " + c.RemoteAddr().String())})
	}
	s := &Server{Handler: h}
	s.Options.Subprotocols = []string{"a", "b"}
	s.Options.Header = http.Header{"X-Served-By": {"me"}}
	c := dial(t, serve(t, s), &websocket.DialOptions{Subprotocols: []string{"c", "b"}})
	if hs := c.Handshake(); hs.Subprotocol != "b" || hs.Header.Get("X-Served-By") != "me" {
		t.Errorf("agreed on %+v", hs)
	}
	m, err := c.Read(bounded(t))
	if err != nil || !strings.HasPrefix(string(m.Data), "b 127.0.0.1:") {
		t.Errorf("got %q, %v", m.Data, err)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for name, o := range map[string]websocket.AcceptOptions{
		"header":      {Header: http.Header{"Upgrade": {"x"}}},
		"subprotocol": {Subprotocols: []string{"a b"}},
		"window":      {Conn: websocket.ConnOptions{Compression: &websocket.Compression{ServerWindowBits: 8}}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &Server{Options: o}
			if err := s.Serve(l); err == nil || errors.Is(err, ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestMessagesRightBehindTheRequest(t *testing.T) {
	addr := serve(t, &Server{Handler: echo})
	p := connect(t, addr)
	p.send(request+"\r\n", masked(frame.Text, true, "early"))
	p.head()
	p.expect(frame.Text, "early")
	q := connect(t, addr)
	q.send(request)
	q.send("\r\n" + masked(frame.Text, true, "early"))
	q.head()
	q.expect(frame.Text, "early")
}

func TestAcceptFromNetHTTP(t *testing.T) {
	s := &Server{Handler: echo}
	s.Options.Subprotocols = []string{"x"}
	conns := make(chan *Conn, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := s.Accept(w, r); err == nil {
			conns <- c
		}
	}))
	defer web.Close()
	defer s.Close()
	addr := strings.TrimPrefix(web.URL, "http://")
	c := dial(t, addr, &websocket.DialOptions{Subprotocols: []string{"x"}})
	if got := await(t, conns); got.Subprotocol() != "x" {
		t.Errorf("it agreed on %q", got.Subprotocol())
	}
	echoed(t, c, 100)
	p := connect(t, addr)
	p.send(request+"\r\n", masked(frame.Text, true, "early"))
	p.head()
	p.expect(frame.Text, "early")
	r, err := http.Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("plain HTTP gets %s", r.Status)
	}
}

func TestAdoptWhatIsNoSocket(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	s := &Server{}
	defer s.Shutdown(bounded(t))
	if _, err := s.Adopt(near, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Adopt: %v", err)
	}
}

// A listener that is no socket's is accepted from by Go's means.
func TestListenerOfAnotherKind(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handler: echo}
	over := make(chan error, 1)
	go func() { over <- s.Serve(struct{ net.Listener }{l}) }()
	echoed(t, dial(t, l.Addr().String(), nil), 10)
	s.Close()
	if err := await(t, over); err != ErrServerClosed {
		t.Error(err)
	}
}

func TestUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handler: echo}
	over := make(chan error, 1)
	go func() { over <- s.Serve(l) }()
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := &peer{t, nc}
	p.send(request+"\r\n", masked(frame.Text, true, "local"))
	p.head()
	p.expect(frame.Text, "local")
	s.Close()
	if err := await(t, over); err != ErrServerClosed {
		t.Error(err)
	}
}
