//go:build linux

package reactor

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

// blocking is a handler whose connections wait when they are told "wait", until the channel yields.
func blocking(declared bool) (Handler, chan string, chan struct{}) {
	waits, release := make(chan string, 1000), make(chan struct{})
	return Handler{Message: func(c *Conn, m websocket.Message) {
		if string(m.Data) == "wait" {
			if declared {
				c.Block()
			}
			c.Send(websocket.Message{Type: websocket.Text, Data: []byte("waiting")})
			waits <- "waits"
			<-release
		}
		c.Send(m)
	}}, waits, release
}

func TestHandlerThatBlocksStallsNobody(t *testing.T) {
	for _, declared := range []bool{false, true} {
		t.Run(fmt.Sprint(declared), func(t *testing.T) {
			h, waits, release := blocking(declared)
			s := &Server{Handler: h, Loops: 1}
			addr := serve(t, s)
			stuck, free := upgraded(t, addr), upgraded(t, addr)
			stuck.send(masked(frame.Text, true, "wait"), masked(frame.Text, true, "in one read with it"))
			await(t, waits)
			stuck.expect(frame.Text, "waiting") // what was written before the handler waited has left
			stuck.send(masked(frame.Text, true, "after"), masked(frame.Ping, true, "p"))
			for i := range 100 {
				text := fmt.Sprint(i)
				free.send(masked(frame.Text, true, text))
				free.expect(frame.Text, text)
			}
			release <- struct{}{}
			stuck.expect(frame.Text, "wait")
			stuck.expect(frame.Text, "in one read with it")
			stuck.expect(frame.Text, "after")
			stuck.expect(frame.Pong, "p")
			stuck.send(masked(frame.Text, true, "and on"))
			stuck.expect(frame.Text, "and on")
		})
	}
}

func TestManyHandlersBlockAtOnce(t *testing.T) {
	h, waits, release := blocking(false)
	addr := serve(t, &Server{Handler: h, Loops: 1})
	var peers []*peer
	for range 50 {
		p := upgraded(t, addr)
		p.send(masked(frame.Text, true, "wait"))
		peers = append(peers, p)
	}
	for range peers {
		await(t, waits)
	}
	close(release)
	for _, p := range peers {
		p.expect(frame.Text, "waiting")
		p.expect(frame.Text, "wait")
	}
}

// While a handler blocks, others write to its connection, and close it.
func TestOthersReachAConnectionWhoseHandlerBlocks(t *testing.T) {
	h, waits, release := blocking(false)
	conns, over := make(chan *Conn, 1), make(chan error, 1)
	h.Open = func(c *Conn) { conns <- c }
	h.Close = func(_ *Conn, err error) { over <- err }
	addr := serve(t, &Server{Handler: h, Loops: 1})
	p := upgraded(t, addr)
	c := await(t, conns)
	p.send(masked(frame.Text, true, "wait"))
	await(t, waits)
	p.expect(frame.Text, "waiting")
	if err := c.Send(websocket.Message{Type: websocket.Text, Data: []byte("from outside")}); err != nil {
		t.Error(err)
	}
	p.expect(frame.Text, "from outside")
	c.Shut(4000, "")
	p.expect(frame.Close, "\x0f\xa0")
	p.send(masked(frame.Close, true, "\x0f\xa0"))
	close(release)
	p.expectEOF()
	if err := await(t, over); websocket.CloseCode(err) != 4000 {
		t.Errorf("it ended with %v", err)
	}
}

// A connection's messages come in order and one at a time, whoever the loop belongs to.
func TestOrderWhileLoopsChangeHands(t *testing.T) {
	var inside atomic.Int32
	h := Handler{Message: func(c *Conn, m websocket.Message) {
		if inside.Add(1) != 1 {
			t.Error("two calls at once")
		}
		if m.Data[0]%3 == 0 {
			c.Block()
		}
		c.Send(m)
		inside.Add(-1)
	}}
	p := upgraded(t, serve(t, &Server{Handler: h, Loops: 1}))
	for round := range 50 {
		for i := range 10 {
			p.send(masked(frame.Binary, true, string([]byte{byte(round*10 + i)})))
		}
		for i := range 10 {
			p.expect(frame.Binary, string([]byte{byte(round*10 + i)}))
		}
	}
}
