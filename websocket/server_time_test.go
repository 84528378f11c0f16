package websocket

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// inBubble runs s on a listener in memory, on the clock of a bubble.
func inBubble(t *testing.T, s *Server, test func(t *testing.T, p *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeListener()
		done := make(chan error, 1)
		go func() { done <- s.Serve(p) }()
		test(t, p)
		s.Close()
		if err := bounded.Receive(t, done); err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		bounded.Receive(t, s.roster.idleChan())
	})
}

// opened connects and performs the opening handshake.
func opened(t *testing.T, p *pipeListener) (net.Conn, *bufio.Reader) {
	t.Helper()
	nc := p.dial()
	t.Cleanup(func() { nc.Close() })
	io.WriteString(nc, sampleRequest+"\r\n")
	br := bufio.NewReader(nc)
	if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	return nc, br
}

// A header must arrive in time, even if its bytes keep trickling in.
func TestRFC9110_15_5_9_Slow(t *testing.T) {
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.HTTP.ReadHeaderTimeout = 7 * time.Second
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		begin := time.Now()
		nc := p.dial()
		defer nc.Close()
		var trickle func()
		trickle = func() {
			if _, err := io.WriteString(nc, "G"); err == nil {
				time.AfterFunc(time.Second, trickle)
			}
		}
		go trickle()
		r, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		if took := time.Since(begin); r.StatusCode != 408 || took != 7*time.Second || !strings.Contains(string(b), "RFC 9110 §15.5.9") {
			t.Errorf("%d after %v: %q", r.StatusCode, took, b)
		}
	})
}

// A slow header gets the same response from the event loop as from a goroutine, and both report it.
func TestServer_SlowHeads(t *testing.T) {
	for _, head := range []string{"GET / HTTP/1.1\r\nHo", "G"} {
		var replies []string
		for _, e := range []*Endpoint{{Serve: serveEcho}, {Open: openEcho}} {
			reports := make(chan *HandshakeError, 1)
			s := ownServer(e)
			s.Refused = func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { reports <- err }
			s.HTTP.ReadHeaderTimeout = 50 * time.Millisecond
			replies = append(replies, replyTo(t, serveOwn(t, s), head))
			if err := bounded.Receive(t, reports); err.Stage != handshake.StageRequest || err.Status != 408 || err.Section != requestTimeout.Section {
				t.Errorf("%q: reported %#v", head, err)
			}
		}
		if !strings.HasPrefix(replies[0], "HTTP/1.1 408 ") || replies[1] != replies[0] {
			t.Errorf("%q: %q", head, replies)
		}
	}
}

// A client that sends nothing gets no response, and is not reported.
func TestServer_Silent(t *testing.T) {
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.Refused = func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { t.Error(err) }
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		begin := time.Now()
		nc := p.dial()
		defer nc.Close()
		if b, err := io.ReadAll(nc); len(b) > 0 || err != nil || time.Since(begin) != 10*time.Second {
			t.Errorf("%q, %v after %v", b, err, time.Since(begin))
		}
		gone := p.dial()
		gone.Close()
		synctest.Wait()
	})
}

// A client that disconnects in the middle of its header is reported.
func TestServer_Abandoned(t *testing.T) {
	told := make(chan error, 1)
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.Refused = func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { told <- err }
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		nc := p.dial()
		io.WriteString(nc, "GET / HT")
		nc.Close()
		if err := bounded.Receive(t, told); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
}

// The time limit of the handshake does not apply to an open connection, or to a connection whose request has been passed to a
// handler.
func TestServer_BoundLifted(t *testing.T) {
	e := &Endpoint{Serve: serveEcho}
	e.Accept.Conn.PingInterval = -1
	s := ownServer(e)
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		nc, br := opened(t, p)
		time.AfterFunc(20*time.Second, func() {
			raw{t, nc, protocol.RoleClient}.send(raw{t, nil, protocol.RoleClient}.frame(1, true, "late"))
		})
		expectEcho(t, br, "late")
	})
}

