package websocket

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// inBubble runs s on a listener in memory, with a clock of its own.
func inBubble(t *testing.T, s *Server, test func(t *testing.T, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		done := make(chan error, 1)
		go func() { done <- s.Serve(p) }()
		test(t, p)
		s.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		<-s.idle
	})
}

// opened makes a connection and goes through its handshake.
func opened(t *testing.T, p *pipes) (net.Conn, *bufio.Reader) {
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

// A head must be there in time, however busily it trickles.
func TestRFC9110_15_5_9_Slow(t *testing.T) {
	s := &Server{Handler: echoing, HeadTimeout: 7 * time.Second}
	inBubble(t, s, func(t *testing.T, p *pipes) {
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

// A client that sends nothing hears nothing, and nobody is told.
func TestService_Silent(t *testing.T) {
	s := &Server{Handler: echoing, Refused: func(_ string, err *HandshakeError) { t.Error(err) }}
	inBubble(t, s, func(t *testing.T, p *pipes) {
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

// A client that goes away in the middle of its head is told of.
func TestService_Abandoned(t *testing.T) {
	told := make(chan error, 1)
	s := &Server{Handler: echoing, Refused: func(_ string, err *HandshakeError) { told <- err }}
	inBubble(t, s, func(t *testing.T, p *pipes) {
		nc := p.dial()
		io.WriteString(nc, "GET / HT")
		nc.Close()
		if err := <-told; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
}

// The bound of the handshake is the handshake's: a connection that is open, or was handed over, may take its time.
func TestService_BoundLifted(t *testing.T) {
	s := &Server{Handler: echoing, HTTP: &http.Server{Handler: http.NotFoundHandler()}}
	s.Accept.Conn.PingInterval = -1
	inBubble(t, s, func(t *testing.T, p *pipes) {
		nc, br := opened(t, p)
		page := p.dial()
		defer page.Close()
		io.WriteString(page, "POST / HTTP/1.1\r\n")
		time.AfterFunc(20*time.Second, func() {
			raw{t, nc, RoleClient}.send(raw{t, nil, RoleClient}.frame(1, true, "late"))
			io.WriteString(page, "Host: a\r\n\r\n")
		})
		expectEcho(t, br, "late")
		if r, err := http.ReadResponse(bufio.NewReader(page), nil); err != nil || r.StatusCode != 404 {
			t.Error(r, err)
		}
	})
}

// Check may take its time too: the client's bound for taking the answer begins behind it.
func TestService_SlowCheck(t *testing.T) {
	s := &Server{Handler: echoing, Accept: AcceptOptions{Check: func(r *http.Request) error {
		select {
		case <-time.After(time.Minute):
		case <-r.Context().Done():
		}
		return nil
	}}}
	inBubble(t, s, func(t *testing.T, p *pipes) { opened(t, p) })
}

// More connections than MaxHandshakes wait until one is through.
func TestService_MaxHandshakes(t *testing.T) {
	s := &Server{Handler: echoing, MaxHandshakes: 1}
	inBubble(t, s, func(t *testing.T, p *pipes) {
		slow := p.dial()
		defer slow.Close()
		next := make(chan net.Conn, 1)
		go func() { next <- p.dial() }()
		synctest.Wait()
		select {
		case <-next:
			t.Error("two connections at once")
		default:
		}
		go io.WriteString(slow, sampleRequest+"\r\n")
		if r, err := http.ReadResponse(bufio.NewReader(slow), nil); err != nil || r.StatusCode != 101 {
			t.Error(r, err)
		}
		(<-next).Close()
		for range 3 { // slots come back
			opened(t, p)
		}
	})
}

// When a Handler returns, its connection is closed in good order.
func TestService_HandlerReturns(t *testing.T) {
	s := &Server{Handler: func(*Conn) {}}
	inBubble(t, s, func(t *testing.T, p *pipes) {
		nc, br := opened(t, p)
		got := make([]byte, 4)
		if _, err := io.ReadFull(br, got); err != nil || string(got) != "\x88\x02\x03\xe8" {
			t.Errorf("% x, %v", got, err)
		}
		raw{t, nc, RoleClient}.send(raw{t, nil, RoleClient}.frame(8, true, closeBody(CodeNormal, "")))
		if _, err := br.ReadByte(); err != io.EOF {
			t.Error(err)
		}
	})
}

// Shutdown closes what is open with 1001, cuts off what is in its handshake, and waits for the Handlers.
func TestService_Shutdown(t *testing.T) {
	const n = 3
	returned := make(chan error, n)
	s := &Server{HTTP: &http.Server{Handler: http.NotFoundHandler()}}
	s.Handler = func(c *Conn) {
		_, err := c.Read(context.Background())
		<-time.After(time.Second) // this Handler's work, on the bubble's clock
		returned <- err
	}
	inBubble(t, s, func(t *testing.T, p *pipes) {
		begin := time.Now()
		half := p.dial()
		io.WriteString(half, "GET / HTTP/1.1\r\n")
		for range n {
			nc, br := opened(t, p)
			go func() {
				c := raw{t, nc, RoleClient}
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
			t.Errorf("it took %v", took)
		}
		for range n {
			select {
			case err := <-returned:
				if CloseCode(err) != CodeGoingAway {
					t.Error(err)
				}
			default:
				t.Error("a Handler was not waited for")
			}
		}
		if b, err := io.ReadAll(half); len(b) > 0 || err != nil {
			t.Errorf("the connection in its handshake got %q, %v", b, err)
		}
	})
}

// A peer that does not answer, and a Handler that does not return, are bounded by the context.
func TestService_ShutdownBounded(t *testing.T) {
	release := make(chan struct{})
	s := &Server{Handler: func(c *Conn) {
		for range c.Messages(context.Background()) {
		}
		<-release
	}}
	s.Accept.Conn.CloseTimeout = time.Hour
	inBubble(t, s, func(t *testing.T, p *pipes) {
		begin := time.Now()
		_, br := opened(t, p)
		go io.Copy(io.Discard, br)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != context.DeadlineExceeded || time.Since(begin) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		close(release)
	})
}

// An upgrade that comes by ServeHTTP is let in, counted, and closed by Shutdown; afterwards there are none.
func TestService_ServeHTTP(t *testing.T) {
	s := &Server{Handler: echoing}
	addr := serve(t, s)
	r, nc, br := converse(t, addr, sampleRequest+"\r\n"+string(raw{t, nil, RoleClient}.frame(1, true, "hi")))
	if r.StatusCode != 101 {
		t.Fatal(r)
	}
	expectEcho(t, br, "hi")
	shut := make(chan error, 1)
	go func() { shut <- s.Shutdown(bounded.Context(t)) }()
	expectEcho(t, br, "\x03\xe9")
	raw{t, nc, RoleClient}.send(raw{t, nil, RoleClient}.frame(8, true, closeBody(CodeGoingAway, "")))
	if err := bounded.Receive(t, shut); err != nil {
		t.Error(err)
	}
	r, _, _ = converse(t, addr, sampleRequest+"\r\n")
	if b, _ := io.ReadAll(r.Body); r.StatusCode != 503 || !strings.Contains(string(b), "shutting down") {
		t.Errorf("%d %q", r.StatusCode, b)
	}
	r, _, _ = converse(t, serve(t, new(Server)), sampleRequest+"\r\n")
	if r.StatusCode != 500 {
		t.Errorf("without a Handler: %d", r.StatusCode)
	}
}
