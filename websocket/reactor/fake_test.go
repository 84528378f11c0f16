package reactor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

// fake is a kernel that a test plays. Its script says, a byte at a time, what the next call does; when the script is
// over, all goes well. It checks what it is asked: nothing for a descriptor that is closed.
type fake struct {
	t      testing.TB
	script []byte
	errs   bool // the script may break connections
	clock  time.Duration
	conns  map[int]*fakeConn
	queue  []*fakeConn // not accepted yet
	next   int         // descriptor
	stale  []uint64    // tokens of descriptors that are closed
	poor   int         // accepts that fail for want of descriptors
	listen readiness
	quiet  bool // a wait found that nothing will come before a deadline
	ticks  bool // then the deadline comes
	wakes  int
}

// fakeConn is one end of a connection, the client's.
type fakeConn struct {
	in    []byte // what the server will read
	eof   bool
	reset bool
	full  bool // the server can write nothing
	out   []byte
	half  bool // the server has closed its direction
	gone  bool // and the descriptor
	token uint64
	armed readiness
}

const listenerOf = 3

// queueOf bounds what waits for a peer.
func queueOf(bytes int) (o websocket.AcceptOptions) {
	o.Conn.WriteQueue.Bytes = bytes
	return o
}

func newFake(t testing.TB, script []byte) *fake {
	return &fake{t: t, script: script, conns: map[int]*fakeConn{}, next: 10, clock: time.Hour}
}

// roll takes a byte of the script; 0 when it is over.
func (k *fake) roll() byte {
	if len(k.script) == 0 {
		return 0
	}
	b := k.script[0]
	k.script = k.script[1:]
	return b
}

func (k *fake) conn(fd int) *fakeConn {
	c := k.conns[fd]
	if c == nil || c.gone {
		k.t.Fatalf("a call for descriptor %d, which is closed", fd)
	}
	return c
}

func (k *fake) wait(events []event, timeout time.Duration) (int, error) {
	n := 0
	add := func(token uint64, r readiness) {
		if n < len(events) {
			events[n] = event{token, r}
			n++
		}
	}
	k.quiet = false
	if k.roll()%8 == 7 {
		return 0, nil // interrupted
	}
	idle := len(k.queue) == 0 || k.listen&readable == 0
	if len(k.queue) > 0 && k.listen&readable != 0 {
		add(listenBit, readable)
	}
	for fd := 10; fd < k.next; fd++ { // in order: the test is to be repeatable
		c := k.conns[fd]
		if c.gone {
			continue
		}
		var r readiness
		if c.armed&readable != 0 && (len(c.in) > 0 || c.eof || c.reset || k.roll()%8 == 6) {
			r |= readable
		}
		if c.armed&writable != 0 && (!c.full || c.reset) {
			idle = false
			if k.roll()%4 != 3 {
				r |= writable
			}
		}
		if c.reset {
			r |= hangup
		}
		if r != 0 {
			if c.armed&once != 0 {
				c.armed = once
			}
			add(c.token, r)
		}
	}
	for _, token := range k.stale {
		add(token, readable|writable)
	}
	k.stale = nil
	if n == 0 && idle && timeout != 0 {
		k.quiet = true
		if k.ticks && timeout > 0 {
			k.clock += timeout
		}
	}
	return n, nil
}

func (k *fake) wake() { k.wakes++ }

func (k *fake) arm(fd int, token uint64, interest readiness, first bool) error {
	if fd == listenerOf {
		k.listen = interest
		return nil
	}
	c := k.conn(fd)
	if first != (c.token == 0) {
		k.t.Fatalf("descriptor %d is armed for the first time: %v, twice", fd, first)
	}
	c.token, c.armed = token, interest
	return nil
}

func (k *fake) accept(int) (int, error) {
	if k.poor > 0 {
		k.poor--
		return 0, errNoDescriptors
	}
	if len(k.queue) == 0 {
		return 0, errAgain
	}
	fd := k.next
	k.next++
	k.conns[fd] = k.queue[0]
	k.queue = k.queue[1:]
	return fd, nil
}

var errReset = errors.New("reset by the script")

