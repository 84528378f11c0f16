//go:build linux

package reactor

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// ends is a handler that echoes and tells how connections end.
func ends() (Handler, chan *websocket.CloseError) {
	ch := make(chan *websocket.CloseError, 16)
	h := echo
	h.Close = func(c *Conn, err error) {
		e, _ := errors.AsType[*websocket.CloseError](err)
		if c.Err() != err {
			e = nil
		}
		ch <- e
	}
	return h, ch
}

func await[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience10):
		t.Fatal("what must happen does not")
	}
	return v
}

func TestRFC6455_5_5_1_CloseIsEchoed(t *testing.T) {
	h, ended := ends()
	p := upgraded(t, serve(t, &Server{Handler: h}))
	p.send(masked(frame.Text, true, "hi"), masked(frame.Close, true, "\x0f\xa0bye"), masked(frame.Text, true, "more"))
	p.expect(frame.Text, "hi")
	p.expect(frame.Close, "\x0f\xa0bye")
	if e := await(t, ended); e == nil || e.Code != 4000 || e.Reason != "bye" || !e.ByPeer || e.Err != nil {
		t.Errorf("it ended with %#v", e)
	}
}

func TestRFC6455_7_1_2_CloseFromHere(t *testing.T) {
	h, ended := ends()
	h.Message = func(c *Conn, m websocket.Message) {
		c.Send(m)
		if err := c.Shut(4001, "enough"); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := c.Send(m); websocket.CloseCode(err) != 4001 {
			t.Errorf("a write after Close: %v", err)
		}
	}
	p := upgraded(t, serve(t, &Server{Handler: h}))
	p.send(masked(frame.Text, true, "one"), masked(frame.Text, true, "two"))
	p.expect(frame.Text, "one")
	p.expect(frame.Close, "\x0f\xa1enough")
	p.send(masked(frame.Close, true, "\x0f\xa1"))
	p.expectEOF()
	if e := await(t, ended); e == nil || e.Code != 4001 || e.ByPeer || e.Err != nil || !errors.Is(e, net.ErrClosed) {
		t.Errorf("it ended with %#v", e)
	}
}

func TestCloseIsBounded(t *testing.T) {
	h, ended := ends()
	h.Open = func(c *Conn) { c.Shut(websocket.CodeNormal, "") }
	s := &Server{Handler: h}
	s.Options.Conn.CloseTimeout = 50 * time.Millisecond
	p := upgraded(t, serve(t, s))
	p.expect(frame.Close, "\x03\xe8")
	p.expectEOF()
	if e := await(t, ended); e == nil || e.Code != 1000 || e.Err == nil || !strings.Contains(e.Error(), "did not answer") {
		t.Errorf("it ended with %v", e)
	}
}

func TestCloseCodeThatIsNotForTheWire(t *testing.T) {
	refused := make(chan error, 1)
	h := echo
	h.Open = func(c *Conn) { refused <- c.Shut(websocket.CodeAbnormal, "") }
	p := upgraded(t, serve(t, &Server{Handler: h}))
	if err := await(t, refused); err == nil {
		t.Error("1006 was taken")
	}
	p.send(masked(frame.Text, true, "still here"))
	p.expect(frame.Text, "still here")
}

func TestCloseNow(t *testing.T) {
	h, ended := ends()
	conns := make(chan *Conn, 1)
	h.Open = func(c *Conn) { conns <- c }
	p := upgraded(t, serve(t, &Server{Handler: h}))
	c := await(t, conns)
	c.CloseNow()
	p.expectEOF()
	if e := await(t, ended); e == nil || e.Code != websocket.CodeAbnormal || e.ByPeer {
		t.Errorf("it ended with %v", e)
	}
	if err := c.Send(websocket.Message{Type: websocket.Text}); websocket.CloseCode(err) != websocket.CodeAbnormal {
		t.Errorf("a write afterwards: %v", err)
	}
	if c.RemoteAddr() != nil || c.Shut(1000, "") != nil {
		t.Error("a connection that has ended still does something")
	}
}

func TestPeerThatVanishes(t *testing.T) {
	for name, sent := range map[string]string{
		"between messages":        "",
		"inside a frame's header": masked(frame.Text, true, "hello")[:3],
		"inside a text frame":     masked(frame.Text, true, "hello")[:8],
	} {
		t.Run(name, func(t *testing.T) {
			h, ended := ends()
			p := upgraded(t, serve(t, &Server{Handler: h}))
			p.send(sent)
			p.Close()
			if e := await(t, ended); e == nil || e.Code != websocket.CodeAbnormal || !strings.Contains(e.Error(), name) {
				t.Errorf("it ended with %v", e)
			}
		})
	}
}

