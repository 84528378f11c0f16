package websocket

import (
	"io"
	"net"
	"slices"
	"sync/atomic"

	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/protocol"
)

// eventLink is the state that both directions of a connection share: its descriptor, its protocol state, the negotiated parameters,
// its end, and whether the peer is alive.
//
// The lock of fd guards all fields, unless a field has another owner. Writes that do not wait are made under the lock.
type eventLink struct {
	fd   loop.FD
	m    protocol.Machine // the holder owns its reading half, and the lock guards its writing half
	kind *eventKind
	more *eventMore // set before the connection opens, or by the holder under the lock; nil if all of its fields are zero
	end  *ending    // nil until the connection begins to end

	stop        atomic.Uint32 // reasons not to deliver messages; set under the lock
	subprotocol uint16        // the index in the kind's list plus one; 0 means none. Set before the connection opens
	peer        peerWatch     // whether the peer is alive; only the holder uses it
}

// eventMore is the state that only a few connections need.
type eventMore struct {
	sec         *loop.TLS         // nil without TLS
	compression *eventCompression // nil without permessage-deflate
	rest        *buffer           // owned by the holder: unparsed bytes, which are kept because the peer does not read; nil otherwise
	remote      net.Addr          // the client's address if a proxy has sent it; nil means the socket's peer address
	subprotocol string            // a subprotocol that is not in the kind's list
	unsent      int               // the number of bytes that the kernel had not sent at keepalive's last check
}

// The reasons of eventLink.stop.
const (
	stopPaused uint32 = 1 << iota // the send queue is too full
	stopEnding                    // the phase is later than open
	stopNow                       // the connection must be ended immediately
)

// ending is the additional state of a connection that is ending.
type ending struct {
	begun       *CloseError // the CloseError that the connection is about to end with; nil if undecided
	due         *CloseError // the CloseError with which the connection ends at its holder's next visit; nil if no end is due
	final       *CloseError // the final CloseError
	cause       error       // why this end began to close the connection
	werr        error       // why nothing can be written
	closedWrite bool        // our direction is shut down

	remote net.Addr // the peer's address, once the connection has ended
}

// sec returns the TLS state, or nil without TLS.
func (c *eventLink) sec() *loop.TLS {
	if c.more == nil {
		return nil
	}
	return c.more.sec
}

// compression returns the compression state, or nil without compression.
func (c *eventLink) compression() *eventCompression {
	if c.more == nil {
		return nil
	}
	return c.more.compression
}

// rest returns the unparsed bytes, or nil if there are none.
func (c *eventLink) rest() *buffer {
	if c.more == nil {
		return nil
	}
	return c.more.rest
}

// ensureMore returns c.more, which it allocates on the first call.
func (c *eventLink) ensureMore() *eventMore {
	if c.more == nil {
		c.more = new(eventMore)
	}
	return c.more
}

// agree records the subprotocol and the compression that the opening handshake has negotiated.
func (c *eventLink) agree(t *opening.Terms) {
	if c.subprotocol = uint16(slices.Index(c.kind.subprotocols, t.Subprotocol) + 1); c.subprotocol == 0 && t.Subprotocol != "" {
		c.ensureMore().subprotocol = t.Subprotocol
	}
	if t.Compressed {
		c.ensureMore().compression = newEventCompression(t.Deflate, c.kind.compression)
		c.m.Compressed = true
	}
}

// setRemote records the client's address as sent by a proxy.
func (c *eventLink) setRemote(remote net.Addr) {
	if remote != nil {
		c.ensureMore().remote = remote
	}
}

// Subprotocol implements [Sender].
func (c *eventLink) Subprotocol() string {
	c.fd.Lock()
	defer c.fd.Unlock()
	switch {
	case c.subprotocol > 0:
		return c.kind.subprotocols[c.subprotocol-1]
	case c.more != nil:
		return c.more.subprotocol
	}
	return ""
}

// RemoteAddr implements [Sender]. The address is not stored: the kernel knows it until the connection has ended.
func (c *eventLink) RemoteAddr() net.Addr {
	c.fd.Lock()
	defer c.fd.Unlock()
	return c.remoteLocked()
}

func (c *eventLink) remoteLocked() net.Addr {
	switch {
	case c.more != nil && c.more.remote != nil:
		return c.more.remote
	case c.end != nil && c.end.remote != nil:
		return c.end.remote
	}
	if a := c.fd.Peer(); a != nil {
		return a
	}
	return noAddr{}
}

// read reads plain bytes.
func (c *eventLink) read(p []byte) (int, error) {
	if sec := c.sec(); sec != nil {
		n, err := sec.Read(p)
		if err == loop.ErrTruncated { // a Conn treats this error as EOF
			err = io.EOF
		}
		return n, err
	}
	return c.fd.Read(p)
}

// unpause resumes reading from the connection, beginning with the unparsed bytes. The caller holds the lock.
func (c *eventLink) unpause() {
	if c.stop.And(^stopPaused)&stopPaused != 0 {
		c.fd.Wake()
	}
}