func (k *fake) read(fd int, p []byte) (int, error) {
	c := k.conn(fd)
	r := k.roll()
	if k.errs && r == 255 || c.reset {
		c.reset = true
		return 0, errReset
	}
	switch {
	case len(c.in) == 0 && c.eof:
		return 0, io.EOF
	case len(c.in) == 0 || r%16 == 15:
		return 0, errAgain
	}
	n := min(len(c.in), len(p))
	if r > 0 {
		n = min(n, int(r))
	}
	copy(p, c.in[:n])
	c.in = c.in[n:]
	return n, nil
}

func (k *fake) write(fd int, p []byte) (int, error) {
	c := k.conn(fd)
	r := k.roll()
	if k.errs && r == 255 || c.reset {
		c.reset = true
		return 0, errReset
	}
	if c.full || r%16 == 15 {
		return 0, errAgain
	}
	n := len(p)
	if r > 0 {
		n = min(n, int(r))
	}
	c.out = append(c.out, p[:n]...)
	return n, nil
}

func (k *fake) writev(fd int, p [2][]byte) (int, error) {
	return k.write(fd, []byte(string(p[0])+string(p[1])))
}

func (k *fake) closeWrite(fd int) { k.conn(fd).half = true }

func (k *fake) close(fd int) {
	if fd != listenerOf {
		c := k.conn(fd)
		c.gone = true
		k.stale = append(k.stale, c.token)
	}
}

func (k *fake) peer(int) net.Addr  { return &net.TCPAddr{} }
func (k *fake) local(int) net.Addr { return &net.TCPAddr{} }
func (k *fake) now() time.Duration { return k.clock }
func (k *fake) release()           {}

// echo is a handler that sends back what comes.
var echo = Handler{Message: func(c *Conn, m websocket.Message) { c.Send(m) }}

// theatre is a server whose only loop a test turns by hand.
type theatre struct {
	*Server
	k   *fake
	l   *loop
	d   *driver
	log []string
}

// perform makes a server on k that echoes and logs.
func perform(t testing.TB, k *fake, s *Server) *theatre {
	t.Helper()
	p := &theatre{Server: s, k: k}
	s.Handler = Handler{
		Open: func(*Conn) { p.log = append(p.log, "open") },
		Message: func(c *Conn, m websocket.Message) {
			p.log = append(p.log, fmt.Sprintf("%v %q", m.Type, m.Data))
			if shared, err := websocket.Prepare(m); err == nil && strings.HasPrefix(string(m.Data), "send") {
				c.SendPrepared(shared, shared)
			} else {
				c.Send(m)
			}
			if strings.HasPrefix(string(m.Data), "close") {
				c.Shut(4000, "")
			}
		},
		Close: func(_ *Conn, err error) { p.log = append(p.log, "close "+websocket.CloseCode(err).String()) },
	}
	if err := s.configure(); err != nil {
		t.Fatal(err)
	}
	p.l = newLoop(s, k)
	s.loops = []*loop{p.l}
	if err := p.l.listen(listenerOf); err != nil {
		t.Fatal(err)
	}
	p.d = newDriver(p.l)
	return p
}

// client adds a client that has sent what it will.
func (p *theatre) client(in string) *fakeConn {
	c := &fakeConn{in: []byte(in)}
	p.k.queue = append(p.k.queue, c)
	return c
}

// play turns the loop until nothing moves any more without the clock.
func (p *theatre) play(t testing.TB) {
	t.Helper()
	for range 100_000 {
		if !p.d.turn() {
			t.Fatal("the loop was lost")
		}
		if p.k.quiet {
			return
		}
	}
	t.Fatal("it does not come to rest")
}

// wait has so many deadlines come.
func (p *theatre) wait(deadlines int) {
	p.k.ticks = true
	for range deadlines {
		p.d.turn()
	}
	p.k.ticks = false
}

// request is a client's, but for the empty line at its end.
const request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// masked returns a client's frame.
func masked(op frame.Opcode, fin bool, payload string) string {
	h := frame.Header{Fin: fin, Opcode: op, Masked: true, Key: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: int64(len(payload))}
	b := frame.Append(nil, h)
	start := len(b)
	b = append(b, payload...)
	frame.Mask(b[start:], h.Key)
	return string(b)
}
