package gateway

import (
	"errors"
	"net/http"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/websocket"
)

// eventClient is a client that is served by events. It is placed between the connection and the target: it is the Sender of the
// target and the Receiver of the connection, and counts messages in both directions.
type eventClient struct {
	client
	websocket.Sender                    // of the connection
	to               websocket.Receiver // the target's Receiver; nil if it has none
	err              error              // the target's error that ends the connection
}

// events returns the function that serves the connection with the target's events. A panic in the target ends only this connection.
func (k *admitted) events(open func(websocket.Sender) websocket.Receiver) func(websocket.Sender) websocket.Receiver {
	return func(s websocket.Sender) websocket.Receiver {
		k.begin()
		c := &eventClient{client: k.client, Sender: s}
		if err := c.guard(func() error { c.to = open(c); return nil }); err != nil {
			fail(s, err)
		}
		// Open is called after the first messages of the target, because from then on the client may be warned that its token is about to
		// expire. If the client was to be closed in the meantime, Open closes it.
		c.e.adm.conns.Open(c.entry, s)
		return c
	}
}

// fail closes a connection because of err, without a closing handshake if err is http.ErrAbortHandler.
func fail(h auth.Handle, err error) {
	if isAbort(err) {
		_ = h.CloseNow()
		return
	}
	_ = h.Shut(websocket.CodeInternalError, "") // an error means that the connection has already ended
}

// isAbort reports whether v, a panic value or the error for it, is http.ErrAbortHandler. As in net/http, that value closes the
// connection and is not recorded.
func isAbort(v any) bool { return v == http.ErrAbortHandler } //nolint:errorlint // net/http compares http.ErrAbortHandler with ==, too

// guard runs call, which calls the target. It returns an error for a panic, and records the panic unless its value is http.ErrAbortHandler.
func (k *client) guard(call func() error) (err error) {
	defer func() {
		p := recover()
		if isAbort(p) {
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

// drainer is a Receiver that is notified when the queue is empty again.
type drainer interface{ Drained() }

// Drained passes the event to the target.
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
