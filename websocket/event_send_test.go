//go:build linux

package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/allocs"
	"github.com/handfast/handfast/websocket/internal/prepared"
)

func evFramesOf(p *Prepared) *prepared.Frames { return p.frames() }

func evPrepare(t testing.TB, text string) *Prepared {
	t.Helper()
	p, err := Prepare(Message{Type: Text, Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The messages of one SendPrepared are written in order, with one system call, even if the caller is not the goroutine of the loop.
func TestEventSendIsOneWriteForEach(t *testing.T) {
	long := strings.Repeat("long ", 10<<10)
	for name, texts := range map[string][]string{
		"one": {"one"}, "several": {"one", "two", "three"}, "long": {long}, "long after short": {"one", long},
	} {
		conns := make(chan *eventConn, 10)
		s := &evServer{Handler: evHandler{Open: func(c *eventConn) { conns <- c }}}
		k := evCounted(s)
		addr := evServe(t, s)
		var ps []*Prepared
		for _, text := range texts {
			ps = append(ps, evPrepare(t, text))
		}
		for range 10 {
			p := evUpgraded(t, addr)
			c := evAwait(t, conns)
			p.send(evMasked(frame.Ping, true, "")) // the pong shows that the opening handshake has been written
			p.expect(frame.Pong, "")
			k.writes.Store(0)
			if err := c.SendPrepared(ps...); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, text := range texts {
				p.expect(frame.Text, text)
			}
			if w := k.writes.Load(); w != 1 {
				t.Errorf("%s: %d writes", name, w)
			}
		}
	}
}

// Messages that a handler sends while more messages are to be handled take one write per connection.
func TestEventSendsOfABatchAreOneWriteForEach(t *testing.T) {
	shared := evPrepare(t, "to all")
	for _, message := range []string{evText("trigger"), evMasked(frame.Text, false, "trig") + evMasked(frame.Continuation, true, "ger")} {
		w := evBroadcastWrites(t, message, func(c *eventConn, _ Message) { c.SendPrepared(shared) })
		if w > 10 {
			t.Errorf("%d writes for 10 connections", w)
		}
	}
}

// A shared message is compressed once per window size. Afterwards, the connection's own messages can still be inflated.
func TestEventSendCompressesOnce(t *testing.T) {
	text := strings.Repeat("compress me, ", 100)
	own := strings.Repeat("compress me too, ", 100)
	for _, bits := range []uint8{0, 10} {
		conns := make(chan *eventConn, 3)
		s := &evServer{Handler: evHandler{Open: func(c *eventConn) { conns <- c }}}
		s.Options.Conn.Compression = &Compression{ServerWindowBits: int(bits)}
		addr := evServe(t, s)
		shared := evPrepare(t, text)
		var frames [][]byte
		for range 3 {
			client := evDial(t, addr, &DialOptions{Conn: ConnOptions{Compression: &Compression{}}})
			c := evAwait(t, conns)
			for range 2 {
				if err := errors.Join(c.Send(evMessage(own)), c.SendPrepared(shared), c.Send(evMessage(own))); err != nil {
					t.Fatal(err)
				}
				for _, want := range []string{own, text, own} {
					if m, err := client.Read(evBounded(t)); err != nil || string(m.Data) != want {
						t.Fatalf("read %.20q, %v", m.Data, err)
					}
				}
			}
			c.inbox.outbox.link.fd.Lock()
			frames = append(frames, c.inbox.outbox.frameFor(evFramesOf(shared)))
			c.inbox.outbox.link.fd.Unlock()
		}
		for _, f := range frames {
			if &f[0] != &frames[0][0] || f[0]&frame.RSV1 == 0 {
				t.Errorf("%d bits: compressed for each connection, or not at all", bits)
			}
		}
	}
}

func evMessage(text string) Message {
	return Message{Type: Text, Data: []byte(text)}
}

// A peer that does not read only fills its own queue, and the shared frame is not modified.
func TestEventSendIsBounded(t *testing.T) {
	h, ended := evEnds()
	conns := make(chan *eventConn, 1)
	h.Open = func(c *eventConn) { conns <- c }
	s := &evServer{Handler: h}
	s.Options.Conn.QueueBytes = 64 << 10
	p := evUpgraded(t, evServe(t, s))
	c := evAwait(t, conns)
	text := strings.Repeat("x", 32<<10)
	shared := evPrepare(t, text)
	before := bytes.Clone(evFramesOf(shared).Plain())
	sent := 0
	var err error
	for ; err == nil && sent < 1000; sent++ {
		err = c.SendPrepared(shared)
	}
	if !errors.Is(err, ErrQueueFull) {
		t.Fatalf("after %d: %v", sent, err)
	}
	if err := c.SendPrepared(shared); CloseCode(err) != CodeTryAgainLater {
		t.Errorf("the next: %v", err)
	}
	if n := p.readUntilClose(frame.Text, text); n == 0 || n >= sent-1 {
		t.Errorf("%d of %d messages received", n, sent-1)
	}
	p.send(evMasked(frame.Close, true, "\x03\xf5"))
	p.Close()
	if e := evAwait(t, ended); e == nil || e.Code != CodeTryAgainLater || e.Err != nil {
		t.Errorf("the connection ended with %v", e)
	}
	if !bytes.Equal(before, evFramesOf(shared).Plain()) {
		t.Error("the shared frame was written to")
	}
}

// With QueueDropNewest a peer that does not read misses messages, but stays connected.
func TestEventSendDropsTheNewest(t *testing.T) {
	conns := make(chan *eventConn, 1)
	s := &evServer{Handler: evHandler{Open: func(c *eventConn) { conns <- c }}}
	s.Options.Conn.QueueBytes, s.Options.Conn.QueueFull = 64<<10, QueueDropNewest
	p := evUpgraded(t, evServe(t, s))
	c := evAwait(t, conns)
	text := strings.Repeat("x", 32<<10)
	sent := 0
	for c.SendPrepared(evPrepare(t, text)) == nil {
		sent++
	}
	if err := c.Send(evMessage(text)); !errors.Is(err, ErrQueueFull) {
		t.Errorf("Send to a full queue: %v", err)
	}
	for range sent {
		p.expect(frame.Text, text)
	}
	p.send(evMasked(frame.Ping, true, "alive"))
	p.expect(frame.Pong, "alive")
	if err := c.SendPrepared(evPrepare(t, "again")); err != nil {
		t.Errorf("SendPrepared to a peer that reads again: %v", err)
	}
	p.expect(frame.Text, "again")
}

// With QueueDropOldest a peer that does not read misses the oldest messages. Frames remain complete, and control frames are kept.
func TestEventSendDropsTheOldest(t *testing.T) {
	for name, compress := range map[string]*Compression{"plain": nil, "compressed": {}} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan *eventConn, 1)
			s := &evServer{Handler: evHandler{Open: func(c *eventConn) { conns <- c }}}
			s.Options.Conn.Compression = compress
			s.Options.Conn.QueueBytes, s.Options.Conn.QueueFull = 64<<10, QueueDropOldest
			client := evDial(t, evServe(t, s), &DialOptions{Conn: ConnOptions{Compression: compress}})
			c := evAwait(t, conns)
			const n = 4000
			noise := make([]byte, 8<<10)
			source := rand.New(rand.NewPCG(1, 2))
			for i := range n {
				for j := range noise {
					noise[j] = byte(source.Uint32())
				}
				m := Message{Type: Binary, Data: append(fmt.Appendf(nil, "%d ", i), noise...)}
				if err := c.Send(m); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			c.Shut(CodeNormal, "")
			last, got := -1, 0
			for m, err := range client.Messages(evBounded(t)) {
				if err != nil {
					break
				}
				number, _, _ := strings.Cut(string(m.Data), " ")
				i, err := strconv.Atoi(number)
				if err != nil || i <= last {
					t.Fatalf("message %q after %d", number, last)
				}
				last = i
				got++
			}
			if last != n-1 || got == n {
				t.Errorf("%d messages received, the last is %d", got, last)
			}
		})
	}
}