// Admit may take any amount of time. The client's time limit for reading the response begins afterwards.
func TestServer_SlowAdmit(t *testing.T) {
	s := ownServer(&Endpoint{Serve: serveEcho, Admit: func(r *http.Request) (*Admission, error) {
		select {
		case <-time.After(time.Minute):
		case <-r.Context().Done():
			t.Error(context.Cause(r.Context()))
		}
		return nil, nil
	}})
	inBubble(t, s, func(t *testing.T, p *pipeListener) { opened(t, p) })
}

// Above MaxHandshakes the oldest connection is closed, and the server continues to accept connections.
func TestServer_MaxHandshakes(t *testing.T) {
	told := make(chan error, 1)
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.MaxHandshakes = func(net.Addr) int { return 2 }
	s.Refused = func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { told <- err }
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		slow := p.dial()
		synctest.Wait() // this connection is the oldest
		second, third := p.dial(), p.dial()
		defer second.Close()
		if b, err := io.ReadAll(slow); len(b) > 0 || err != nil {
			t.Errorf("the oldest got %q, %v", b, err)
		}
		if err, _ := errors.AsType[*HandshakeError](bounded.Receive(t, told)); err.Stage != handshake.StageEvicted || err.Err != errEvicted {
			t.Errorf("reported: %v", err)
		}
		third.Close()
		synctest.Wait()
		for range 3 { // slots become free again
			opened(t, p)
		}
	})
}

// With CountPages, requests with endless bodies do not evade MaxHandshakes. Without it, a page may take any amount of time.
func TestServer_CountPages(t *testing.T) {
	for _, count := range []bool{true, false} {
		const most, slow = 2, 5
		begun := make(chan struct{}, slow)
		s := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			io.Copy(io.Discard, r.Body)
		})}}
		s.MaxHandshakes = func(net.Addr) int { return most }
		s.CountPages = count
		inBubble(t, s, func(t *testing.T, p *pipeListener) {
			for range slow {
				nc := p.dial()
				defer nc.Close()
				io.WriteString(nc, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
				bounded.Receive(t, begun)
			}
			synctest.Wait()
			want := 0
			if count {
				want = most
			}
			if n := s.Handshakes(); n != want {
				t.Errorf("CountPages %v: %d count, want %d", count, n, want)
			}
		})
	}
}

// TLSTimeout limits the time before the header. The time limit for the header itself begins afterwards.
func TestServer_TLSTimeout(t *testing.T) {
	s := ownServer(&Endpoint{Serve: serveEcho})
	s.HTTP.ReadHeaderTimeout, s.TLSTimeout = time.Minute, time.Second
	s.Preface = func(_ context.Context, nc net.Conn) (net.Addr, error) {
		_, err := io.ReadFull(nc, make([]byte, 1))
		return nil, err
	}
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		began := time.Now()
		silent := p.dial()
		io.ReadAll(silent) // until the connection is closed
		if took := time.Since(began); took != time.Second {
			t.Errorf("closed after %v", took)
		}
		nc := p.dial()
		defer nc.Close()
		io.WriteString(nc, "x")
		<-time.After(50 * time.Second) // on the bubble's clock
		io.WriteString(nc, sampleRequest+"\r\n")
		if r, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || r.StatusCode != 101 {
			t.Error(r, err)
		}
	})
}

