package websocket

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/loop"

	"github.com/handfast/handfast/websocket/frame"
)

const evHello = evRequest + "\r\n"

func evText(s string) string { return evMasked(frame.Text, true, s) }

// evRepeat returns a script that contains the same byte n times.
func evRepeat(b byte, n int) []byte { return []byte(strings.Repeat(string([]byte{b}), n)) }

func TestEventKernelThatIsDifficult(t *testing.T) {
	stream := evHello + evText("one") + evMasked(frame.Binary, false, "tw") + evMasked(frame.Continuation, true, "o") + evText("close")
	for name, script := range map[string][]byte{
		"easy":                    nil,
		"one byte at a time":      evRepeat(1, 4000),
		"nothing for a long time": append(evRepeat(15, 100), evRepeat(2, 300)...),
		"interrupted waits":       evRepeat(7, 500),
		"wakes without cause":     slices.Concat(evRepeat(6, 100), evRepeat(14, 300)),
	} {
		t.Run(name, func(t *testing.T) {
			p := evManual(t, looptest.New(t, script), &evServer{})
			c := p.k.Client(stream)
			p.k.Play(p.ls.Loops)
			if got := strings.Join(p.log, ", "); got != `open, text "one", binary "two", text "close"` {
				t.Errorf("the handler saw %s", got)
			}
			if want := "\x81\x03one\x82\x03two\x81\x05close\x88\x02\x0f\xa0"; !strings.HasSuffix(string(c.Out), "\r\n\r\n"+want) {
				t.Errorf("the client got %q", c.Out)
			}
			c.In, c.EOF = []byte(evMasked(frame.Close, true, "\x0f\xa0")), true
			p.k.Play(p.ls.Loops)
			if !c.Gone || p.log[len(p.log)-1] != "close 4000" || p.Len() != 0 {
				t.Errorf("the connection is not closed: %q", p.log)
			}
		})
	}
}

func TestEventConnectionsThatBreak(t *testing.T) {
	for name, c := range map[string]struct {
		client looptest.Conn
		log    string
	}{
		"reset before the request":  {looptest.Conn{Reset: true}, ""},
		"end before the request":    {looptest.Conn{EOF: true}, ""},
		"end inside the request":    {looptest.Conn{In: []byte(evRequest), EOF: true}, ""},
		"end after a message":       {looptest.Conn{In: []byte(evHello + evText("x")), EOF: true}, `open, text "x", close 1006 abnormal closure`},
		"end after its close frame": {looptest.Conn{In: []byte(evHello + evMasked(frame.Close, true, "\x03\xe8")), EOF: true}, "open, close 1000 normal closure"},
	} {
		t.Run(name, func(t *testing.T) {
			p := evManual(t, looptest.New(t, nil), &evServer{})
			p.k.Queue = append(p.k.Queue, &c.client)
			p.k.Play(p.ls.Loops)
			if got := strings.Join(p.log, ", "); got != c.log || !c.client.Gone || p.Len() != 0 {
				t.Errorf("the handler saw %q, closed: %v", got, c.client.Gone)
			}
		})
	}
}

// If a write fails because the peer is gone, the connection reports the peer's unread close frame as the cause.
func TestEventCloseFrameBehindAWriteThatFails(t *testing.T) {
	p := evManual(t, looptest.New(t, nil), &evServer{})
	c := p.k.Client(evHello)
	p.k.Play(p.ls.Loops)
	conn := p.onlyConn()
	conn.inbox.outbox.link.fd.Lock()
	conn.inbox.outbox.writeFailed(errors.New("reset"))
	conn.inbox.outbox.link.fd.Unlock()
	c.In = []byte(evMasked(frame.Close, true, "\x0f\xa1"))
	p.k.Play(p.ls.Loops)
	if got := strings.Join(p.log, ", "); got != "open, close 4001" || !c.Gone {
		t.Errorf("the handler saw %q", got)
	}
}

// Bytes after a close frame are read before the descriptor is closed, so that the kernel does not reset the connection.
func TestEventCloseFrameWithBytesBehind(t *testing.T) {
	p := evManual(t, looptest.New(t, nil), &evServer{})
	c := p.k.Client(evHello + evMasked(frame.Close, true, "\x0f\xa1") + strings.Repeat("x", 3*corkSize))
	p.k.Play(p.ls.Loops)
	p.k.Pass(p.ls.Loops, 2) // the client does not close the connection
	if got := strings.Join(p.log, ", "); got != "open, close 4001" || !c.Gone || !c.Half || len(c.In) > 0 {
		t.Errorf("the handler saw %q; %d bytes are unread", got, len(c.In))
	}
}

func TestEventNoDescriptorsIsAPause(t *testing.T) {
	p := evManual(t, looptest.New(t, nil), &evServer{})
	p.k.FailAccepts = 1
	c := p.k.Client(evHello)
	begun := p.k.Clock
	p.k.Play(p.ls.Loops)
	p.k.Pass(p.ls.Loops, 1)
	p.k.Play(p.ls.Loops)
	if len(p.log) != 1 || p.k.Clock-begun < 5*time.Millisecond || p.k.Clock-begun > 40*time.Millisecond || p.k.Listening != loop.Readable {
		t.Errorf("after %v the handler saw %q", p.k.Clock-begun, p.log)
	}
	c.EOF = true
	p.k.Play(p.ls.Loops)
}

