package gateway

import (
	"context"
	"errors"

	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/websocket"
)

// client is an admitted client from its 101 to its end.
type client struct {
	e     *endpoint
	entry *registry.Entry
}

// begin is called before anything else, once.
func (k *client) begin() { k.e.metrics.Open.Inc() }

// end gives back all that it holds, and records how the connection ended. It is called last, once.
func (k *client) end(how *websocket.CloseError, err error) {
	k.e.rec.closed(k.entry, k.e.metrics, how, err)
	k.e.metrics.Open.Dec()
	k.e.target.release()
	k.e.adm.conns.Leave(k.entry)
}

// serve is the goroutine of a connection that the target serves by itself.
func (k *client) serve(c *websocket.Conn, serve func(context.Context, *websocket.Conn) error) {
	k.begin()
	var err error
	if k.e.adm.conns.Open(k.entry, c) {
		err = k.guard(func() error { return serve(c.Context(), c) })
	}
	// Somebody else may be closing the connection at this very moment: this Close waits until that is done, and does
	// nothing to a connection that has ended. Only what a target gives up by itself is closed by it.
	code := websocket.CodeInternalError
	if err == nil {
		code = websocket.CodeNormal
	}
	_ = c.Close(code, "")
	how, _ := errors.AsType[*websocket.CloseError](context.Cause(c.Context()))
	k.end(how, err)
}

var errPanicked = errors.New("the target panicked")