// Refused receives the connection's context. Requests that HTTP itself rejects are reported, too.
func TestServer_RefusedByHTTP(t *testing.T) {
	type key struct{}
	type report struct {
		value  any
		remote string
		err    *HandshakeError
	}
	reports := make(chan report, 1)
	s := &Server{HTTP: &http.Server{
		Handler:        http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") }),
		MaxHeaderBytes: 1 << 10,
		ConnContext:    func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, "mine") },
	}}
	named := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	s.Preface = func(context.Context, net.Conn) (net.Addr, error) { return named, nil }
	s.Refused = func(ctx context.Context, remote string, _ *http.Request, err *HandshakeError) {
		reports <- report{ctx.Value(key{}), remote, err}
	}
	addr := serveOwn(t, s)
	for request, status := range map[string]int{
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n\r\n": 431,
		"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n":                              400,
		"nonsense\r\n\r\n": 400,
	} {
		nc := dialRaw(t, addr)
		io.WriteString(nc, request)
		if r, _ := readResponse(t, nc); r.StatusCode != status {
			t.Errorf("%.20q: %d", request, r.StatusCode)
		}
		got := bounded.Receive(t, reports)
		if got.value != "mine" || got.remote != named.String() || got.err.Stage != handshake.StageRequest || got.err.Status != status {
			t.Errorf("%.20q: reported %+v", request, got)
		}
	}
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ""} {
		nc := dialRaw(t, addr)
		if io.WriteString(nc, request); request != "" {
			readResponse(t, nc)
		}
		nc.Close()
	}
	bounded.Until(t, func() bool { return s.Handshakes() == 0 })
	select {
	case got := <-reports:
		t.Errorf("reported %+v", got)
	default:
	}
}

// A panic in the MaxHandshakes hook closes one connection.
func TestServer_MaxHandshakesPanics(t *testing.T) {
	s := ownServer(&Endpoint{Serve: serveEcho})
	calls := 0
	s.MaxHandshakes = func(net.Addr) int {
		if calls++; calls == 1 {
			panic("oh")
		}
		return 2
	}
	logged := make(logLines, 4)
	s.HTTP.ErrorLog = logged.logger()
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		began := time.Now()
		if b, err := io.ReadAll(p.dial()); len(b) > 0 || err != nil || time.Since(began) > 0 {
			t.Errorf("the client read %q, %v, after %v", b, err, time.Since(began))
		}
		if line := bounded.Receive(t, logged); !strings.Contains(line, "panic: oh") {
			t.Errorf("logged: %q", line)
		}
		opened(t, p)
	})
}

// addrlessListener is a listener whose connections have no addresses.
type addrlessListener struct{ *pipeListener }

type addrlessConn struct{ net.Conn }

func (addrlessConn) RemoteAddr() net.Addr { return nil }
func (addrlessConn) LocalAddr() net.Addr  { return nil }

func (n addrlessListener) Accept() (net.Conn, error) {
	nc, err := n.pipeListener.Accept()
	if err != nil {
		return nil, err
	}
	return addrlessConn{nc}, nil
}

// Connections without addresses are served, as in net/http.
func TestServer_NoAddresses(t *testing.T) {
	for name, e := range map[string]*Endpoint{
		"direct": {Serve: func(c *Conn) { c.Handshake(); serveEcho(c) }},
		"Admit":  {Serve: serveEcho, Admit: func(*http.Request) (*Admission, error) { return nil, nil }},
		"Open":   {Open: openEcho},
	} {
		e.Accept.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		s := ownServer(e)
		s.MaxHandshakes = func(net.Addr) int { return 1 }
		synctest.Test(t, func(t *testing.T) {
			p := addrlessListener{newPipeListener()}
			serveOn(t, s, p, s.Serve)
			slow := p.dial()
			synctest.Wait() // this connection is the oldest, and is evicted
			nc := p.dial()
			io.WriteString(nc, sampleRequest+"\r\n")
			if r, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || r.StatusCode != 101 {
				t.Errorf("%s: %v, %v", name, r, err)
			}
			if b, err := io.ReadAll(slow); len(b) > 0 || err != nil {
				t.Errorf("%s: the oldest got %q, %v", name, b, err)
			}
			nc.Close()
			bad := p.dial()
			io.WriteString(bad, "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			if r, err := http.ReadResponse(bufio.NewReader(bad), nil); err != nil || r.StatusCode != 400 {
				t.Errorf("%s: %v, %v", name, r, err)
			}
			bad.Close()
		})
	}
}