func TestRFC6455_7_1_7_ViolationsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		sent    string
		code    websocket.Code
		section string
	}{
		"unmasked":   {"\x81\x02hi", 1002, "RFC 6455 §5.1"},
		"not UTF-8":  {masked(frame.Text, true, "\xff"), 1007, "RFC 6455 §8.1"},
		"too big":    {masked(frame.Binary, true, strings.Repeat("x", 101)), 1009, "RFC 6455 §10.4"},
		"interleave": {masked(frame.Text, false, "a") + masked(frame.Text, true, "b"), 1002, "RFC 6455 §5.4"},
		"pings":      {strings.Repeat(masked(frame.Ping, true, ""), 2*protocol.MaxControls+2), 1008, "RFC 6455 §10.4"},
	} {
		t.Run(name, func(t *testing.T) {
			h, ended := ends()
			s := &Server{Handler: h}
			s.Options.Conn.MaxMessage = 100
			p := upgraded(t, serve(t, s))
			p.send(c.sent, masked(frame.Text, true, "not looked at"))
			got, payload := p.next()
			for got.Opcode == frame.Pong {
				got, payload = p.next()
			}
			if got.Opcode != frame.Close || websocket.Code(payload[0])<<8|websocket.Code(payload[1]) != c.code {
				t.Errorf("got %+v %q", got, payload)
			}
			p.expectEOF()
			p.Close()
			e := await(t, ended)
			pe, ok := errors.AsType[*websocket.ProtocolError](e)
			if !ok || pe.Section != c.section || e.Code != c.code || !e.ByPeer {
				t.Errorf("it ended with %v", e)
			}
		})
	}
}

func TestKeepaliveGivesUpASilentPeer(t *testing.T) {
	h, ended := ends()
	s := &Server{Handler: h}
	s.Options.Conn.PingInterval = 100 * time.Millisecond
	p := upgraded(t, serve(t, s))
	p.expect(frame.Ping, "")
	p.send(masked(frame.Pong, true, "")) // it is alive
	p.expect(frame.Ping, "")
	if e := await(t, ended); e == nil || e.Code != websocket.CodeAbnormal || !errors.Is(e, os.ErrDeadlineExceeded) {
		t.Errorf("it ended with %v", e)
	}
}

func TestPongBehindACloseFrameOfOurs(t *testing.T) {
	h, ended := ends()
	h.Open = func(c *Conn) { c.Shut(websocket.CodeNormal, "") }
	p := upgraded(t, serve(t, &Server{Handler: h}))
	p.expect(frame.Close, "\x03\xe8")
	p.send(masked(frame.Ping, true, "x"))
	p.expect(frame.Pong, "x")
	p.send(masked(frame.Close, true, "\x03\xe8"))
	p.expectEOF()
	if e := await(t, ended); e == nil || e.Err != nil {
		t.Errorf("it ended with %v", e)
	}
}

func TestShutdownSays1001(t *testing.T) {
	h, ended := ends()
	s := &Server{Handler: h}
	addr := serve(t, s)
	var conns []*websocket.Conn
	for range 10 {
		conns = append(conns, dial(t, addr, nil))
	}
	silent := connect(t, addr) // sends no request
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(bounded(t)) }()
	for _, c := range conns {
		if _, err := c.Read(bounded(t)); websocket.CloseCode(err) != websocket.CodeGoingAway {
			t.Errorf("a client reads %v", err)
		}
		if e := await(t, ended); e == nil || e.Code != websocket.CodeGoingAway || e.Err != nil {
			t.Errorf("one ended with %v", e)
		}
	}
	if err := await(t, done); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := s.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if _, err := s.Adopt(silent.Conn, nil); err != ErrServerClosed {
		t.Errorf("Adopt afterwards: %v", err)
	}
}

func TestShutdownWhoseTimeEnds(t *testing.T) {
	h, ended := ends()
	s := &Server{Handler: h}
	p := upgraded(t, serve(t, s))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	p.expect(frame.Close, "\x03\xe9")
	if e := await(t, ended); e == nil || e.ByPeer {
		t.Errorf("it ended with %v", e)
	}
}
