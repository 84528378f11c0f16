package websocket

import (
	"net"
	"testing"

	"github.com/handfast/handfast/websocket/internal/transport"
)

// EventLoops serves event connections on one event loop, for the tests of external packages.
type EventLoops struct{ ls *eventLoops }

// NewEventLoops returns EventLoops that stop when the test ends, or nil if event loops are not supported.
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

// Adopt serves nc on the loop. The opening handshake must be complete.
func (l *EventLoops) Adopt(nc net.Conn, opts *ConnOptions, open func(Sender) Receiver) error {
	_, err := l.ls.adopt(&eventKind{opts: opts.settings(), open: open}, nc, upgradedConn{})
	return err
}

// UnderTLS wraps nc for use by crypto/tls, so that Adopt accepts the TLS connection.
func UnderTLS(nc net.Conn) net.Conn { return transport.Accept(nc, nil) }
