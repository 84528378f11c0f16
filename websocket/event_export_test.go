package websocket

import (
	"net"
	"testing"

	"github.com/handfast/handfast/websocket/internal/transport"
)

// EventLoops serves connections with events on one event loop, for tests outside of the package.
type EventLoops struct{ ls *eventLoops }

// NewEventLoops returns EventLoops that end with the test, nil if there is no event loop.
func NewEventLoops(t *testing.T) *EventLoops {
	ls, err := newEventLoops(1)
	if err != nil {
		return nil
	}
	t.Cleanup(func() {
		ls.each(func(c *eventConn) { c.CloseNow() })
		ls.Stop()
		ls.Wait()
	})
	return &EventLoops{ls}
}

// Adopt serves nc, after its opening handshake.
func (l *EventLoops) Adopt(nc net.Conn, opts *ConnOptions, open func(Sender) Receiver) error {
	_, err := l.ls.adopt(&eventKind{opts: opts.settings(), open: open}, nc, agreed{})
	return err
}

// UnderTLS returns the connection that crypto/tls must use so that nc can be adopted.
func UnderTLS(nc net.Conn) net.Conn { return transport.Accept(nc, nil) }
