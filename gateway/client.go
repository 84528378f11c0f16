package gateway

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/websocket"
)

// client is an admitted client, from its 101 response to the end of the connection.
type client struct {
	e      *endpoint
	entry  *registry.Entry
	upkeep *upkeep // nil if the endpoint needs none
}

// admitted is a client whose 101 response is being sent or was sent.
type admitted struct {
	client
	path string // the path of the request
	rule string // the rule that admitted the client
}

// begin is called once, before the other methods.
func (k *admitted) begin() {
	k.e.rec.recordOpened(k)
	k.e.metrics.Open.Inc()
	k.upkeep.begin()
}

// end releases the client's place and target, and records how the connection ended. It is called once, at the end. See
// recorder.closed.
func (k *client) end(how *websocket.CloseError, err error, decision ...any) {
	k.e.rec.closed(k.entry, k.e.metrics, how, err, append(k.upkeep.end(), decision...)...)
	k.e.metrics.Open.Dec()
	k.e.target.release()
	k.e.adm.conns.Leave(k.entry)
}

// received counts a message of the client. See [Request.Received].
func (k *client) received(bytes int64) error {
	k.entry.In.Add(bytes)
	if k.upkeep == nil {
		return nil
	}
	return k.upkeep.received(bytes)
}

// serve runs a connection for which the target has set Serve.
func (k *admitted) serve(c *websocket.Conn, serve func(context.Context, *websocket.Conn) error) {
	k.begin()
	var err error
	if k.e.adm.conns.Open(k.entry, c) {
		err = k.guard(func() error { return serve(c.Context(), c) })
	}
	// The Close below waits while another goroutine is closing the connection, and has no effect on a connection that has ended. In all
	// other cases the target has abandoned the connection, which Close closes.
	if err != nil {
		fail(c, err)
	}
	_ = c.Close(websocket.CodeNormal, "")
	how, _ := errors.AsType[*websocket.CloseError](context.Cause(c.Context()))
	if k.entry.Server != nil {
		k.end(how, err, k.decision()...)
		return
	}
	k.end(how, err)
}

var errPanicked = errors.New("the target panicked")

// tunnel lets the target forward the bytes of the connection.
func (k *admitted) tunnel(nc net.Conn, early []byte, tunnel func(net.Conn, []byte, func(error)) (auth.Handle, error)) {
	k.begin()
	t := &tunneled{client: k.client}
	if k.e.rec.audit != nil && k.entry.Server != nil {
		t.decided = k
	}
	t.pending.Store(2)
	var h auth.Handle
	err := k.guard(func() (err error) {
		h, err = tunnel(nc, early, t.done)
		return err
	})
	if err != nil {
		nc.Close()
		t.done(err)
	} else {
		k.e.adm.conns.Open(k.entry, h) // Open shuts the tunnel if the client was closed in the meantime
	}
	t.release()
}

// tunneled is a client whose bytes the target forwards.
type tunneled struct {
	client
	endErr  error        // the reason why the tunnel has ended
	decided *admitted    // the client, if the fields of decision must be logged at the end; nil otherwise
	ended   atomic.Bool  // done was called
	pending atomic.Int32 // counts down from 2: once when the method tunnel returns, and once when the tunnel has ended
}

// done is called when the tunnel has ended.
func (t *tunneled) done(err error) {
	if !t.ended.Swap(true) {
		t.endErr = err
		t.release()
	}
}

func (t *tunneled) release() {
	if t.pending.Add(-1) == 0 {
		closed, _ := errors.AsType[*websocket.CloseError](t.endErr)
		if t.decided != nil {
			t.end(closed, t.endErr, t.decided.decision()...)
			return
		}
		t.end(closed, t.endErr)
	}
}
