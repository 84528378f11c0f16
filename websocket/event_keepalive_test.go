package websocket

import (
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/loop"
)

// A peer is accepting data if fewer bytes are unsent than at the previous check, and some remain. Only the result of the previous
// check counts.
func TestEventPeerThatAccepts(t *testing.T) {
	p := evManual(t, looptest.New(t, nil), &evServer{})
	client := p.k.Client(evHello)
	p.k.Play(p.ls.Loops)
	c := p.onlyConn()
	slow := false
	for i, tt := range []struct {
		unsent int // -1 means that the kernel does not report the number
		want   bool
	}{
		{0, false}, {-1, false}, // all data was sent
		{1000, false}, {1000, false}, {999, true}, {2, true}, {1, true}, {1, false},
		{0, false}, {1, false}, // the last byte does not count as progress
		{500, false}, {-1, false}, {499, false}, {498, true}, {600, false}, {0, false}, {0, false}, {100, false}, {99, true},
	} {
		client.Unsent = tt.unsent
		c.inbox.outbox.link.fd.Lock()
		got := c.peerAccepting()
		c.inbox.outbox.link.fd.Unlock()
		slow = slow || tt.want
		if got != tt.want || c.inbox.outbox.link.peer.slow != slow {
			t.Errorf("check %d, with %d bytes unsent: takes %v, slow %v; want %v, %v", i, tt.unsent, got, c.inbox.outbox.link.peer.slow, tt.want, slow)
		}
		if i < 2 && c.inbox.outbox.link.more != nil {
			t.Error("a connection with nothing unsent costs memory")
		}
	}
	c.CloseNow()
	p.k.Play(p.ls.Loops)
}

// The loop does not write to a full socket again until the kernel reports that there is room, or that the connection is gone.
func TestEventVisitOfABlockedConnection(t *testing.T) {
	k := evLimited(t, 1000, false)
	if n, err := k.fill(100, 2); n != 2 || err != nil {
		t.Fatalf("%d messages fit, %v", n, err)
	}
	before := k.writes
	k.client.In = []byte(evText("message") + evMasked(frame.Ping, true, "?"))
	k.Play(k.s.ls.Loops)
	k.Pass(k.s.ls.Loops, 1)
	if k.received != 1 || k.writes != before || k.conn.Buffered() <= 200 {
		t.Errorf("%d messages were handled, with %d writes; %d bytes wait", k.received, k.writes-before, k.conn.Buffered())
	}
	k.play(1 << 20)
	if n := k.conn.Buffered(); n != 0 || k.writes != before+1 {
		t.Errorf("%d bytes wait after %d writes", n, k.writes-before)
	}
}

// Visiting a connection whose Receiver is still busy only writes. If the socket is full, the connection waits for room. An expired
// timer is set again, because the state of a peer is unknown while its data is not being read.
func TestEventVisitWhileTheReceiverIsBusy(t *testing.T) {
	k := evLimited(t, 1000, false)
	c := k.conn
	send := func() {
		c.inbox.outbox.link.fd.Lock()
		c.inbox.outbox.corked = true // as during a visit
		c.inbox.outbox.link.fd.Unlock()
		if err := c.Send(Message{Type: Text, Data: []byte("from outside")}); err != nil {
			t.Fatal(err)
		}
	}
	visit := func(why loop.Events) {
		c.inbox.outbox.link.fd.Lock()
		defer c.inbox.outbox.link.fd.Unlock()
		c.inbox.outbox.corked = false
		if c.Begin(nil, why|loop.Held) {
			t.Error("Begin returned true")
		}
	}
	const size = len("\x81\x0cfrom outside")
	k.accepts, k.client.Full = 1<<20, false
	left := c.inbox.outbox.link.fd.Left()
	send()
	visit(loop.Woken)
	if len(k.client.Out) != size || c.inbox.outbox.out != nil || k.client.Armed&loop.Writable != 0 || c.inbox.outbox.link.fd.Left() != left {
		t.Errorf("%d bytes were sent, the queue is %v, armed for %v, %v left", len(k.client.Out), c.inbox.outbox.out, k.client.Armed, c.inbox.outbox.link.fd.Left())
	}
	k.accepts, k.client.Full = 0, true
	send()
	visit(loop.Woken)
	if c.Buffered() != size || k.client.Armed&loop.Writable == 0 {
		t.Errorf("%d bytes wait, armed for %v", c.Buffered(), k.client.Armed)
	}
	visit(loop.Due)
	if d := c.inbox.outbox.link.fd.Left(); d == left || d > c.inbox.outbox.link.kind.opts.closeTimeout+time.Second {
		t.Errorf("the timer expires in %v", d)
	}
	k.accepts, k.client.Full = 1<<20, false
	visit(loop.Hangup)
	if len(k.client.Out) != 2*size || c.inbox.outbox.out != nil {
		t.Errorf("%d bytes were sent, the queue is %v", len(k.client.Out), c.inbox.outbox.out)
	}
	c.CloseNow()
	k.Play(k.s.ls.Loops)
}

// A visit borrows the buffer of its loop. The next visit, while this one is still in progress, gets another buffer.
func TestEventBufferIsLentOnce(t *testing.T) {
	k := looptest.New(t, nil)
	p := evManual(t, k, &evServer{})
	k.Client(evHello)
	k.Client(evHello)
	k.Play(p.ls.Loops)
	lent := borrow(corkSize)
	d := &loop.Driver{Value: lent}
	var outs []*buffer
	p.ls.each(func(c *eventConn) {
		c.inbox.outbox.link.fd.Lock()
		if !c.Begin(d, loop.Readable) {
			t.Error("Begin returned false")
		}
		outs = append(outs, c.inbox.outbox.out)
		c.inbox.outbox.link.fd.Unlock()
	})
	if len(outs) != 2 || outs[0] != lent || outs[1] == lent || outs[1] == nil || d.Value != nil {
		t.Errorf("lent %p, used %p; left %v", lent, outs, d.Value)
	}
	p.ls.each(func(c *eventConn) {
		c.Lost() // the Receiver is blocked: its sent messages are written
		c.CloseNow()
	})
	k.Play(p.ls.Loops)
}
