//go:build linux

package websocket

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
)

// evBlocking returns a handler that, on receiving "wait", sends to the first channel and blocks until it receives from the second
// channel.
func evBlocking(declared bool) (evHandler, chan string, chan struct{}) {
	waits, release := make(chan string, 1000), make(chan struct{})
	return evHandler{Message: func(c *eventConn, m Message) {
		if string(m.Data) == "wait" {
			if declared {
				c.Block()
			}
			c.Send(Message{Type: Text, Data: []byte("waiting")})
			waits <- "waits"
			<-release
		}
		c.Send(m)
	}}, waits, release
}

func TestEventHandlerThatBlocksStallsNoOther(t *testing.T) {
	for _, declared := range []bool{false, true} {
		t.Run(fmt.Sprint(declared), func(t *testing.T) {
			h, waits, release := evBlocking(declared)
			s := &evServer{Handler: h, Loops: 1}
			addr := evServe(t, s)
			stuck, free := evUpgraded(t, addr), evUpgraded(t, addr)
			stuck.send(evMasked(frame.Text, true, "wait"), evMasked(frame.Text, true, "in one read with it"))
			evAwait(t, waits)
			stuck.expect(frame.Text, "waiting") // data written before the handler blocked has been sent
			stuck.send(evMasked(frame.Text, true, "after"), evMasked(frame.Ping, true, "p"))
			for i := range 100 {
				text := fmt.Sprint(i)
				free.send(evMasked(frame.Text, true, text))
				free.expect(frame.Text, text)
			}
			release <- struct{}{}
			stuck.expect(frame.Text, "wait")
			stuck.expect(frame.Text, "in one read with it")
			stuck.expect(frame.Text, "after")
			stuck.expect(frame.Pong, "p")
			stuck.send(evMasked(frame.Text, true, "and on"))
			stuck.expect(frame.Text, "and on")
		})
	}
}

func TestEventManyHandlersBlockConcurrently(t *testing.T) {
	h, waits, release := evBlocking(false)
	addr := evServe(t, &evServer{Handler: h, Loops: 1})
	var peers []*evPeer
	for range 50 {
		p := evUpgraded(t, addr)
		p.send(evMasked(frame.Text, true, "wait"))
		peers = append(peers, p)
	}
	for range peers {
		evAwait(t, waits)
	}
	close(release)
	for _, p := range peers {
		p.expect(frame.Text, "waiting")
		p.expect(frame.Text, "wait")
	}
}

// While a handler blocks, other goroutines can write to its connection and close it.
func TestEventOthersReachAConnectionWhoseHandlerBlocks(t *testing.T) {
	h, waits, release := evBlocking(false)
	conns, over := make(chan *eventConn, 1), make(chan error, 1)
	h.Open = func(c *eventConn) { conns <- c }
	h.Close = func(_ *eventConn, err error) { over <- err }
	addr := evServe(t, &evServer{Handler: h, Loops: 1})
	p := evUpgraded(t, addr)
	c := evAwait(t, conns)
	p.send(evMasked(frame.Text, true, "wait"))
	evAwait(t, waits)
	p.expect(frame.Text, "waiting")
	if err := c.Send(Message{Type: Text, Data: []byte("from outside")}); err != nil {
		t.Error(err)
	}
	p.expect(frame.Text, "from outside")
	c.Shut(4000, "")
	p.expect(frame.Close, "\x0f\xa0")
	p.send(evMasked(frame.Close, true, "\x0f\xa0"))
	close(release)
	p.expectEOF()
	if err := evAwait(t, over); CloseCode(err) != 4000 {
		t.Errorf("the connection ended with %v", err)
	}
}

// The messages of a connection arrive in order and one at a time, on any loop.
func TestEventOrderWhileLoopsChangeHands(t *testing.T) {
	var inside atomic.Int32
	h := evHandler{Message: func(c *eventConn, m Message) {
		if inside.Add(1) != 1 {
			t.Error("two concurrent calls")
		}
		if m.Data[0]%3 == 0 {
			c.Block()
		}
		c.Send(m)
		inside.Add(-1)
	}}
	p := evUpgraded(t, evServe(t, &evServer{Handler: h, Loops: 1}))
	for round := range 50 {
		for i := range 10 {
			p.send(evMasked(frame.Binary, true, string([]byte{byte(round*10 + i)})))
		}
		for i := range 10 {
			p.expect(frame.Binary, string([]byte{byte(round*10 + i)}))
		}
	}
}
