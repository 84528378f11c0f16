package websocket

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/loop"
)

// evLimitedKernel is a kernel that accepts a limited number of bytes for its only client.
type evLimitedKernel struct {
	*looptest.Fake
	s        evServer
	client   *looptest.Conn
	conn     *eventConn
	accepts  int
	writes   int
	ended    []error
	received int // number of messages received
}

func (k *evLimitedKernel) Write(fd int, p []byte) (int, error) {
	k.writes++
	n := min(len(p), k.accepts)
	if n == 0 && len(p) > 0 {
		return 0, loop.ErrAgain
	}
	k.accepts -= n
	return k.Fake.Write(fd, p[:n])
}

func (k *evLimitedKernel) Writev(fd int, p [2][]byte) (int, error) {
	return k.Write(fd, []byte(string(p[0])+string(p[1])))
}

// play makes the kernel accept further bytes, accepts in number, and runs the loop.
func (k *evLimitedKernel) play(accepts int) {
	k.accepts = accepts
	k.client.Full = false
	for range 20 {
		k.s.ls.Turn()
		if k.accepts == 0 {
			k.client.Full = true
		}
	}
	k.accepts, k.client.Full = 0, true
	k.Play(k.s.ls.Loops)
}

// evLimited returns an open connection whose peer reads nothing. limit is that of the send queue in bytes. The server echoes
// messages if echo is set.
func evLimited(t *testing.T, limit int, echo bool) *evLimitedKernel {
	t.Helper()
	k := &evLimitedKernel{Fake: looptest.New(t, nil), accepts: 1 << 20}
	k.s.Options = evQueueOf(limit)
	k.s.Options.Conn.QueueFull = QueueDropNewest
	k.s.Handler = evHandler{
		Open: func(c *eventConn) { k.conn = c },
		Message: func(c *eventConn, m Message) {
			k.received++
			if echo {
				c.Send(m)
			}
		},
		Close: func(_ *eventConn, err error) { k.ended = append(k.ended, err) },
	}
	k.s.manual(t, k)
	k.client = k.Fake.Client(evHello)
	k.Play(k.s.ls.Loops)
	if k.conn == nil {
		t.Fatal("the connection is not open")
	}
	k.client.Out = nil
	k.play(0)
	return k
}

// fill sends up to n frames of size bytes until one is refused, and returns how many were accepted.
func (k *evLimitedKernel) fill(size, n int) (accepted int, err error) {
	for accepted < n {
		if err = k.conn.Send(Message{Type: Binary, Data: make([]byte, size-2)}); err != nil {
			return accepted, err
		}
		if accepted++; accepted == 1 {
			k.Play(k.s.ls.Loops) // the socket is full, so the limit applies from now on
		}
	}
	return accepted, nil
}

// The limit applies to the bytes that are queued after a frame that the kernel has partly accepted, since such a frame can no longer
// be dropped.
func TestEventQueueBehindAPartOfAFrame(t *testing.T) {
	const size, most = 100, 1000 // a message of 98 bytes may become a frame of 112: it fits while 888 bytes wait
	for _, tt := range []struct {
		takes, waits int // out of 900 bytes in nine frames
		more         int // number of messages that fit afterwards
	}{
		{0, 900, 0},
		{10, 890, 1},  // 800 bytes are queued behind the first frame
		{100, 800, 1}, // the first frame, and nothing of the second
		{101, 799, 2}, // 700 bytes are queued behind the second frame
		{199, 701, 2},
		{450, 450, 5},
		{900, 0, 9},
	} {
		k := evLimited(t, most, false)
		if n, err := k.fill(size, 20); n != 9 || !errors.Is(err, ErrQueueFull) {
			t.Fatalf("%d messages fit, %v", n, err)
		}
		k.play(tt.takes)
		if n := k.conn.Buffered(); n != tt.waits || len(k.client.Out) != tt.takes {
			t.Errorf("%d bytes accepted: %d wait, %d were sent", tt.takes, n, len(k.client.Out))
		}
		if n, err := k.fill(size, 20); n != tt.more || !errors.Is(err, ErrQueueFull) {
			t.Errorf("%d bytes accepted: then %d messages fit, %v; want %d", tt.takes, n, err, tt.more)
		}
		k.play(1 << 20)
		if n := k.conn.Buffered(); n != 0 || len(k.client.Out) != (9+tt.more)*size {
			t.Errorf("%d bytes accepted: %d wait in the end, %d were sent", tt.takes, n, len(k.client.Out))
		}
		for b := k.client.Out; len(b) > 0; b = b[size:] {
			if h, n, err := frame.Parse(b); err != nil || h.Opcode != frame.Binary || n+int(h.Length) != size {
				t.Fatalf("%d bytes accepted: the stream holds %+v, %v", tt.takes, h, err)
			}
		}
	}
}

