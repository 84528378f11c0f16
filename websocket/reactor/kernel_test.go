package reactor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
)

const hello = request + "\r\n"

func text(s string) string { return masked(frame.Text, true, s) }

// repeat returns a script of n times the same byte.
func repeat(b byte, n int) []byte { return []byte(strings.Repeat(string([]byte{b}), n)) }

func TestKernelThatIsDifficult(t *testing.T) {
	stream := hello + text("one") + masked(frame.Binary, false, "tw") + masked(frame.Continuation, true, "o") + text("close")
	for name, script := range map[string][]byte{
		"easy":                    nil,
		"one byte at a time":      repeat(1, 4000),
		"nothing for a long time": append(repeat(15, 100), repeat(2, 300)...),
		"interrupted waits":       repeat(7, 500),
		"wakes without cause":     slices.Concat(repeat(6, 100), repeat(14, 300)),
	} {
		t.Run(name, func(t *testing.T) {
			p := perform(t, newFake(t, script), &Server{})
			c := p.client(stream)
			p.play(t)
			if got := strings.Join(p.log, ", "); got != `open, text "one", binary "two", text "close"` {
				t.Errorf("the handler saw %s", got)
			}
			if want := "\x81\x03one\x82\x03two\x81\x05close\x88\x02\x0f\xa0"; !strings.HasSuffix(string(c.out), "\r\n\r\n"+want) {
				t.Errorf("the client got %q", c.out)
			}
			c.in = []byte(masked(frame.Close, true, "\x0f\xa0"))
			p.play(t)
			if !c.gone || p.log[len(p.log)-1] != "close 4000" || p.Len() != 0 {
				t.Errorf("it is not closed: %q", p.log)
			}
		})
	}
}

func TestConnectionsThatBreak(t *testing.T) {
	for name, c := range map[string]struct {
		client fakeConn
		log    string
	}{
		"reset before the request":  {fakeConn{reset: true}, ""},
		"end before the request":    {fakeConn{eof: true}, ""},
		"end inside the request":    {fakeConn{in: []byte(request), eof: true}, ""},
		"end after a message":       {fakeConn{in: []byte(hello + text("x")), eof: true}, `open, text "x", close 1006 abnormal closure`},
		"end after its close frame": {fakeConn{in: []byte(hello + masked(frame.Close, true, "\x03\xe8")), eof: true}, "open, close 1000 normal closure"},
	} {
		t.Run(name, func(t *testing.T) {
			p := perform(t, newFake(t, nil), &Server{})
			p.k.queue = append(p.k.queue, &c.client)
			p.play(t)
			if got := strings.Join(p.log, ", "); got != c.log || !c.client.gone || p.Len() != 0 {
				t.Errorf("the handler saw %q, closed: %v", got, c.client.gone)
			}
		})
	}
}

// A write finds that the peer is gone; what the peer said before lies unread, and explains it.
func TestCloseFrameBehindAWriteThatFails(t *testing.T) {
	p := perform(t, newFake(t, nil), &Server{})
	c := p.client(hello)
	p.play(t)
	conn := p.l.slots[0]
	conn.mu.Lock()
	conn.writeFailed(errReset)
	conn.mu.Unlock()
	c.in = []byte(masked(frame.Close, true, "\x0f\xa1"))
	p.play(t)
	if got := strings.Join(p.log, ", "); got != "open, close 4001" || !c.gone {
		t.Errorf("the handler saw %q", got)
	}
}

// What comes behind a close frame is read before the descriptor is closed, so that the kernel does not reset the connection.
func TestCloseFrameWithBytesBehind(t *testing.T) {
	p := perform(t, newFake(t, nil), &Server{})
	c := p.client(hello + masked(frame.Close, true, "\x0f\xa1") + strings.Repeat("x", 3*readSize))
	p.play(t)
	if got := strings.Join(p.log, ", "); got != "open, close 4001" || !c.gone || len(c.in) > 0 {
		t.Errorf("the handler saw %q; %d bytes lie unread", got, len(c.in))
	}
}

func TestNoDescriptorsIsAPause(t *testing.T) {
	p := perform(t, newFake(t, nil), &Server{})
	p.k.poor = 1
	c := p.client(hello)
	begun := p.k.clock
	p.play(t)
	p.wait(1)
	p.play(t)
	if len(p.log) != 1 || p.k.clock-begun < pauseFor || p.k.clock-begun > pauseFor+2*tick || p.k.listen != readable {
		t.Errorf("after %v the handler saw %q", p.k.clock-begun, p.log)
	}
	c.eof = true
	p.play(t)
}

