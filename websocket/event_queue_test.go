//go:build linux

package websocket

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/loop"

	"github.com/handfast/handfast/websocket/frame"
)

// evCounting is the system's kernel, and counts the calls.
type evCounting struct {
	loop.Kernel
	reads, writes atomic.Int64
}

func (k *evCounting) Read(fd int, p []byte) (int, error) {
	n, err := k.Kernel.Read(fd, p)
	if err == nil {
		k.reads.Add(1)
	}
	return n, err
}

func (k *evCounting) Write(fd int, p []byte) (int, error) {
	k.writes.Add(1)
	return k.Kernel.Write(fd, p)
}

func (k *evCounting) Writev(fd int, p [2][]byte) (int, error) {
	k.writes.Add(1)
	return k.Kernel.Writev(fd, p)
}

// evCounted gives s a single loop, whose kernel counts its calls.
func evCounted(s *evServer) *evCounting {
	k := new(evCounting)
	s.Loops = 1
	s.makeKernel = func() (loop.Kernel, error) {
		var err error
		k.Kernel, err = loop.NewKernel()
		return k, err
	}
	return k
}

func TestEventPipelinedMessagesAreOneReadAndOneWrite(t *testing.T) {
	s := &evServer{Handler: evEcho}
	k := evCounted(s)
	p := evUpgraded(t, evServe(t, s))
	k.reads.Store(0)
	k.writes.Store(0)
	one := strings.Repeat("x", 128)
	p.send(strings.Repeat(evMasked(frame.Binary, true, one), 16))
	for range 16 {
		p.expect(frame.Binary, one)
	}
	if r, w := k.reads.Load(), k.writes.Load(); r != 1 || w != 1 {
		t.Errorf("%d reads and %d writes, want one of each", r, w)
	}
}

// Several messages that a handler sends to other connections take one write per connection.
func TestEventBroadcastIsOneWriteForEach(t *testing.T) {
	w := evBroadcastWrites(t, evText("to all"), func(c *eventConn, m Message) { c.Send(m) })
	if w != 10 {
		t.Errorf("%d writes for 10 connections", w)
	}
}

// evBroadcastWrites sends message 16 times in one segment to a server that passes each message to 10 connections with send. It
// returns the number of the server's writes.
func evBroadcastWrites(t *testing.T, message string, send func(*eventConn, Message)) int {
	t.Helper()
	var all []*eventConn
	s := &evServer{Handler: evHandler{
		Open: func(c *eventConn) { all = append(all, c) },
		Message: func(_ *eventConn, m Message) {
			for _, c := range all {
				send(c, m)
			}
		},
	}}
	k := evCounted(s)
	addr := evServe(t, s)
	var peers []*evPeer
	for range 10 {
		peers = append(peers, evUpgraded(t, addr))
	}
	k.writes.Store(0)
	peers[3].send(strings.Repeat(message, 16))
	for _, p := range peers {
		for range 16 {
			p.expect(frame.Text, "to all")
		}
	}
	return int(k.writes.Load())
}

// A peer that sends but does not read blocks only itself, and gets all data when it reads again.
func TestEventPeerThatDoesNotReadIsNotReadFrom(t *testing.T) {
	var queue atomic.Int64
	s := &evServer{Options: evQueueOf(64 << 10)}
	s.Handler.Message = func(c *eventConn, m Message) {
		if err := c.Send(m); err != nil {
			t.Errorf("Send: %v", err)
		}
		c.inbox.outbox.link.fd.Lock()
		queue.Store(max(queue.Load(), int64(c.inbox.outbox.queued())))
		c.inbox.outbox.link.fd.Unlock()
	}
	conns := make(chan *eventConn, 1)
	s.Handler.Open = func(c *eventConn) { conns <- c }
	p := evUpgraded(t, evServe(t, s))
	const n, size = 2000, 8 << 10
	go func() {
		one := evMasked(frame.Binary, true, strings.Repeat("x", size))
		for range n {
			if _, err := p.Write([]byte(one)); err != nil {
				t.Errorf("the peer cannot write: %v", err)
				return
			}
		}
	}()
	evAwait(t, evStalled(evAwait(t, conns)))
	for range n {
		if h, got := p.next(); h.Opcode != frame.Binary || len(got) != size {
			t.Fatalf("got %+v", h)
		}
	}
	if q := queue.Load(); q > 64<<10+corkSize+size {
		t.Errorf("%d bytes were queued", q)
	}
}

// evStalled returns a channel that receives a value when c is paused.
func evStalled(c *eventConn) <-chan bool {
	ch := make(chan bool, 1)
	go func() {
		for c.inbox.outbox.link.stop.Load()&stopPaused == 0 {
			<-time.After(time.Millisecond)
		}
		ch <- true
	}()
	return ch
}

// readUntilClose reads messages up to the close frame that reports a full queue, and returns the number of messages.
func (p *evPeer) readUntilClose(op frame.Opcode, payload string) (n int) {
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

// A peer that does not read the messages of other clients is closed with 1013.
func TestEventOverflowCloses(t *testing.T) {
	h, ended := evEnds()
	conns := make(chan *eventConn, 1)
	h.Open = func(c *eventConn) { conns <- c }
	p := evUpgraded(t, evServe(t, &evServer{Handler: h, Options: evQueueOf(64 << 10)}))
	c := evAwait(t, conns)
	m := Message{Type: Binary, Data: make([]byte, 32<<10)}
	sent := 0
	var err error
	for ; err == nil && sent < 1000; sent++ {
		err = c.Send(m)
	}
	if !errors.Is(err, ErrQueueFull) {
		t.Fatalf("after %d writes: %v", sent, err)
	}
	if err := c.Send(m); CloseCode(err) != CodeTryAgainLater {
		t.Errorf("the next write: %v", err)
	}
	n := p.readUntilClose(frame.Binary, string(m.Data))
	if n == 0 || n >= sent-1 {
		t.Errorf("%d of %d messages received: the queued ones should be dropped", n, sent-1)
	}
	p.send(evMasked(frame.Close, true, "\x03\xf5"))
	p.Close()
	if e := evAwait(t, ended); e == nil || e.Code != CodeTryAgainLater || e.Err != nil {
		t.Errorf("the connection ended with %v", e)
	}
}

// The result does not depend on how the network splits the bytes.
func TestEventStreamInSingleBytes(t *testing.T) {
	addr := evServe(t, &evServer{Handler: evEcho})
	p := evConnect(t, addr)
	stream := evRequest + "\r\n" + evMasked(frame.Text, false, "Hel") + evMasked(frame.Ping, true, "?") +
		evMasked(frame.Continuation, false, "") + evMasked(frame.Continuation, true, "lo") +
		evMasked(frame.Binary, true, strings.Repeat("x", 300)) + evMasked(frame.Close, true, "")
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

func TestEventMessageInManyFragments(t *testing.T) {
	p := evUpgraded(t, evServe(t, &evServer{Handler: evEcho}))
	part := strings.Repeat("0123456789abcdef", 64)
	p.send(evMasked(frame.Binary, false, part), strings.Repeat(evMasked(frame.Continuation, false, part), 100), evMasked(frame.Continuation, true, ""))
	p.expect(frame.Binary, strings.Repeat(part, 101))
}