// A large message is passed to the kernel without a copy. Its remainder is treated as a partly sent frame.
func TestEventQueueBehindAPartOfALargeFrame(t *testing.T) {
	const size = maxCopied + 100
	for _, before := range []int{0, 2} { // the number of frames of 100 bytes before the large one
		for _, prepared := range []bool{false, true} {
			for _, takes := range []int{1, 50, 100, 150, 199, 201, 204, 205, 1000, size} {
				k := evLimited(t, 1000, false)
				k.accepts, k.client.Full = takes, false
				for range before {
					k.conn.inbox.outbox.link.fd.Lock()
					k.conn.inbox.outbox.corked = true // no bytes are sent before the large message
					k.conn.inbox.outbox.link.fd.Unlock()
					if err := k.conn.Send(Message{Type: Binary, Data: make([]byte, 98)}); err != nil {
						t.Fatal(err)
					}
				}
				m := Message{Type: Binary, Data: []byte(strings.Repeat("x", size-4))}
				var err error
				if prepared {
					p, bad := Prepare(m)
					if bad != nil {
						t.Fatal(bad)
					}
					err = k.conn.SendPrepared(p)
				} else {
					err = k.conn.Send(m)
				}
				k.conn.inbox.outbox.link.fd.Lock()
				k.conn.inbox.outbox.corked = false
				waits, left := k.conn.inbox.outbox.waiting(), k.conn.inbox.outbox.queued()
				k.conn.inbox.outbox.scheduleFlush()
				k.conn.inbox.outbox.link.fd.Unlock()
				if err != nil || left != before*100+size-takes {
					t.Fatalf("%d frames before, %d bytes accepted: %d wait, %v", before, takes, left, err)
				}
				want := left
				for begins, i := 0, 0; i <= before; i++ {
					end := begins + 100
					if i == before {
						end = begins + size
					}
					if begins < takes && takes < end {
						want = left - (end - takes)
					}
					begins = end
				}
				if waits != want {
					t.Errorf("%d frames before, %d bytes accepted, prepared %v: %d of %d may be dropped, want %d", before, takes, prepared, waits, left, want)
				}
				k.play(1 << 20)
				if n := len(k.client.Out); n != before*100+size || k.conn.Buffered() != 0 {
					t.Errorf("%d frames before, %d bytes accepted: %d were sent in the end", before, takes, n)
				}
			}
		}
	}
}

// The loop stops reading from a connection when more than half of the queue limit is in use, and resumes at a quarter.
func TestEventPauseAndResume(t *testing.T) {
	const size, most = 100, 800
	one := evMasked(frame.Binary, true, strings.Repeat("x", size-2))
	k := evLimited(t, most, true)
	reads := func(when string, want bool) {
		t.Helper()
		if got := k.client.Armed&loop.Readable != 0; got != want {
			t.Errorf("%s: armed for reading: %v; %d bytes wait", when, got, k.conn.Buffered())
		}
	}
	for i := 1; i <= 5; i++ {
		k.client.In = append(k.client.In, one...)
		k.Play(k.s.ls.Loops)
		if n := k.conn.Buffered(); n != i*size {
			t.Fatalf("%d bytes wait for %d messages", n, i)
		}
		reads("as it fills", i < 5) // half of the limit is 400 bytes
	}
	k.client.In = append(k.client.In, one...)
	k.Play(k.s.ls.Loops)
	if k.received != 5 {
		t.Errorf("%d messages were read", k.received)
	}
	k.play(2 * size)
	reads("with 300 bytes", false)
	k.play(size - 1)
	reads("with 201 bytes, 200 of which could be dropped", true)
	if k.received != 6 {
		t.Errorf("%d messages were read", k.received)
	}
	k.play(1 << 20)
	if n := len(k.client.Out); n != 6*size {
		t.Errorf("%d bytes were sent", n)
	}
	reads("when everything was sent", true)
}