func TestEventPartlySentFrames(t *testing.T) {
	b := append(frame.Append(nil, frame.Header{Fin: true, Opcode: frame.Text, Length: 200}), make([]byte, 200)...)
	b = append(b, 0x89, 0)
	b = append(frame.Append(b, frame.Header{Fin: true, Opcode: frame.Text, Length: 3}), "abc"...)
	for n, want := range map[int]int{0: 0, 1: 203, 204: 0, 205: 1, 206: 0, 207: 4, 211: 0} {
		if got := partialAfter(b, 0, n); got != want {
			t.Errorf("after %d: %d bytes, want %d", n, got, want)
		}
	}
	if got := partialAfter(b[10:], 194, 5); got != 189 {
		t.Errorf("within the rest of a frame: %d", got)
	}
	c := &eventOutbox{out: &buffer{b: b}}
	c.advance(7)
	c.drop(1)
	if got := string(c.out.rest()[c.out.partialFrame:]); got != "\x89\x00" || c.out.partialFrame != 197 {
		t.Errorf("%d bytes of the first frame, and %q", c.out.partialFrame, got)
	}
}

// Messages of concurrent Sends and Writes are not mixed, and the messages of each sender arrive in order.
func TestEventSendsFromEverywhere(t *testing.T) {
	const senders, each = 4, 200
	conns := make(chan *eventConn, 1)
	s := &evServer{Handler: evEcho}
	s.Handler.Open = func(c *eventConn) { conns <- c }
	p := evUpgraded(t, evServe(t, s))
	c := evAwait(t, conns)
	var running sync.WaitGroup
	for i := range senders {
		name := string(rune('a' + i))
		running.Go(func() {
			for n := range each {
				text := name + strings.Repeat("x", n*17%5000)
				if err := c.SendPrepared(evPrepare(t, text), evPrepare(t, text)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go io.WriteString(p.Conn, strings.Repeat(evMasked(frame.Text, true, "echo"), each)) //nolint:errcheck // the test counts the echoes of these messages
	got := map[byte]int{}
	for range senders*each*2 + each {
		_, text := p.next()
		n := got[text[0]]
		if text[0] != 'e' && len(text)-1 != n/2*17%5000 {
			t.Fatalf("message %d of %c has %d bytes", n, text[0], len(text))
		}
		got[text[0]]++
	}
	running.Wait()
	if got['e'] != each {
		t.Errorf("%d echoes", got['e'])
	}
}

func TestEventSendAllocatesNothing(t *testing.T) {
	for name, in := range map[string]string{"calm": evText("x"), "more is to come": evText("x") + "\x81"} {
		s, k, c := evNullServer(t, evHandler{})
		k.in, k.silent = in, true
		s.ls.Turn()
		if c.inbox.outbox.link.fd.Calm() != (name == "calm") {
			t.Errorf("%s: calm is %v", name, c.inbox.outbox.link.fd.Calm())
		}
		ps := []*Prepared{evPrepare(t, "one"), evPrepare(t, strings.Repeat("long", 10<<10)), evPrepare(t, "three")}
		send := func(ps ...*Prepared) {
			if err := c.SendPrepared(ps...); err != nil {
				t.Error(err)
			}
			s.ls.Turn()
		}
		got := allocs.PerRun(100, func() {
			send(ps[0])
			send(ps[1])
			send(ps...)
		})
		if got > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", name, got)
		}
		if c.inbox.outbox.out != nil {
			t.Errorf("%s: a buffer stays with the connection", name)
		}
	}
}

func TestEventSendAfterTheEnd(t *testing.T) {
	h, ended := evEnds()
	conns := make(chan *eventConn, 1)
	h.Open = func(c *eventConn) { conns <- c }
	p := evUpgraded(t, evServe(t, &evServer{Handler: h}))
	c := evAwait(t, conns)
	p.Close()
	evAwait(t, ended)
	if err := c.SendPrepared(evPrepare(t, "late")); CloseCode(err) != CodeAbnormal {
		t.Errorf("SendPrepared: %v", err)
	}
}

func TestEventSendOverTLS(t *testing.T) {
	conns := make(chan *eventConn, 1)
	s := &evServer{Handler: evHandler{Open: func(c *eventConn) { conns <- c }}}
	addr, config := evServeTLS(t, s)
	client := evDialTLS(t, addr, config, ConnOptions{})
	c := evAwait(t, conns)
	long := strings.Repeat("long ", 20<<10)
	if err := c.SendPrepared(evPrepare(t, "one"), evPrepare(t, long), evPrepare(t, "three")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", long, "three"} {
		if m, err := client.Read(evBounded(t)); err != nil || string(m.Data) != want {
			t.Errorf("read %.20q, %v", m.Data, err)
		}
	}
}

// The rest of a SendPrepared that was sent in part is sent when the peer reads, even if there was no room for a later message of the
// same call. In this test nothing else wakes the connection.
func TestEventSendStallsInTheMiddle(t *testing.T) {
	conns := make(chan *eventConn, 1)
	s := &evServer{Handler: evHandler{Open: func(c *eventConn) { conns <- c }}}
	s.Options.Conn.PingInterval = -1
	s.Options.Conn.QueueBytes, s.Options.Conn.QueueFull = 64<<10, QueueDropNewest
	p := evUpgraded(t, evServe(t, s))
	c := evAwait(t, conns)
	large := strings.Repeat("large", 2<<20)
	full := strings.Repeat("x", 64<<10)
	if err := c.SendPrepared(evPrepare(t, large), evPrepare(t, full), evPrepare(t, "no room")); !errors.Is(err, ErrQueueFull) {
		t.Fatalf("got %v", err)
	}
	p.expect(frame.Text, large)
	p.expect(frame.Text, full)
	if err := c.SendPrepared(evPrepare(t, "later")); err != nil {
		t.Fatal(err)
	}
	p.expect(frame.Text, "later")
}