func TestPausedPeer(t *testing.T) {
	p := perform(t, newFake(t, nil), &Server{Options: queueOf(1000)})
	var in strings.Builder
	for range 100 {
		in.WriteString(text(strings.Repeat("x", 100)))
	}
	c := p.client(hello)
	p.play(t)
	c.full = true
	for range 10 { // as they arrive
		c.in = append(c.in, in.String()[:106*10]...)
		p.play(t)
	}
	conn := p.l.slots[0]
	if n := conn.queued(); n > 1000+106*10 || n < 500 || c.armed&readable != 0 {
		t.Errorf("%d bytes are queued, waiting for %b", n, c.armed)
	}
	p.k.script = repeat(50, 400) // it takes a little at a time
	c.full = false
	p.play(t)
	c.eof = true
	p.play(t)
	if len(p.log) != 102 || !c.gone {
		t.Errorf("the handler saw %d events", len(p.log))
	}
}

func TestDeadlinesOnTheWheel(t *testing.T) {
	l := newLoop(new(Server), newFake(t, nil))
	l.wheel.now = 1000
	var conns []*Conn
	for _, at := range []uint32{1001, 1001, 1500, 2023, 2024, 2025, 5000} {
		c := new(Conn)
		l.add(c)
		l.schedule(c, at)
		conns = append(conns, c)
	}
	l.unschedule(conns[1])
	l.schedule(conns[2], 1499)
	fired := map[uint32]int{}
	for now, turns := uint32(1000), 0; turns < 50; turns++ {
		at, ok := l.nextDue()
		if !ok {
			break
		}
		if at <= now {
			t.Fatalf("due at %d, and it is %d", at, now)
		}
		now = at
		fired[now] += len(l.expire(now, nil))
	}
	delete(fired, 3048-1024) // the first turn of what is due later finds nothing
	for at, n := range fired {
		if n == 0 {
			delete(fired, at)
		}
	}
	want := map[uint32]int{1001: 1, 1499: 1, 2023: 1, 2025: 1, 5000: 1}
	for at, n := range want {
		if fired[at] != n {
			t.Errorf("at %d %d connections are due, want %d: %v", at, fired[at], n, fired)
		}
	}
	if used := l.wheel.used; used != [buckets / 64]uint64{} {
		t.Errorf("buckets are in use: %x", used)
	}
}

func TestHandshakeAndKeepaliveByTheWheel(t *testing.T) {
	p := perform(t, newFake(t, nil), &Server{})
	begun := p.k.clock
	silent, open := p.client(""), p.client(hello)
	p.play(t)
	p.wait(200)
	if !silent.gone || !open.gone {
		t.Fatal("silent peers are still there")
	}
	if got := strings.Join(p.log, ", "); got != "open, close 1006 abnormal closure" || !strings.HasSuffix(string(open.out), "\r\n\r\n\x89\x00") {
		t.Errorf("the handler saw %s, the client %q", got, open.out)
	}
	if d := p.k.clock - begun; d < 50*time.Second || d > 51*time.Second {
		t.Errorf("it took %v", d)
	}
}

// FuzzKernel holds together what a difficult kernel and an easy one make of the same bytes, and has connections break
// wherever the script says.
func FuzzKernel(f *testing.F) {
	f.Add([]byte(text("a")+masked(frame.Ping, true, "p")+text("close")), []byte("\x01\x02\x0f\x06\x07\x03"), false)
	f.Add([]byte(masked(frame.Close, true, "\x03\xe8")), []byte("\xff"), true)
	f.Add([]byte(text(strings.Repeat("x", 3000))), []byte{1, 255, 15, 31, 7, 6, 3, 255}, true)
	f.Add([]byte("\x81\x01x"), []byte{0, 0, 1}, false)
	f.Add([]byte(text("send me")+text("a")+text("send "+strings.Repeat("x", 20000))), []byte("\x01\x02\x0f\x06\x07\x03"), false)
	f.Fuzz(func(t *testing.T, in, script []byte, errs bool) {
		run := func(script []byte, errs bool) (*theatre, *fakeConn) {
			p := perform(t, newFake(t, script), &Server{Options: queueOf(1 << 20)})
			p.k.errs = errs
			c := p.client(hello + string(in))
			p.play(t)
			before := *c
			c.eof = true
			p.play(t)
			p.wait(100) // ends what does not end by itself
			if !c.gone || p.Len() != 0 {
				t.Fatalf("the connection does not end: %+v, %q", c, p.log)
			}
			opens, closes := count(p.log, "open"), count(p.log, "close ")
			if opens > 1 || opens != closes || closes == 1 && !strings.HasPrefix(p.log[len(p.log)-1], "close ") {
				t.Fatalf("the handler saw %q", p.log)
			}
			c.out = before.out
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
		if string(got.out) != string(want.out) {
			t.Errorf("the client got %q, of an easy kernel %q", got.out, want.out)
		}
	})
}

func count(log []string, prefix string) (n int) {
	for _, s := range log {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}