// Closing a connection that is already closing sends no second close frame and returns no error, and CloseNow does not wait.
func TestEventCloseOfAnEndingConnection(t *testing.T) {
	for name, begin := range map[string]func(*evLimitedKernel){
		"closed by this end": func(k *evLimitedKernel) { k.conn.Shut(4000, "first") },
		"closed by the peer": func(k *evLimitedKernel) { k.client.In = []byte(evMasked(frame.Close, true, "\x0f\xa0first")) },
		"a violation":        func(k *evLimitedKernel) { k.client.In = []byte("\x81\x01x") },
	} {
		k := evLimited(t, 1000, false)
		begin(k)
		k.play(1 << 20)
		out := string(k.client.Out)
		if strings.Count(out, "\x88") != 1 || len(k.ended) != 0 || k.client.Gone {
			t.Fatalf("%s: %q, ended %v", name, out, k.ended)
		}
		begun := k.Clock
		for _, code := range []Code{4001, 1006} {
			if err := k.conn.Shut(code, "again"); err != nil {
				t.Errorf("%s: the second Shut: %v", name, err)
			}
		}
		k.play(1 << 20)
		if string(k.client.Out) != out || len(k.ended) != 0 {
			t.Errorf("%s: after the second Shut the peer got %q", name, k.client.Out)
		}
		if err := k.conn.Send(Message{Type: Text}); CloseCode(err) == 0 {
			t.Errorf("%s: Send: %v", name, err)
		}
		for range 2 {
			if err := k.conn.CloseNow(); err != nil {
				t.Errorf("%s: CloseNow: %v", name, err)
			}
			k.play(1 << 20)
		}
		if len(k.ended) != 1 || !k.client.Gone || k.Clock != begun || string(k.client.Out) != out {
			t.Errorf("%s: after CloseNow ended %v, gone %v, after %v", name, k.ended, k.client.Gone, k.Clock-begun)
		}
		if err := k.conn.Shut(4002, ""); err != nil {
			t.Errorf("%s: Shut of an ended connection: %v", name, err)
		}
		if n := k.conn.Buffered(); n != 0 {
			t.Errorf("%s: %d bytes wait", name, n)
		}
	}
}

// evBroken is a kernel whose writes fail once broken is set, while reads continue to work.
type evBroken struct {
	*looptest.Fake
	broken error
}

func (k *evBroken) Write(fd int, p []byte) (int, error) {
	if k.broken != nil {
		return 0, k.broken
	}
	return k.Fake.Write(fd, p)
}

func (k *evBroken) Writev(fd int, p [2][]byte) (int, error) {
	return k.Write(fd, []byte(string(p[0])+string(p[1])))
}

