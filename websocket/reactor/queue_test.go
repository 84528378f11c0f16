//go:build linux

package reactor

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

// counting is the system's kernel, which counts what is asked of it.
type counting struct {
	kernel
	reads, writes atomic.Int64
}

func (k *counting) read(fd int, p []byte) (int, error) {
	n, err := k.kernel.read(fd, p)
	if err == nil {
		k.reads.Add(1)
	}
	return n, err
}

func (k *counting) write(fd int, p []byte) (int, error) {
	k.writes.Add(1)
	return k.kernel.write(fd, p)
}

func (k *counting) writev(fd int, p [2][]byte) (int, error) {
	k.writes.Add(1)
	return k.kernel.writev(fd, p)
}

// counted has s count the calls of its only loop.
func counted(s *Server) *counting {
	k := new(counting)
	s.Loops = 1
	s.makeKernel = func() (kernel, error) {
		var err error
		k.kernel, err = newKernel()
		return k, err
	}
	return k
}

func TestPipelinedMessagesAreOneReadAndOneWrite(t *testing.T) {
	s := &Server{Handler: echo}
	k := counted(s)
	p := upgraded(t, serve(t, s))
	k.reads.Store(0)
	k.writes.Store(0)
	one := strings.Repeat("x", 128)
	p.send(strings.Repeat(masked(frame.Binary, true, one), 16))
	for range 16 {
		p.expect(frame.Binary, one)
	}
	if r, w := k.reads.Load(), k.writes.Load(); r != 1 || w != 1 {
		t.Errorf("%d reads and %d writes, want one of each", r, w)
	}
}

// What a handler sends to others, several times, leaves in one write for each of them.
func TestBroadcastIsOneWriteForEach(t *testing.T) {
	var all []*Conn
	s := &Server{Handler: Handler{
		Open: func(c *Conn) { all = append(all, c) },
		Message: func(_ *Conn, m websocket.Message) {
			for _, c := range all {
				c.Send(m)
			}
		},
	}}
	k := counted(s)
	addr := serve(t, s)
	var peers []*peer
	for range 10 {
		peers = append(peers, upgraded(t, addr))
	}
	k.writes.Store(0)
	peers[3].send(strings.Repeat(masked(frame.Text, true, "to all"), 16))
	for _, p := range peers {
		for range 16 {
			p.expect(frame.Text, "to all")
		}
	}
	if w := k.writes.Load(); w != 10 {
		t.Errorf("%d writes for 10 connections", w)
	}
}

// A peer that sends and does not read stalls itself; it loses nothing when it goes on.
func TestPeerThatDoesNotReadIsNotReadFrom(t *testing.T) {
	var queue atomic.Int64
	s := &Server{Options: queueOf(64 << 10)}
	s.Handler.Message = func(c *Conn, m websocket.Message) {
		if err := c.Send(m); err != nil {
			t.Errorf("Write: %v", err)
		}
		c.mu.Lock()
		queue.Store(max(queue.Load(), int64(c.queued())))
		c.mu.Unlock()
	}
	conns := make(chan *Conn, 1)
	s.Handler.Open = func(c *Conn) { conns <- c }
	p := upgraded(t, serve(t, s))
	const n, size = 2000, 8 << 10
	go func() {
		one := masked(frame.Binary, true, strings.Repeat("x", size))
		for range n {
			if _, err := p.Write([]byte(one)); err != nil {
				t.Errorf("the peer cannot write: %v", err)
				return
			}
		}
	}()
	await(t, stalled(await(t, conns)))
	for range n {
		if h, got := p.next(); h.Opcode != frame.Binary || len(got) != size {
			t.Fatalf("got %+v", h)
		}
	}
	if q := queue.Load(); q > 64<<10+corkSize+size {
		t.Errorf("%d bytes waited", q)
	}
}

// stalled yields when c is paused.
func stalled(c *Conn) <-chan bool {
	ch := make(chan bool, 1)
	go func() {
		for c.stop.Load()&stopPaused == 0 {
			<-time.After(time.Millisecond)
		}
		ch <- true
	}()
	return ch
}

// untilClose reads messages up to the close frame of an overflow, and returns how many there were.
func (p *peer) untilClose(op frame.Opcode, payload string) (n int) {
	p.Helper()
	for ; ; n++ {
		h, got := p.next()
		switch {
		case h.Opcode == frame.Close:
			if got != "\x03\xf5reads too slowly" {
				p.Errorf("got %+v %q", h, got)
			}
			return n
		case h.Opcode != op || got != payload:
			p.Fatalf("got %+v", h)
		}
	}
}

// A peer to whom others write and who does not read is closed with 1013.
func TestOverflowCloses(t *testing.T) {
	h, ended := ends()
	conns := make(chan *Conn, 1)
	h.Open = func(c *Conn) { conns <- c }
	p := upgraded(t, serve(t, &Server{Handler: h, Options: queueOf(64 << 10)}))
	c := await(t, conns)
	m := websocket.Message{Type: websocket.Binary, Data: make([]byte, 32<<10)}
	sent := 0
	var err error
	for ; err == nil && sent < 1000; sent++ {
		err = c.Send(m)
	}
	if !errors.Is(err, websocket.ErrQueueFull) {
		t.Fatalf("after %d writes: %v", sent, err)
	}
	if err := c.Send(m); websocket.CloseCode(err) != websocket.CodeTryAgainLater {
		t.Errorf("the next write: %v", err)
	}
	n := p.untilClose(frame.Binary, string(m.Data))
	if n == 0 || n >= sent-1 {
		t.Errorf("%d of %d messages came: what waits is given up", n, sent-1)
	}
	p.send(masked(frame.Close, true, "\x03\xf5"))
	if e := await(t, ended); e == nil || e.Code != websocket.CodeTryAgainLater || e.Err != nil {
		t.Errorf("it ended with %v", e)
	}
}

// How the network cuts the bytes does not change what they mean.
func TestStreamInSingleBytes(t *testing.T) {
	addr := serve(t, &Server{Handler: echo})
	p := connect(t, addr)
	stream := request + "\r\n" + masked(frame.Text, false, "Hel") + masked(frame.Ping, true, "?") +
		masked(frame.Continuation, false, "") + masked(frame.Continuation, true, "lo") +
		masked(frame.Binary, true, strings.Repeat("x", 300)) + masked(frame.Close, true, "")
	for i := range stream {
		p.send(stream[i : i+1])
	}
	if head := p.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Fatalf("the answer is %q", head)
	}
	p.expect(frame.Pong, "?")
	p.expect(frame.Text, "Hello")
	p.expect(frame.Binary, strings.Repeat("x", 300))
	p.expect(frame.Close, "")
	p.expectEOF()
}

func TestMessageInManyFragments(t *testing.T) {
	p := upgraded(t, serve(t, &Server{Handler: echo}))
	part := strings.Repeat("0123456789abcdef", 64)
	p.send(masked(frame.Binary, false, part), strings.Repeat(masked(frame.Continuation, false, part), 100), masked(frame.Continuation, true, ""))
	p.expect(frame.Binary, strings.Repeat(part, 101))
}