// When a Handler returns, its connection is closed normally.
func TestServer_HandlerReturns(t *testing.T) {
	s := ownServer(&Endpoint{Serve: func(*Conn) {}})
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		nc, br := opened(t, p)
		got := make([]byte, 4)
		if _, err := io.ReadFull(br, got); err != nil || string(got) != "\x88\x02\x03\xe8" {
			t.Errorf("% x, %v", got, err)
		}
		raw{t, nc, protocol.RoleClient}.send(raw{t, nil, protocol.RoleClient}.frame(8, true, closeBody(CodeNormal, "")))
		if _, err := br.ReadByte(); err != io.EOF {
			t.Error(err)
		}
	})
}

// Shutdown closes open connections with 1001, closes connections in their handshake immediately, and waits for the Handlers.
func TestServer_Shutdown(t *testing.T) {
	const n = 3
	returned := make(chan error, n)
	s := ownServer(&Endpoint{Serve: func(c *Conn) {
		_, err := c.Read(context.Background())
		<-time.After(time.Second) // some work, on the bubble's clock
		returned <- err
	}})
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		begin := time.Now()
		half := p.dial()
		io.WriteString(half, "GET / HTTP/1.1\r\n")
		for range n {
			nc, br := opened(t, p)
			go func() {
				c := raw{t, nc, protocol.RoleClient}
				got := make([]byte, 4)
				if _, err := io.ReadFull(br, got); err != nil || string(got) != "\x88\x02\x03\xe9" {
					t.Errorf("% x, %v", got, err)
				}
				c.send(c.frame(8, true, closeBody(CodeGoingAway, "")))
			}()
		}
		synctest.Wait()
		if err := s.Shutdown(bounded.Context(t)); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		for range n {
			select {
			case err := <-returned:
				if CloseCode(err) != CodeGoingAway {
					t.Error(err)
				}
			default:
				t.Error("Shutdown did not wait for a Handler")
			}
		}
		if b, err := io.ReadAll(half); len(b) > 0 || err != nil {
			t.Errorf("the connection in its handshake got %q, %v", b, err)
		}
	})
}

// The context limits the wait for a peer that does not reply, and for a Handler that does not return.
func TestServer_ShutdownBounded(t *testing.T) {
	release := make(chan struct{})
	e := &Endpoint{Serve: func(c *Conn) {
		for range c.Messages(context.Background()) {
		}
		<-release
	}}
	e.Accept.Conn.CloseTimeout = time.Hour
	s := ownServer(e)
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		begin := time.Now()
		_, br := opened(t, p)
		go io.Copy(io.Discard, br)
		ctx, cancel := context.WithTimeout(bounded.Context(t), 3*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != context.DeadlineExceeded || time.Since(begin) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		close(release)
	})
}

// Shutdown of an Endpoint behind another server closes the Endpoint's connections. Afterwards, clients receive a 503 response.
func TestEndpoint_Shutdown(t *testing.T) {
	e := &Endpoint{Serve: serveEcho}
	addr := serve(t, e)
	r, nc, br := exchangeHead(t, addr, sampleRequest+"\r\n"+string(raw{t, nil, protocol.RoleClient}.frame(1, true, "hi")))
	if r.StatusCode != 101 {
		t.Fatal(r)
	}
	expectEcho(t, br, "hi")
	shut := make(chan error, 1)
	go func() { shut <- e.Shutdown(bounded.Context(t)) }()
	expectEcho(t, br, "\x03\xe9")
	raw{t, nc, protocol.RoleClient}.send(raw{t, nil, protocol.RoleClient}.frame(8, true, closeBody(CodeGoingAway, "")))
	if err := bounded.Receive(t, shut); err != nil {
		t.Error(err)
	}
	r, _, _ = exchangeHead(t, addr, sampleRequest+"\r\n")
	if b, _ := io.ReadAll(r.Body); r.StatusCode != 503 || !strings.Contains(string(b), "shutting down") {
		t.Errorf("%d %q", r.StatusCode, b)
	}
}