// TestEventWriteThatFails checks, for each way of writing, that the next message is rejected with the error of the failed write,
// and that the connection ends with that error.
func TestEventWriteThatFails(t *testing.T) {
	short, long := Message{Binary, []byte("short")}, Message{Binary, make([]byte, 2*maxCopied)}
	prepare := func(m Message) *Prepared {
		p, err := Prepare(m)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, send := range map[string]func(c *eventConn){
		"a short message":           func(c *eventConn) { c.Send(short) },
		"a long message":            func(c *eventConn) { c.Send(long) },
		"a long one after a short":  func(c *eventConn) { c.Send(short); c.Send(long) },
		"a prepared one":            func(c *eventConn) { c.SendPrepared(prepare(short)) },
		"a long prepared one":       func(c *eventConn) { c.SendPrepared(prepare(long)) },
		"a prepared one after both": func(c *eventConn) { c.SendPrepared(prepare(short), prepare(short), prepare(long)) },
	} {
		k := &evBroken{Fake: looptest.New(t, nil)}
		var conn *eventConn
		var ended []error
		s := evServer{Handler: evHandler{
			Open:  func(c *eventConn) { conn = c },
			Close: func(_ *eventConn, err error) { ended = append(ended, err) },
		}}
		s.manual(t, k)
		c := k.Client(evHello)
		k.Play(s.ls.Loops)
		k.broken = errors.New("broken")
		send(conn)
		k.Play(s.ls.Loops)
		if err := conn.Send(short); !errors.Is(err, k.broken) || conn.Buffered() != 0 {
			t.Errorf("%s: the next message: %v; %d bytes wait", name, err, conn.Buffered())
		}
		begun := k.Clock
		k.Pass(s.ls.Loops, 1)
		k.Play(s.ls.Loops)
		if d := k.Clock - begun; len(ended) != 1 || !errors.Is(ended[0], k.broken) || !c.Gone || d > 6*time.Second {
			t.Errorf("%s: ended %v, gone %t, after %v", name, ended, c.Gone, d)
		}
	}
}

// TestEventCloseOfAPausedConnection checks that the peer's data, including its close frame, is read although the peer does not
// read.
func TestEventCloseOfAPausedConnection(t *testing.T) {
	k := evLimited(t, 1000, false)
	k.fill(100, 6)
	if k.client.Armed&loop.Readable != 0 {
		t.Fatal("the connection is not paused")
	}
	if err := k.conn.Shut(4000, "first"); err != nil {
		t.Fatal(err)
	}
	k.client.In = []byte(evText("late") + evMasked(frame.Close, true, "\x0f\xa0first"))
	k.Play(k.s.ls.Loops)
	if n := len(k.client.In); n != 0 || k.received != 0 {
		t.Errorf("%d bytes are unread, %d messages were handled", n, k.received)
	}
	k.play(1 << 20)
	k.client.EOF = true
	k.Play(k.s.ls.Loops)
	if e, ok := k.ended[0].(*CloseError); len(k.ended) != 1 || !ok || e.Code != 4000 || e.Err != nil || len(k.client.Out) < 600 {
		t.Errorf("ended with %v; %d bytes were sent", k.ended, len(k.client.Out))
	}
}

// TestEventPauseInABatch checks that a connection is not read if another connection's Receiver has filled the queue of the first
// one, even if the first one was readable when the batch began.
func TestEventPauseInABatch(t *testing.T) {
	k := looptest.New(t, nil)
	var conns []*eventConn
	s := evServer{Options: evQueueOf(1000), Handler: evHandler{
		Open: func(c *eventConn) { conns = append(conns, c) },
		Message: func(c *eventConn, m Message) {
			for c == conns[0] && conns[1].Buffered() < 600 {
				conns[1].Send(m)
			}
		},
	}}
	s.manual(t, k)
	one, other := k.Client(evHello), k.Client(evHello)
	k.Play(s.ls.Loops)
	other.Full = true
	if err := conns[1].Send(Message{Type: Text}); err != nil {
		t.Fatal(err)
	}
	k.Play(s.ls.Loops)
	one.In, other.In = []byte(evText(strings.Repeat("x", 100))), []byte(evText("unread"))
	k.Play(s.ls.Loops)
	if n := conns[1].Buffered(); n < 600 || len(other.In) == 0 {
		t.Errorf("%d bytes wait, %d are unread", n, len(other.In))
	}
	other.Full = false
	k.Play(s.ls.Loops)
	if n := conns[1].Buffered(); n != 0 || len(other.In) != 0 {
		t.Errorf("%d bytes wait in the end, %d are unread", n, len(other.In))
	}
	for _, c := range conns {
		c.CloseNow()
	}
	k.Play(s.ls.Loops)
}

// TestEventWaitsInLittleMemory checks that data deferred to the end of a batch does not retain the buffer that a visit borrows.
func TestEventWaitsInLittleMemory(t *testing.T) {
	k := looptest.New(t, nil)
	var conns []*eventConn
	waited := 0
	s := evServer{Handler: evHandler{
		Open: func(c *eventConn) { conns = append(conns, c) },
		Message: func(c *eventConn, m Message) {
			for _, to := range conns {
				to.Send(m)
			}
			if out := conns[0].inbox.outbox.out; c == conns[1] && out.size() > 0 {
				waited++
				if cap(out.b) >= corkSize {
					t.Errorf("%d bytes wait in a buffer of %d", out.size(), cap(out.b))
				}
			}
		},
	}}
	s.manual(t, k)
	one, other := k.Client(evHello), k.Client(evHello)
	k.Play(s.ls.Loops)
	one.In, other.In, one.Out = []byte(evText("one")), []byte(evText("other")), nil
	k.Play(s.ls.Loops)
	if want := "\x81\x03one\x81\x05other"; waited != 1 || string(one.Out) != want {
		t.Errorf("data waited %d times, %q was sent", waited, one.Out)
	}
	for _, c := range conns {
		c.CloseNow()
	}
	k.Play(s.ls.Loops)
}

// TestEventEndFreesItsMemory checks that a connection that has ended holds no queued data, no incomplete message, and no unparsed
// bytes.
func TestEventEndFreesItsMemory(t *testing.T) {
	for name, in := range map[string]string{
		"an incomplete message": evMasked(frame.Text, false, "half"),
		"unparsed bytes":        strings.Repeat(evText(strings.Repeat("x", 100)), 10),
	} {
		k := evLimited(t, 1000, true)
		k.fill(100, 3)
		k.client.In = []byte(in)
		k.Play(k.s.ls.Loops)
		if c := k.conn; c.inbox.outbox.out == nil || c.inbox.msg == nil && c.inbox.outbox.link.rest() == nil {
			t.Fatalf("%s: nothing is held", name)
		}
		k.conn.CloseNow()
		k.Play(k.s.ls.Loops)
		if c := k.conn; c.inbox.outbox.out != nil || c.inbox.msg != nil || c.inbox.outbox.link.rest() != nil || c.Buffered() != 0 || len(k.ended) != 1 {
			t.Errorf("%s: held at the end: %v, %v, %v; %d bytes", name, c.inbox.outbox.out, c.inbox.msg, c.inbox.outbox.link.rest(), c.Buffered())
		}
	}
}

// TestEventNothingIsHandledAfterCloseNow checks that the frames after a message whose Receiver calls CloseNow are ignored.
func TestEventNothingIsHandledAfterCloseNow(t *testing.T) {
	for name, behind := range map[string]string{
		"a message":     evText("more"),
		"a ping":        evMasked(frame.Ping, true, "?"),
		"a close frame": evMasked(frame.Close, true, "\x03\xe8"),
		"a violation":   "\x81\x01x",
	} {
		heard := 0
		k := looptest.New(t, nil)
		s := evServer{Handler: evHandler{Message: func(c *eventConn, _ Message) { heard++; c.CloseNow() }}}
		s.manual(t, k)
		c := k.Client(evHello)
		k.Play(s.ls.Loops)
		c.In, c.Out = []byte(evText("one")+behind), nil
		k.Play(s.ls.Loops)
		if heard != 1 || len(c.Out) > 0 || !c.Gone {
			t.Errorf("%s: %d messages were handled, %q was sent; gone: %t", name, heard, c.Out, c.Gone)
		}
	}
}

// If the peer does not reply to a close frame, the connection is closed after a time limit, whatever else the peer sends.
func TestEventEndingHasItsTime(t *testing.T) {
	for name, tt := range map[string]struct {
		begin func(*evLimitedKernel)
		code  Code
		time  time.Duration
	}{
		"closed by this end": {func(k *evLimitedKernel) { k.conn.Shut(4000, "first") }, 4000, 5 * time.Second},
		"closed by the peer": {func(k *evLimitedKernel) { k.client.In = []byte(evMasked(frame.Close, true, "\x0f\xa0first")) }, 4000, afterClose},
		"a violation":        {func(k *evLimitedKernel) { k.client.In = []byte("\x81\x01x") }, CodeProtocolError, 5 * time.Second},
	} {
		k := evLimited(t, 1000, false)
		tt.begin(k)
		k.play(1 << 20)
		begun := k.Clock
		k.Pass(k.s.ls.Loops, 2)
		k.Play(k.s.ls.Loops)
		if len(k.ended) != 1 || CloseCode(k.ended[0]) != tt.code || !k.client.Gone {
			t.Errorf("%s: ended %v", name, k.ended)
		}
		if d := k.Clock - begun; d < tt.time || d > tt.time+40*time.Millisecond {
			t.Errorf("%s: after %v, want %v", name, d, tt.time)
		}
		k = evLimited(t, 1000, false)
		tt.begin(k)
		k.play(1 << 20)
		begun = k.Clock
		for !k.client.Gone && k.Clock < begun+time.Minute {
			k.Clock += tt.time / 5
			k.client.In = []byte(evText("more"))
			k.Play(k.s.ls.Loops)
		}
		if d := k.Clock - begun; d > tt.time*6/5 || len(k.ended) != 1 || CloseCode(k.ended[0]) != tt.code {
			t.Errorf("%s, and more is sent: after %v, want %v; ended %v", name, d, tt.time, k.ended)
		}
	}
}