func TestEventPausedPeer(t *testing.T) {
	p := evManual(t, looptest.New(t, nil), &evServer{Options: evQueueOf(1000)})
	var in strings.Builder
	for range 100 {
		in.WriteString(evText(strings.Repeat("x", 100)))
	}
	c := p.k.Client(evHello)
	p.k.Play(p.ls.Loops)
	c.Full = true
	for range 10 { // the bytes arrive in ten parts
		c.In = append(c.In, in.String()[:106*10]...)
		p.k.Play(p.ls.Loops)
	}
	conn := p.onlyConn()
	if n := conn.inbox.outbox.queued(); n > 1000+106*10 || n < 500 || c.Armed&loop.Readable != 0 {
		t.Errorf("%d bytes are queued, waiting for %b", n, c.Armed)
	}
	p.k.Script = evRepeat(50, 400) // the kernel accepts a few bytes at a time
	c.Full = false
	p.k.Play(p.ls.Loops)
	c.EOF = true
	p.k.Play(p.ls.Loops)
	if len(p.log) != 102 || !c.Gone {
		t.Errorf("the handler saw %d events", len(p.log))
	}
}

func TestEventHandshakeAndKeepaliveTimeouts(t *testing.T) {
	p := evManual(t, looptest.New(t, nil), &evServer{})
	begun := p.k.Clock
	silent, open := p.k.Client(""), p.k.Client(evHello)
	p.k.Play(p.ls.Loops)
	p.k.Pass(p.ls.Loops, 200)
	if !silent.Gone || !open.Gone {
		t.Fatal("silent peers are still there")
	}
	if got := strings.Join(p.log, ", "); got != "open, close 1006 abnormal closure" || !strings.HasSuffix(string(open.Out), "\r\n\r\n\x89\x00") {
		t.Errorf("the handler saw %s, the client %q", got, open.Out)
	}
	if d := p.k.Clock - begun; d < 50*time.Second || d > 51*time.Second {
		t.Errorf("the timeouts took %v", d)
	}
}

// A peer that is accepting the data in the socket's send buffer is alive, although the ping is queued behind that data.
func TestEventKeepaliveKeepsAPeerThatIsReceiving(t *testing.T) {
	p := evManual(t, looptest.New(t, nil), &evServer{})
	c := p.k.Client(evHello)
	p.k.Play(p.ls.Loops)
	c.Unsent = 1 << 20
	for range 100 {
		c.Unsent -= 1000
		p.k.Pass(p.ls.Loops, 1)
	}
	if c.Gone || len(p.log) != 1 {
		t.Fatalf("the connection was cut: %q", p.log)
	}
	begun := p.k.Clock
	p.k.Pass(p.ls.Loops, 100) // the peer accepts nothing more
	if d := p.k.Clock - begun; !c.Gone || d < 75*time.Second || d > 100*time.Second {
		t.Errorf("gone: %t; after %v: %q", c.Gone, d, p.log)
	}
}

// FuzzEventKernel passes the same bytes to a simple kernel and to a kernel that follows the script, with partial operations and
// failures, and compares the results.
func FuzzEventKernel(f *testing.F) {
	f.Add([]byte(evText("a")+evMasked(frame.Ping, true, "p")+evText("close")), []byte("\x01\x02\x0f\x06\x07\x03"), false)
	f.Add([]byte(evMasked(frame.Close, true, "\x03\xe8")), []byte("\xff"), true)
	f.Add([]byte(evText(strings.Repeat("x", 3000))), []byte{1, 255, 15, 31, 7, 6, 3, 255}, true)
	f.Add([]byte("\x81\x01x"), []byte{0, 0, 1}, false)
	f.Add([]byte(evText("send me")+evText("a")+evText("send "+strings.Repeat("x", 20000))), []byte("\x01\x02\x0f\x06\x07\x03"), false)
	f.Fuzz(func(t *testing.T, in, script []byte, errs bool) {
		run := func(script []byte, errs bool) (*evManualServer, *looptest.Conn) {
			p := evManual(t, looptest.New(t, script), &evServer{Options: evQueueOf(1 << 20)})
			p.k.Errs = errs
			c := p.k.Client(evHello + string(in))
			p.k.Play(p.ls.Loops)
			before := *c
			c.EOF = true
			p.k.Play(p.ls.Loops)
			p.k.Pass(p.ls.Loops, 100) // closes a connection that is still open
			if !c.Gone || p.Len() != 0 {
				t.Fatalf("the connection does not end: %+v, %q", c, p.log)
			}
			opens, closes := evCount(p.log, "open"), evCount(p.log, "close ")
			if opens > 1 || opens != closes || closes == 1 && !strings.HasPrefix(p.log[len(p.log)-1], "close ") {
				t.Fatalf("the handler saw %q", p.log)
			}
			c.Out = before.Out
			return p, c
		}
		easy, want := run(nil, false)
		hard, got := run(script, errs)
		if errs {
			return
		}
		if !slices.Equal(easy.log, hard.log) {
			t.Errorf("the handler saw %q, with an easy kernel %q", hard.log, easy.log)
		}
		if string(got.Out) != string(want.Out) {
			t.Errorf("the client got %q, from an easy kernel %q", got.Out, want.Out)
		}
	})
}

func evCount(log []string, prefix string) (n int) {
	for _, s := range log {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}
