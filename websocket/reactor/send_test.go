//go:build linux

package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/prepared"
)

func framesOf(p *websocket.Prepared) *prepared.Frames { return (*prepared.Frames)(p) }

func prepare(t testing.TB, text string) *websocket.Prepared {
	t.Helper()
	p, err := websocket.Prepare(websocket.Message{Type: websocket.Text, Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A connection gets the messages of one Send in one system call, whoever calls it, and in what order they were sent.
func TestSendIsOneWriteForEach(t *testing.T) {
	long := strings.Repeat("long ", 10<<10)
	for name, texts := range map[string][]string{
		"one": {"one"}, "several": {"one", "two", "three"}, "long": {long}, "long behind short": {"one", long},
	} {
		conns := make(chan *Conn, 10)
		s := &Server{Handler: Handler{Open: func(c *Conn) { conns <- c }}}
		k := counted(s)
		addr := serve(t, s)
		var ps []*websocket.Prepared
		for _, text := range texts {
			ps = append(ps, prepare(t, text))
		}
		for range 10 {
			p := upgraded(t, addr)
			c := await(t, conns)
			p.send(masked(frame.Ping, true, "")) // what the opening had to write is written
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

// What a handler sends while more messages are there leaves in one write for each connection.
func TestSendsOfABatchAreOneWriteForEach(t *testing.T) {
	var all []*Conn
	shared := prepare(t, "to all")
	s := &Server{Handler: Handler{
		Open: func(c *Conn) { all = append(all, c) },
		Message: func(_ *Conn, m websocket.Message) {
			for _, c := range all {
				c.SendPrepared(shared)
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
	peers[3].send(strings.Repeat(masked(frame.Text, true, "trigger"), 16))
	for _, p := range peers {
		for range 16 {
			p.expect(frame.Text, "to all")
		}
	}
	if w := k.writes.Load(); w > 10 {
		t.Errorf("%d writes for 10 connections", w)
	}
}

// Compressed once for a window, and the connection's own messages are still understood afterwards.
func TestSendCompressesOnce(t *testing.T) {
	text := strings.Repeat("compress me, ", 100)
	own := strings.Repeat("compress me too, ", 100)
	for _, bits := range []uint8{0, 10} {
		conns := make(chan *Conn, 3)
		s := &Server{Handler: Handler{Open: func(c *Conn) { conns <- c }}}
		s.Options.Conn.Compression = &websocket.Compression{ServerWindowBits: int(bits)}
		addr := serve(t, s)
		shared := prepare(t, text)
		var frames [][]byte
		for range 3 {
			client := dial(t, addr, &websocket.DialOptions{Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}})
			c := await(t, conns)
			for range 2 {
				if err := errors.Join(c.Send(message(own)), c.SendPrepared(shared), c.Send(message(own))); err != nil {
					t.Fatal(err)
				}
				for _, want := range []string{own, text, own} {
					if m, err := client.Read(bounded(t)); err != nil || string(m.Data) != want {
						t.Fatalf("read %.20q, %v", m.Data, err)
					}
				}
			}
			c.mu.Lock()
			frames = append(frames, c.frameFor(framesOf(shared)))
			c.mu.Unlock()
		}
		for _, f := range frames {
			if &f[0] != &frames[0][0] || f[0]&frame.RSV1 == 0 {
				t.Errorf("%d bits: compressed for each connection, or not at all", bits)
			}
		}
	}
}

func message(text string) websocket.Message {
	return websocket.Message{Type: websocket.Text, Data: []byte(text)}
}

// A peer that does not read fills its own queue and no more; the shared frame is not written to.
func TestSendIsBounded(t *testing.T) {
	h, ended := ends()
	conns := make(chan *Conn, 1)
	h.Open = func(c *Conn) { conns <- c }
	s := &Server{Handler: h}
	s.Options.Conn.WriteQueue.Bytes = 64 << 10
	p := upgraded(t, serve(t, s))
	c := await(t, conns)
	text := strings.Repeat("x", 32<<10)
	shared := prepare(t, text)
	before := bytes.Clone(framesOf(shared).Plain())
	sent := 0
	var err error
	for ; err == nil && sent < 1000; sent++ {
		err = c.SendPrepared(shared)
	}
	if !errors.Is(err, websocket.ErrQueueFull) {
		t.Fatalf("after %d: %v", sent, err)
	}
	if err := c.SendPrepared(shared); websocket.CloseCode(err) != websocket.CodeTryAgainLater {
		t.Errorf("the next: %v", err)
	}
	if n := p.untilClose(frame.Text, text); n == 0 || n >= sent-1 {
		t.Errorf("%d of %d messages came", n, sent-1)
	}
	p.send(masked(frame.Close, true, "\x03\xf5"))
	if e := await(t, ended); e == nil || e.Code != websocket.CodeTryAgainLater || e.Err != nil {
		t.Errorf("it ended with %v", e)
	}
	if !bytes.Equal(before, framesOf(shared).Plain()) {
		t.Error("the shared frame was written to")
	}
}

// With QueueDropNewest a peer that does not read misses messages, and lives.
func TestSendDropsTheNewest(t *testing.T) {
	conns := make(chan *Conn, 1)
	s := &Server{Handler: Handler{Open: func(c *Conn) { conns <- c }}}
	s.Options.Conn.WriteQueue = websocket.WriteQueue{Bytes: 64 << 10, Full: websocket.QueueDropNewest}
	p := upgraded(t, serve(t, s))
	c := await(t, conns)
	text := strings.Repeat("x", 32<<10)
	sent := 0
	for c.SendPrepared(prepare(t, text)) == nil {
		sent++
	}
	if err := c.Send(message(text)); !errors.Is(err, websocket.ErrQueueFull) {
		t.Errorf("Write to a full queue: %v", err)
	}
	for range sent {
		p.expect(frame.Text, text)
	}
	p.send(masked(frame.Ping, true, "alive"))
	p.expect(frame.Pong, "alive")
	if err := c.SendPrepared(prepare(t, "again")); err != nil {
		t.Errorf("Send to a peer that reads again: %v", err)
	}
	p.expect(frame.Text, "again")
}

// With QueueDropOldest a peer that does not read misses what waited longest. Frames stay whole, and control frames stay.
func TestSendDropsTheOldest(t *testing.T) {
	for name, compress := range map[string]*websocket.Compression{"plain": nil, "compressed": {}} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan *Conn, 1)
			s := &Server{Handler: Handler{Open: func(c *Conn) { conns <- c }}}
			s.Options.Conn.Compression = compress
			s.Options.Conn.WriteQueue = websocket.WriteQueue{Bytes: 64 << 10, Full: websocket.QueueDropOldest}
			client := dial(t, serve(t, s), &websocket.DialOptions{Conn: websocket.ConnOptions{Compression: compress}})
			c := await(t, conns)
			const n = 4000
			noise := make([]byte, 8<<10)
			source := rand.New(rand.NewPCG(1, 2))
			for i := range n {
				for j := range noise {
					noise[j] = byte(source.Uint32())
				}
				m := websocket.Message{Type: websocket.Binary, Data: append(fmt.Appendf(nil, "%d ", i), noise...)}
				if err := c.Send(m); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			c.Shut(websocket.CodeNormal, "")
			last, got := -1, 0
			for m, err := range client.Messages(bounded(t)) {
				if err != nil {
					break
				}
				number, _, _ := strings.Cut(string(m.Data), " ")
				i, err := strconv.Atoi(number)
				if err != nil || i <= last {
					t.Fatalf("message %q behind %d", number, last)
				}
				last = i
				got++
			}
			if last != n-1 || got == n {
				t.Errorf("%d messages came, the last is %d", got, last)
			}
		})
	}
}

func TestWhatIsCut(t *testing.T) {
	b := append(frame.Append(nil, frame.Header{Fin: true, Opcode: frame.Text, Length: 200}), make([]byte, 200)...)
	b = append(b, 0x89, 0)
	b = append(frame.Append(b, frame.Header{Fin: true, Opcode: frame.Text, Length: 3}), "abc"...)
	for n, want := range map[int]int{0: 0, 1: 203, 204: 0, 205: 1, 206: 0, 207: 4, 211: 0} {
		if got := cutAt(b, 0, n); got != want {
			t.Errorf("behind %d: %d bytes, want %d", n, got, want)
		}
	}
	if got := cutAt(b[10:], 194, 5); got != 189 {
		t.Errorf("within the rest of a frame: %d", got)
	}
	c := &Conn{out: &buffer{b: b}, cut: 0}
	c.advance(7)
	c.drop(1)
	if got := string(c.out.rest()[c.cut:]); got != "\x89\x00" || c.cut != 197 {
		t.Errorf("%d bytes of the first frame, and %q", c.cut, got)
	}
}

func TestPoliciesThatWaitAreRefused(t *testing.T) {
	for _, full := range []websocket.QueuePolicy{websocket.QueueBlock} {
		s := new(Server)
		s.Options.Conn.WriteQueue.Full = full
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(l); err == nil || !strings.Contains(err.Error(), "WriteQueue.Full") {
			t.Errorf("policy %d: %v", full, err)
		}
	}
}

// Sends and Writes from everywhere at once arrive whole, each sender's in order.
func TestSendsFromEverywhere(t *testing.T) {
	const senders, each = 4, 200
	conns := make(chan *Conn, 1)
	s := &Server{Handler: echo}
	s.Handler.Open = func(c *Conn) { conns <- c }
	p := upgraded(t, serve(t, s))
	c := await(t, conns)
	var running sync.WaitGroup
	for i := range senders {
		name := string(rune('a' + i))
		running.Go(func() {
			for n := range each {
				text := name + strings.Repeat("x", n*17%5000)
				if err := c.SendPrepared(prepare(t, text), prepare(t, text)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go io.WriteString(p.Conn, strings.Repeat(masked(frame.Text, true, "echo"), each)) //nolint:errcheck // the echoes are counted
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

func TestSendAllocatesNothing(t *testing.T) {
	for _, calm := range []bool{false, true} {
		s := &Server{}
		if err := s.configure(); err != nil {
			t.Fatal(err)
		}
		l := newLoop(s, &nothing{fake: newFake(t, nil), in: []byte(hello)})
		s.loops = []*loop{l}
		d := newDriver(l)
		c := s.enter(l, &Conn{fd: 10})
		d.visit(work{c: c, what: chore(readable)})
		d.calm.Store(calm)
		ps := []*websocket.Prepared{prepare(t, "one"), prepare(t, strings.Repeat("long", 10<<10)), prepare(t, "three")}
		send := func(ps ...*websocket.Prepared) {
			if err := c.SendPrepared(ps...); err != nil {
				t.Error(err)
			}
			if l.takeTodo() {
				d.work()
			}
		}
		got := testing.AllocsPerRun(100, func() {
			send(ps[0])
			send(ps[1])
			send(ps...)
		})
		if got > 0 && !raceEnabled {
			t.Errorf("calm: %v: %v allocations", calm, got)
		}
		if c.out != nil {
			t.Errorf("calm: %v: a buffer stays with the connection", calm)
		}
	}
}

func TestSendAfterTheEnd(t *testing.T) {
	h, ended := ends()
	conns := make(chan *Conn, 1)
	h.Open = func(c *Conn) { conns <- c }
	p := upgraded(t, serve(t, &Server{Handler: h}))
	c := await(t, conns)
	p.Close()
	await(t, ended)
	if err := c.SendPrepared(prepare(t, "late")); websocket.CloseCode(err) != websocket.CodeAbnormal {
		t.Errorf("Send: %v", err)
	}
}

func TestSendOverTLS(t *testing.T) {
	conns := make(chan *Conn, 1)
	s := &Server{Handler: Handler{Open: func(c *Conn) { conns <- c }}}
	addr, config := serveTLS(t, s)
	client := dialTLS(t, addr, config, websocket.ConnOptions{})
	c := await(t, conns)
	long := strings.Repeat("long ", 20<<10)
	if err := c.SendPrepared(prepare(t, "one"), prepare(t, long), prepare(t, "three")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", long, "three"} {
		if m, err := client.Read(bounded(t)); err != nil || string(m.Data) != want {
			t.Errorf("read %.20q, %v", m.Data, err)
		}
	}
}

// What a Send has begun goes on when the peer reads, also if a later message of the same call had no room any more: nothing
// else wakes the connection here.
func TestSendStallsInTheMiddle(t *testing.T) {
	conns := make(chan *Conn, 1)
	s := &Server{Handler: Handler{Open: func(c *Conn) { conns <- c }}}
	s.Options.Conn.PingInterval = -1
	s.Options.Conn.WriteQueue = websocket.WriteQueue{Bytes: 64 << 10, Full: websocket.QueueDropNewest}
	p := upgraded(t, serve(t, s))
	c := await(t, conns)
	large := strings.Repeat("large", 2<<20)
	full := strings.Repeat("x", 64<<10)
	if err := c.SendPrepared(prepare(t, large), prepare(t, full), prepare(t, "no room")); !errors.Is(err, websocket.ErrQueueFull) {
		t.Fatalf("got %v", err)
	}
	p.expect(frame.Text, large)
	p.expect(frame.Text, full)
	if err := c.SendPrepared(prepare(t, "later")); err != nil {
		t.Fatal(err)
	}
	p.expect(frame.Text, "later")
}
