//go:build linux

package websocket

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// evEnds is a handler that echoes messages and reports the error with which each connection ends.
func evEnds() (evHandler, chan *CloseError) {
	ch := make(chan *CloseError, 16)
	h := evEcho
	h.Close = func(c *eventConn, err error) {
		e, _ := errors.AsType[*CloseError](err)
		if c.Err() != err {
			e = nil
		}
		ch <- e
	}
	return h, ch
}

func evAwait[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(evTimeout):
		t.Fatal("the expected event did not happen")
	}
	return v
}

func TestEventRFC6455_5_5_1_CloseIsEchoed(t *testing.T) {
	h, ended := evEnds()
	p := evUpgraded(t, evServe(t, &evServer{Handler: h}))
	p.send(evMasked(frame.Text, true, "hi"), evMasked(frame.Close, true, "\x0f\xa0bye"), evMasked(frame.Text, true, "more"))
	p.expect(frame.Text, "hi")
	p.expect(frame.Close, "\x0f\xa0bye")
	p.expectEOF() // §7.1.1: the server closes TCP
	if e := evAwait(t, ended); e == nil || e.Code != 4000 || e.Reason != "bye" || !e.ByPeer || e.Err != nil {
		t.Errorf("the connection ended with %#v", e)
	}
}

func TestEventRFC6455_7_1_2_CloseFromHere(t *testing.T) {
	h, ended := evEnds()
	h.Message = func(c *eventConn, m Message) {
		c.Send(m)
		if err := c.Shut(4001, "enough"); err != nil {
			t.Errorf("Shut: %v", err)
		}
		if err := c.Send(m); CloseCode(err) != 4001 {
			t.Errorf("Send after Shut: %v", err)
		}
	}
	p := evUpgraded(t, evServe(t, &evServer{Handler: h}))
	p.send(evMasked(frame.Text, true, "one"), evMasked(frame.Text, true, "two"))
	p.expect(frame.Text, "one")
	p.expect(frame.Close, "\x0f\xa1enough")
	p.send(evMasked(frame.Close, true, "\x0f\xa1"))
	p.expectEOF()
	if e := evAwait(t, ended); e == nil || e.Code != 4001 || e.ByPeer || e.Err != nil || !errors.Is(e, net.ErrClosed) {
		t.Errorf("the connection ended with %#v", e)
	}
}

func TestEventCloseIsBounded(t *testing.T) {
	h, ended := evEnds()
	h.Open = func(c *eventConn) { c.Shut(CodeNormal, "") }
	s := &evServer{Handler: h}
	s.Options.Conn.CloseTimeout = 50 * time.Millisecond
	p := evUpgraded(t, evServe(t, s))
	p.expect(frame.Close, "\x03\xe8")
	p.expectEOF()
	if e := evAwait(t, ended); e == nil || e.Code != 1000 || e.Err == nil || !strings.Contains(e.Error(), "did not answer") {
		t.Errorf("the connection ended with %v", e)
	}
}

func TestEventCloseCodeThatMustNotBeSent(t *testing.T) {
	refused := make(chan error, 1)
	h := evEcho
	h.Open = func(c *eventConn) { refused <- c.Shut(CodeAbnormal, "") }
	p := evUpgraded(t, evServe(t, &evServer{Handler: h}))
	if err := evAwait(t, refused); err == nil {
		t.Error("1006 was accepted")
	}
	p.send(evMasked(frame.Text, true, "still here"))
	p.expect(frame.Text, "still here")
}

func TestEventCloseNow(t *testing.T) {
	h, ended := evEnds()
	conns := make(chan *eventConn, 1)
	h.Open = func(c *eventConn) { conns <- c }
	p := evUpgraded(t, evServe(t, &evServer{Handler: h}))
	c := evAwait(t, conns)
	c.CloseNow()
	p.expectEOF()
	if e := evAwait(t, ended); e == nil || e.Code != CodeAbnormal || e.ByPeer {
		t.Errorf("the connection ended with %v", e)
	}
	if err := c.Send(Message{Type: Text}); CloseCode(err) != CodeAbnormal {
		t.Errorf("Send after the end: %v", err)
	}
	if c.RemoteAddr().String() != p.LocalAddr().String() || c.Shut(1000, "") != nil {
		t.Error("a connection that has ended does not know its address, or Shut returned an error")
	}
}

