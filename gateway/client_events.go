package gateway

import (
	"errors"
	"net/http"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/websocket"
)

// eventClient is a client that is served with events. It is between the connection and the target: the Sender of what the target
// sends, and the Receiver of what the client sends. Both count.
type eventClient struct {
	client
	websocket.Sender                    // the connection's
	to               websocket.Receiver // the target's; nil when there is none
	err              error              // with which the target gave the connection up
}

// events returns the function that serves the connection with the target's events. What it calls of the target may panic:
// that costs this client, and no other.
func (k *admitted) events(open func(websocket.Sender) websocket.Receiver) func(websocket.Sender) websocket.Receiver {
	return func(s websocket.Sender) websocket.Receiver {
		k.begin()
		c := &eventClient{client: k.client, Sender: s}
		if err := c.guard(func() error { c.to = open(c); return nil }); err != nil {
			fail(s, err)
		}
		// From here on the client may be warned of its token's end, behind what the target has sent first. One that was closed
		// meanwhile is shut.
		c.e.adm.conns.Open(c.entry, s)
		return c
	}
}

// fail closes a connection because of err: without a closing handshake, when that is http.ErrAbortHandler.
func fail(h auth.Handle, err error) {
	if aborts(err) {
		_ = h.CloseNow()
		return
	}
	_ = h.Shut(websocket.CodeInternalError, "") // it may have ended
}

// aborts reports whether v, the value of a panic or the error made of it, is http.ErrAbortHandler: as in net/http, it cuts the
// connection, and is not recorded.
func aborts(v any) bool { return v == http.ErrAbortHandler } //nolint:errorlint // as net/http compares it

// guard calls the target. A panic becomes an error, and is recorded, unless it is to be quiet as in net/http.
func (k *client) guard(call func() error) (err error) {
	defer func() {
		p := recover()
		if aborts(p) {
			err = http.ErrAbortHandler
			return
		}
		if p != nil {
			k.e.rec.panicked(k.e.metrics, k.entry, p)
			err = errPanicked
		}
	}()
	return call()
}

// Send implements [websocket.Sender].
func (c *eventClient) Send(m websocket.Message) error {
	err := c.Sender.Send(m)
	if err == nil {
		c.entry.Out.Add(int64(len(m.Data)))
	}
	return err
}

// SendPrepared implements [websocket.Sender].
func (c *eventClient) SendPrepared(ps ...*websocket.Prepared) error {
	err := c.Sender.SendPrepared(ps...)
	if err == nil {
		for _, p := range ps {
			c.entry.Out.Add(int64(p.Len()))
		}
	}
	return err
}

// Message implements [websocket.Receiver].
func (c *eventClient) Message(m websocket.Message) error {
	if err := c.received(int64(len(m.Data))); err != nil || c.to == nil {
		return err
	}
	c.err = c.guard(func() error { return c.to.Message(m) })
	return c.err
}

// Closed implements [websocket.Receiver].
func (c *eventClient) Closed(how *websocket.CloseError) {
	if c.to != nil {
		if err := c.guard(func() error { c.to.Closed(how); return nil }); err != nil {
			c.err = errors.Join(c.err, err)
		}
	}
	c.end(how, c.err)
}

// drainer is a Receiver that wants to know when the queue is empty again.
type drainer interface{ Drained() }

// Drained passes the event on.
func (c *eventClient) Drained() {
	d, ok := c.to.(drainer)
	if !ok {
		return
	}
	if err := c.guard(func() error { d.Drained(); return nil }); err != nil {
		c.err = err
		fail(c.Sender, err)
	}
}