func TestEventPeerThatVanishes(t *testing.T) {
	for name, sent := range map[string]string{
		"between messages":        "",
		"inside a frame's header": evMasked(frame.Text, true, "hello")[:3],
		"inside a text frame":     evMasked(frame.Text, true, "hello")[:8],
	} {
		t.Run(name, func(t *testing.T) {
			h, ended := evEnds()
			p := evUpgraded(t, evServe(t, &evServer{Handler: h}))
			p.send(sent)
			p.Close()
			if e := evAwait(t, ended); e == nil || e.Code != CodeAbnormal || !strings.Contains(e.Error(), name) {
				t.Errorf("the connection ended with %v", e)
			}
		})
	}
}

func TestEventRFC6455_7_1_7_ViolationsAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		sent    string
		code    Code
		section string
	}{
		"unmasked":   {"\x81\x02hi", 1002, "RFC 6455 §5.1"},
		"not UTF-8":  {evMasked(frame.Text, true, "\xff"), 1007, "RFC 6455 §8.1"},
		"too big":    {evMasked(frame.Binary, true, strings.Repeat("x", 101)), 1009, "RFC 6455 §10.4"},
		"interleave": {evMasked(frame.Text, false, "a") + evMasked(frame.Text, true, "b"), 1002, "RFC 6455 §5.4"},
		"pings":      {strings.Repeat(evMasked(frame.Ping, true, ""), 2*protocol.MaxControls+2), 1008, "RFC 6455 §10.4"},
	} {
		t.Run(name, func(t *testing.T) {
			h, ended := evEnds()
			s := &evServer{Handler: h}
			s.Options.Conn.MaxMessage = 100
			p := evUpgraded(t, evServe(t, s))
			p.send(c.sent, evMasked(frame.Text, true, "not looked at"))
			got, payload := p.next()
			for got.Opcode == frame.Pong {
				got, payload = p.next()
			}
			if got.Opcode != frame.Close || Code(payload[0])<<8|Code(payload[1]) != c.code {
				t.Errorf("got %+v %q", got, payload)
			}
			p.expectEOF()
			p.Close()
			e := evAwait(t, ended)
			pe, ok := errors.AsType[*protocol.Violation](e)
			if !ok || pe.Section != c.section || e.Code != c.code || !e.ByPeer {
				t.Errorf("the connection ended with %v", e)
			}
		})
	}
}

func TestEventKeepaliveGivesUpASilentPeer(t *testing.T) {
	h, ended := evEnds()
	s := &evServer{Handler: h}
	s.Options.Conn.PingInterval = 100 * time.Millisecond
	p := evUpgraded(t, evServe(t, s))
	p.expect(frame.Ping, "")
	p.send(evMasked(frame.Pong, true, "")) // this shows that the client is alive
	p.expect(frame.Ping, "")
	if e := evAwait(t, ended); e == nil || e.Code != CodeAbnormal || !errors.Is(e, os.ErrDeadlineExceeded) {
		t.Errorf("the connection ended with %v", e)
	}
}

func TestEventPongAfterOurCloseFrame(t *testing.T) {
	h, ended := evEnds()
	h.Open = func(c *eventConn) { c.Shut(CodeNormal, "") }
	p := evUpgraded(t, evServe(t, &evServer{Handler: h}))
	p.expect(frame.Close, "\x03\xe8")
	p.send(evMasked(frame.Ping, true, "x"))
	p.expect(frame.Pong, "x")
	p.send(evMasked(frame.Close, true, "\x03\xe8"))
	p.expectEOF()
	if e := evAwait(t, ended); e == nil || e.Err != nil {
		t.Errorf("the connection ended with %v", e)
	}
}

func TestEventShutdownSends1001(t *testing.T) {
	h, ended := evEnds()
	s := &evServer{Handler: h}
	addr := evServe(t, s)
	var conns []*Conn
	for range 10 {
		conns = append(conns, evDial(t, addr, nil))
	}
	evConnect(t, addr) // sends no request
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(evBounded(t)) }()
	for _, c := range conns {
		if _, err := c.Read(evBounded(t)); CloseCode(err) != CodeGoingAway {
			t.Errorf("a client reads %v", err)
		}
		if e := evAwait(t, ended); e == nil || e.Code != CodeGoingAway || e.Err != nil {
			t.Errorf("a connection ended with %v", e)
		}
	}
	if err := evAwait(t, done); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := s.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestEventShutdownWhoseContextEnds(t *testing.T) {
	h, ended := evEnds()
	s := &evServer{Handler: h}
	p := evUpgraded(t, evServe(t, s))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	shut := make(chan error, 1)
	go func() { shut <- s.Shutdown(ctx) }()
	p.expect(frame.Close, "\x03\xe9")
	cancel()
	if err := evAwait(t, shut); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if e := evAwait(t, ended); e == nil || e.ByPeer {
		t.Errorf("the connection ended with %v", e)
	}
}
